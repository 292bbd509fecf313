"""Messages are cancelled and hastened while a host serves their queue."""

from __future__ import annotations

import signal
from collections.abc import Callable

import s3queue
from s3queue.core import operate
from s3queue.core.keys import request_path
from s3queue.core.records import Request
from s3queue.io.drive import Driver
from s3queue.queue import Queue
from s3queue.store import ObjectStore
from tests.deadline import DEADLINE_S
from tests.processes.host import IMPATIENT, Line, failures, host
from tests.processes.jobs import held, hold, idle_async

Fifo = Callable[[str], Line]


def test_messages_end_as_operators_ask(store: ObjectStore, fifo: Fifo) -> None:
    started, release = fifo("started"), fifo("release")
    running = s3queue.message(hold.enqueue(started.path, release.path), store)
    later = s3queue.message(hold.options(delay=3600).enqueue(started.path, release.path), store)
    never = s3queue.message(hold.options(delay=3600).enqueue(started.path, release.path), store)
    assert [one.status() for one in (running, later, never)] == ["ready", "scheduled", "scheduled"]
    with host(store, until_empty=True, workers=1, concurrency=1, **IMPATIENT) as it:
        started.word()
        assert running.status() == "running"
        assert running.cancel(reason="too late", wait=False) == ""
        assert never.cancel() == "cancelled"
        assert never.cancel() == "over"
        assert later.run_now() == "ready"
        release.release()
        started.word()
        release.release()
        assert it.summary().messages == 2, "what ends well is done, though somebody asked to cancel it"
    assert [one.status() for one in (running, later, never)] == ["unknown", "unknown", "unknown"]
    assert Queue(hold.queue, store).stats().done == 2


def test_message_that_is_not_there_is_refused_when_it_comes_late(store: ObjectStore, fifo: Fifo) -> None:
    started, release = fifo("started"), fifo("release")
    lost = s3queue.message(hold.enqueue(started.path, release.path), store)
    source = lost.layout.source(lost._ref.path)
    found = store.get(source)
    assert hasattr(found, "body")
    store.delete([source])
    with host(store, workers=1, concurrency=1, **IMPATIENT) as it:
        assert lost.cancel() == "absent"
        store.put(source, found.body, if_version=None)
        hold.enqueue(started.path, release.path)
        started.word()
        release.release()
        it.signal(signal.SIGTERM)
        assert it.summary().messages == 1


def test_request_that_was_repeated_is_handled_once(store: ObjectStore, fifo: Fifo) -> None:
    started, release = fifo("started"), fifo("release")
    handle = s3queue.message(hold.options(delay=3600).enqueue(started.path, release.path), store)
    driver, layout = Driver(store), handle.layout
    path = request_path(1, "1")
    with host(store, until_empty=True, workers=1, concurrency=1, **IMPATIENT) as it:
        for _ in range(2):
            driver.run(operate.ask(layout, path, Request("n", "cancel", handle.id)))
        assert handle.cancel() in ("cancelled", "over")
        it.summary()
    assert driver.run(operate.read_answer(layout, path)) in ("cancelled", "over")


def test_cancel_of_a_batch_that_is_not_there_does_not_keep_it_from_coming_late(store: ObjectStore, fifo: Fifo) -> None:
    """After an uncertain enqueue; see `EnqueueUncertain`."""
    started, release = fifo("started"), fifo("release")
    ids = hold.enqueue_many([(started.path, release.path), (started.path, release.path)])
    lost = s3queue.message(ids[0], store)
    source = lost.layout.source(lost._ref.path)
    found = store.get(source)
    assert hasattr(found, "body")
    store.delete([source])
    with host(store, workers=1, concurrency=2, **IMPATIENT) as it:
        assert lost.cancel() == "absent"
        store.put(source, found.body, if_version=None)
        assert [started.word()[0], started.word()[0]] == ["1", "1"]
        release.release()
        it.signal(signal.SIGTERM)
        assert it.summary().messages == 2


def test_message_that_a_worker_holds_and_has_not_begun_is_cancelled_while_the_one_before_it_runs(
    store: ObjectStore, fifo: Fifo
) -> None:
    started, release = fifo("started"), fifo("release")
    hold.enqueue(started.path, release.path)
    with host(store, until_empty=True, workers=1, concurrency=1, ticket_target=60.0, **IMPATIENT) as it:
        started.word()
        behind = [s3queue.message(hold.enqueue(started.path, release.path), store) for _ in range(3)]
        assert [one.cancel() for one in behind] == ["cancelled"] * 3
        release.release()
        assert it.summary().messages == 1


def test_running_async_task_is_cancelled_at_once(store: ObjectStore, fifo: Fifo) -> None:
    """Whoever would wait for a lease or a heartbeat to find out would wait for an hour."""
    started = fifo("started")
    running = s3queue.message(idle_async.enqueue(started.path), store)
    hour = 3600.0
    with host(store, until_empty=True, workers=1, concurrency=1, visibility_timeout=hour, leader_lease=hour) as it:
        started.word()
        assert running.cancel(reason="too slow", timeout=DEADLINE_S) == "cancelled"
        assert running.status() == "cancelled"
        assert it.summary().deaths == 0
    assert Queue(hold.queue, store).stats().dead == 0


def test_task_that_does_not_heed_a_cancel_ends_with_its_process_and_its_neighbour_pays_nothing(
    store: ObjectStore, fifo: Fifo
) -> None:
    started, neighbour, release = fifo("started"), fifo("neighbour"), fifo("release")
    stubborn = s3queue.message(hold.enqueue(started.path, release.path), store)
    beside = s3queue.message(hold.enqueue(neighbour.path, release.path), store)
    with host(store, until_empty=True, workers=1, concurrency=2) as it:
        _, pid, _ = started.word()
        assert neighbour.word()[:2] == ["1", pid]
        assert stubborn.cancel(force_after=0.1) == "cancelled"
        attempt, other_pid, _ = neighbour.word()
        assert (attempt, other_pid != pid) == ("2", True)
        (failure,) = failures(store)
        assert (failure.attempt, failure.cause) == (1, "interrupted")
        release.release()
        assert it.summary().deaths == 1
    assert (stubborn.status(), beside.status()) == ("cancelled", "unknown")
    counts = Queue(hold.queue, store).stats()
    assert (counts.done, counts.dead) == (1, 0)


def test_cancelled_message_of_a_batch_ends_with_its_process_and_the_others_pay_nothing(
    store: ObjectStore, fifo: Fifo
) -> None:
    started, release = fifo("started"), fifo("release")
    words = f"{started.path} {release.path}"
    stubborn, beside = (s3queue.message(one, store) for one in held.enqueue_many([(words,), (words,)]))
    with host(store, until_empty=True, workers=1, concurrency=1) as it:
        many, pid, attempts = started.word()
        assert (many, attempts) == ("2", "1,1")
        assert stubborn.cancel(force_after=0.1) == "cancelled"
        held.enqueue(words)  # what was beside it would wait for another
        many, other_pid, attempts = started.word()
        assert (many, other_pid != pid, attempts) == ("2", True, "1,2")  # of one: no attempt was counted
        release.release()
        assert it.summary().deaths == 1
    assert (stubborn.status(), beside.status()) == ("cancelled", "unknown")
    counts = Queue(held.queue, store).stats(exact=True)
    assert (counts.done, counts.cancelled, counts.dead) == (2, 1, 0)
