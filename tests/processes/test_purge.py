"""Queues are purged, and many messages cancelled, while a host serves them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

import s3queue
from s3queue import Queue
from s3queue.core.records import Control, decode
from s3queue.errors import ConfigError
from s3queue.operate.schedules import Schedules
from s3queue.store import Found, ObjectStore
from tests.processes.host import IMPATIENT, Line, board, host
from tests.processes.jobs import QUEUE, hold, idle_async, not_now, quick, reject

Fifo = Callable[[str], Line]


def test_purge_ends_what_was_sent_before_it_and_nothing_that_comes_after(
    store: ObjectStore, tmp_path: Path, fifo: Fifo
) -> None:
    started, runs, queue = fifo("started"), tmp_path / "runs", Queue(QUEUE, store)
    idle_async.enqueue(started.path)
    with host(store, until_empty=True, workers=1, concurrency=1, **IMPATIENT) as it:
        started.word()
        quick.enqueue_many([(str(runs), number) for number in range(2500)])
        quick.options(delay=3600).enqueue_many([(str(runs), number) for number in range(2500, 2600)])
        assert queue.purge(reason="wrong list") == 2601
        quick.enqueue(str(runs), 7000)
        assert it.summary().deaths == 0
    assert runs.read_text().split()[0::2] == ["7000"]
    counts = queue.stats()
    assert (counts.done, counts.dead, counts.scheduled, counts.ready) == (1, 0, 0, 0)


def test_messages_of_a_task_are_cancelled_and_the_others_stay(store: ObjectStore, tmp_path: Path) -> None:
    runs, queue = tmp_path / "runs", Queue(QUEUE, store)
    quick.options(delay=3600).enqueue_many([(str(runs), number) for number in range(700)])
    not_now.options(delay=3600).enqueue(str(runs))
    with host(store, workers=1, concurrency=1, **IMPATIENT):
        would = queue.cancel(task="quick", dry_run=True)
        assert (would.found, would.states, would.answers) == (700, {"scheduled": 700}, {})
        assert queue.cancel(task="quick", reason="wrong list").answers == {"cancelled": 700}
        assert queue.cancel(task="quick").found == 0, "what is cancelled is not found again"
        assert [one.task for one in queue.messages()] == ["not_now"]


def test_what_runs_and_what_waits_is_cancelled_with_a_queue(store: ObjectStore, tmp_path: Path, fifo: Fifo) -> None:
    started, runs, queue = fifo("started"), tmp_path / "runs", Queue(QUEUE, store)
    not_now.enqueue(str(runs))
    idle_async.enqueue(started.path)
    quick.options(delay=3600).enqueue(str(runs), 1)
    with host(store, until_empty=True, workers=1, concurrency=1, **IMPATIENT) as it:
        started.word()
        changed = queue.cancel()
        assert (changed.found, changed.answers) == (3, {"cancelled": 2, "running": 1})
        it.summary()
    assert runs.read_text() == "not now\n"


def test_scheduled_messages_of_a_queue_are_started_now(store: ObjectStore, tmp_path: Path) -> None:
    runs, queue = tmp_path / "runs", Queue(QUEUE, store)
    quick.options(delay=3600).enqueue_many([(str(runs), number) for number in range(20)])
    with host(store, until_empty=True, workers=1, concurrency=1, **IMPATIENT) as it:
        assert queue.run_now().answers == {"ready": 20}
        assert it.summary().messages == 20


def test_queue_that_a_host_serves_is_deleted_only_by_force(store: ObjectStore, fifo: Fifo) -> None:
    started, release, queue = fifo("started"), fifo("release"), Queue(QUEUE, store)
    hold.enqueue(started.path, release.path)
    with host(store, until_empty=True, workers=1, concurrency=1, **IMPATIENT) as it:
        started.word()
        hold.options(delay=3600).enqueue(started.path, release.path)
        with pytest.raises(ConfigError, match="is served by"):
            queue.delete()
        release.release()
        doomed = s3queue.message(reject.enqueue(), store)
        while doomed.status() != "dead":
            assert it.process.poll() is None
        assert queue.delete(force=True) == 1
        it.summary()
    assert list(queue.dead_letters()) == []
    assert s3queue.stats(store).queues[QUEUE].hosts == 0
    assert not hasattr(store.get(queue.layout.meta(QUEUE)), "body")


def test_nothing_of_a_deleted_queue_is_left_and_no_schedule_fills_it(store: ObjectStore) -> None:
    queue, other, schedules = Queue("gone", store), Queue("kept", store), Schedules(store)
    with host(store, workers=1, concurrency=1, **IMPATIENT):
        for of in (queue, other):
            of.limit(max_running=3)
            of.pause()
            schedules.set(f"{of.name}.beat", of.name, payload=1, every=1, catch_up="all")
        while next(queue.messages(), None) is None:
            pass
        assert queue.delete() >= 1
        assert list(queue.messages()) == []
        found = store.get(queue.layout.control)
        assert isinstance(found, Found)
        control = decode(Control, queue.layout.control, found.body)
        assert control.schedules.keys() == {"kept.beat"}
        assert control.limits.keys() == control.paused.keys() == {"kept"}
        at = board(store).schedules["kept.beat"].last_ms
        while board(store).schedules["kept.beat"].last_ms < at + 2000:
            pass
        assert list(queue.messages()) == []
        schedules.remove("kept.beat")
