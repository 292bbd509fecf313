"""A task that stops its worker's event loop: every async task after it waited for ever, and nobody noticed."""

from __future__ import annotations

from pathlib import Path

from s3queue import Queue, stats
from s3queue.store import ObjectStore
from tests.processes.host import drain
from tests.processes.jobs import QUEUE, meet, stop_loop


def test_worker_whose_loop_was_stopped_is_replaced_and_the_message_that_did_it_pays(
    disk: ObjectStore, tmp_path: Path
) -> None:
    runs = tmp_path / "runs"
    stop_loop.enqueue(str(runs))
    for number in range(5):
        meet.enqueue(str(tmp_path / f"met-{number}"), 1)
    summary = drain(disk, queues=[QUEUE], workers=1)
    assert summary.deaths == 2
    assert runs.read_text().splitlines() == ["stops it"] * 2
    (letter,) = Queue(QUEUE, disk).dead_letters()
    assert (letter.task, [failure.cause for failure in letter.failures]) == ("stop_loop", ["exited", "exited"])
    assert stats(disk, exact=True).queues[QUEUE].done == 5
