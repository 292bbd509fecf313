"""What a task notes is seen from outside while it runs, and by its next attempt however this one ends."""

from __future__ import annotations

from collections.abc import Callable

import s3queue
from s3queue.store import ObjectStore
from tests.processes.host import IMPATIENT, Line, host
from tests.processes.jobs import by_steps

Fifo = Callable[[str], Line]


def test_progress_and_state_come_back_after_a_failure_and_after_a_death(store: ObjectStore, fifo: Fifo) -> None:
    started, release = fifo("started"), fifo("release")
    message = s3queue.message(by_steps.enqueue(started.path, release.path), store)
    assert message.progress() is None
    with host(store, until_empty=True, workers=1, concurrency=1, **IMPATIENT) as it:
        for step in range(3):
            assert started.word() == [str(step + 1), str(step)]
            while (seen := message.progress()) is None or seen.done < step + 1:
                pass  # until the ledger is written next
            assert (str(seen), seen.state) == (f"{step + 1} of 3, by steps", {"step": step + 1})
            release.release()
        assert it.summary().messages == 3
    assert message.progress() is None
