"""A queue is paused and resumed while a host serves it."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from s3queue.queue import Queue
from s3queue.store import ObjectStore
from tests.processes.host import IMPATIENT, Line, host
from tests.processes.jobs import hold, quick

Fifo = Callable[[str], Line]


def test_paused_queue_starts_nothing_until_it_is_resumed(store: ObjectStore, fifo: Fifo) -> None:
    started, release = fifo("started"), fifo("release")
    queue = Queue(hold.queue, store)
    hold.enqueue(started.path, release.path)
    with host(store, until_empty=True, workers=1, concurrency=1, **IMPATIENT) as it:
        started.word()
        queue.pause()
        hold.enqueue(started.path, release.path)
        with pytest.raises(TimeoutError, match="hosts still hold"):
            queue.pause(wait="idle", timeout=0.5)
        assert queue.stats(exact=True).paused
        release.release()
        queue.pause(wait="idle")
        seen = queue.stats(exact=True)
        assert (seen.ready, seen.running, seen.done) == (1, 0, 1)
        queue.resume()
        started.word()
        assert not queue.stats(exact=True).paused
        release.release()
        assert it.summary().messages == 2


def test_paused_task_starts_nothing_while_others_of_its_queue_go_on(store: ObjectStore, fifo: Fifo) -> None:
    started, release, runs = fifo("started"), fifo("release"), fifo("runs")
    queue = Queue(hold.queue, store)
    hold.enqueue(started.path, release.path)
    with host(store, until_empty=True, workers=1, concurrency=1, **IMPATIENT) as it:
        started.word()
        queue.pause(task="hold")
        hold.enqueue(started.path, release.path)
        with pytest.raises(TimeoutError, match="hosts still hold"):
            queue.pause(task="hold", wait="idle", timeout=0.5)
        release.release()
        queue.pause(task="hold", wait="idle")
        quick.enqueue(runs.path, 7)
        assert runs.word()[0] == "7"
        queue.pause(task="hold", wait="idle")  # what hosts had is over: so the second one was given back before
        seen = queue.stats(exact=True)
        assert (seen.held, seen.paused, seen.paused_tasks) == ({"hold": 1}, False, ["hold"])
        assert (seen.ready, seen.running, seen.done) == (0, 0, 2)
        queue.resume(task="hold")
        assert started.word()[0] == "1", "it cost no attempt"
        assert queue.stats(exact=True).paused_tasks == []
        release.release()
        assert it.summary().messages == 3
