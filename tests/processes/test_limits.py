"""Limits that are set while a host serves the queue, and messages that expire before it can."""

from __future__ import annotations

import time
from collections.abc import Callable

from s3queue.queue import Queue
from s3queue.store import ObjectStore
from tests.processes.host import IMPATIENT, Line, host
from tests.processes.jobs import hold

Fifo = Callable[[str], Line]


def test_limit_keeps_free_slots_idle_until_it_is_removed(store: ObjectStore, fifo: Fifo) -> None:
    started, release = fifo("started"), fifo("release")
    queue = Queue(hold.queue, store)
    queue.limit(max_running=1, wait=False)
    hold.enqueue_many([(started.path, release.path)] * 3)
    with host(store, until_empty=True, workers=3, concurrency=1, **IMPATIENT) as it:
        started.word()
        queue.limit(fair=True)  # when that holds, a board was planned after the first message had begun
        seen = queue.stats(exact=True)
        assert (seen.running, seen.ready) == (1, 2)
        queue.unlimit()
        started.word()
        started.word()
        for _ in range(3):
            release.release()
        assert it.summary().messages == 3


def test_message_that_expires_while_its_host_is_busy_costs_no_attempt_and_does_not_run(
    store: ObjectStore, fifo: Fifo
) -> None:
    started, release = fifo("started"), fifo("release")
    queue = Queue(hold.queue, store)
    hold.enqueue(started.path, release.path)
    with host(store, until_empty=True, workers=1, concurrency=1, **IMPATIENT) as it:
        started.word()
        hold.options(expires_in=0.05).enqueue(started.path, release.path)
        expires = time.time() + 0.05
        while time.time() < expires:
            queue.stats(exact=True)
        release.release()
        assert it.summary().messages == 1
    assert queue.stats().expired == 1
