"""``concurrency=200`` in groups: 43 to 58 messages ran at a time, since each took one of 64 rows of the journal."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from s3queue_backends.sqlite import SqliteStore

from s3queue import Queue, configure, stats
from s3queue.store import ObjectStore
from tests.processes.host import drain
from tests.processes.jobs import QUEUE, meet


@pytest.fixture
def store(tmp_path: Path) -> Iterator[ObjectStore]:
    it = SqliteStore(str(tmp_path / "store.db"))
    configure(store=it)
    yield it
    configure()
    it.close()


def test_as_many_messages_of_groups_run_at_once_as_there_are_slots(store: ObjectStore, tmp_path: Path) -> None:
    many = 200
    for number in range(many):
        meet.options(group=f"g{number}").enqueue(str(tmp_path / "runs"), many)
    drain(store, queues=[QUEUE], workers=1, concurrency=many)
    assert list(Queue(QUEUE, store).dead_letters()) == []
    assert stats(store, exact=True).queues[QUEUE].done == many
