"""Tasks whose dead messages leave no letter."""

from __future__ import annotations

from pathlib import Path

import pytest

import s3queue
from s3queue.queue import Queue
from s3queue.store import ObjectStore
from tests.processes.host import IMPATIENT, host
from tests.processes.jobs import QUEUE, of_no_interest, refuse


def test_dead_message_of_such_a_task_is_counted_and_leaves_no_letter(store: ObjectStore, tmp_path: Path) -> None:
    of_no_interest.enqueue(str(tmp_path / "runs"))
    other = refuse.enqueue("no")
    with host(store, until_empty=True, workers=1, **IMPATIENT) as it:
        it.summary()
    assert (tmp_path / "runs").read_text() == "x\nx\n"
    assert [letter.id for letter in Queue(QUEUE, store).dead_letters()] == [other]
    assert Queue(QUEUE, store).stats(exact=True).dead == 2


def test_results_and_no_letters_exclude_each_other() -> None:
    with pytest.raises(s3queue.ConfigError, match="result_ttl"):
        s3queue.task("q", name="both", on_failure="drop", result_ttl=5)(lambda: None)
