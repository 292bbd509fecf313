"""``concurrency=200`` in groups: 43 to 58 messages ran at a time, since each took one of 64 rows of the journal."""

from __future__ import annotations

from pathlib import Path

from s3queue import Queue, stats
from s3queue.store import ObjectStore
from tests.processes.host import drain
from tests.processes.jobs import QUEUE, meet


def test_as_many_messages_of_groups_run_at_once_as_there_are_slots(disk: ObjectStore, tmp_path: Path) -> None:
    many = 200
    for number in range(many):
        meet.options(group=f"g{number}").enqueue(str(tmp_path / "runs"), many)
    drain(disk, queues=[QUEUE], workers=1, concurrency=many)
    assert list(Queue(QUEUE, disk).dead_letters()) == []
    assert stats(disk, exact=True).queues[QUEUE].done == many
