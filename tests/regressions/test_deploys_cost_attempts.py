"""SIGTERM with a task that outlives its drain, several deploys in a row: it was dead, although nothing had gone wrong."""

from __future__ import annotations

import signal
from collections.abc import Callable

from s3queue import Queue, stats
from s3queue.store import ObjectStore
from tests.deadline import DEADLINE_S
from tests.processes.host import Line, failures, host
from tests.processes.jobs import QUEUE, hold


def test_task_that_is_ended_at_the_drains_deadline_by_deploy_after_deploy_pays_no_attempt(
    disk: ObjectStore, fifo: Callable[[str], Line]
) -> None:
    started, release = fifo("started"), fifo("release")
    message = hold.enqueue(started.path, release.path)
    settings = {"workers": 1, "max_attempts": 2, "drain_timeout": 0.2}
    for _ in range(4):
        with host(disk, **settings) as it:
            started.word()
            it.signal(signal.SIGTERM)
            it.process.wait(DEADLINE_S)
        (*_, last) = failures(disk)
        assert last.cause == "shutdown"
        assert "0.2 s after the host was told to drain" in last.text
    with host(disk, until_empty=True, **settings) as it:
        started.word()
        release.release()
        it.summary()
    assert list(Queue(QUEUE, disk).dead_letters()) == []
    assert stats(disk, exact=True).queues[QUEUE].done == 1
    assert message
