"""SIGTERM with a task that outlives its drain, several deploys in a row: it was dead, although nothing had gone wrong."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from s3queue_backends.sqlite import SqliteStore

from s3queue import Queue, stats
from s3queue.config import configure
from s3queue.store import ObjectStore
from tests.processes.host import Line, failures, host
from tests.processes.jobs import QUEUE, hold
from tests.runtime.desk import DEADLINE_S


@pytest.fixture
def store(tmp_path: Path) -> Iterator[ObjectStore]:
    it = SqliteStore(str(tmp_path / "store.db"))
    configure(store=it)
    yield it
    configure()
    it.close()


@pytest.fixture
def fifo(tmp_path: Path) -> Iterator[Callable[[str], Line]]:
    fifos: list[Line] = []

    def make(name: str) -> Line:
        fifos.append(Line(tmp_path / name))
        return fifos[-1]

    yield make
    for it in fifos:
        it.close()


def test_task_that_is_ended_at_the_drains_deadline_by_deploy_after_deploy_pays_no_attempt(
    store: ObjectStore, fifo: Callable[[str], Line]
) -> None:
    started, release = fifo("started"), fifo("release")
    message = hold.enqueue(started.path, release.path)
    settings = {"workers": 1, "max_attempts": 2, "drain_timeout": 0.2}
    for _ in range(4):
        with host(store, **settings) as it:
            started.word()
            it.signal(signal.SIGTERM)
            it.process.wait(DEADLINE_S)
        (*_, last) = failures(store)
        assert last.cause == "shutdown"
        assert "0.2 s after the host was told to drain" in last.text
    with host(store, until_empty=True, **settings) as it:
        started.word()
        release.release()
        it.summary()
    assert list(Queue(QUEUE, store).dead_letters()) == []
    assert stats(store, exact=True).queues[QUEUE].done == 1
    assert message
