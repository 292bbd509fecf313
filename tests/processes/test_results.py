"""What tasks return reaches whoever waits for it, in another process and through the deaths of those that ran it."""

from __future__ import annotations

import asyncio
import pickle
import signal
from collections.abc import Callable

import pytest

import s3queue
from s3queue.core.keys import Layout
from s3queue.queue import Queue
from s3queue.store import ObjectStore
from tests.processes.host import IMPATIENT, Line, host
from tests.processes.jobs import QUEUE, add, add_later, give, hold, quick, refuse

Fifo = Callable[[str], Line]


def test_result_of_a_message_that_runs_elsewhere_is_waited_for(store: ObjectStore) -> None:
    first, second = add.enqueue(1, 2), add_later.enqueue(3, 4)
    assert isinstance(first, str)
    assert first.is_new
    with host(store, workers=1, **IMPATIENT) as it:
        assert first.result() == 3
        assert second.result() == 7
        assert add.enqueue(5, 6).result() == 11, "the first look finds nothing, and the waiter is woken"
        assert s3queue.message(first, store).result(0) == 3
        assert pickle.loads(pickle.dumps(first)).result(0) == 3
        it.signal(signal.SIGTERM)


def test_results_are_awaited(store: ObjectStore) -> None:
    async def several() -> list[int]:
        ids = await add.aenqueue_many([(n, n) for n in range(20)])
        return await asyncio.gather(*(one.aresult() for one in ids))

    with host(store, workers=1, **IMPATIENT) as it:
        assert asyncio.run(several()) == [2 * n for n in range(20)]
        it.signal(signal.SIGTERM)


def test_finished_result_costs_two_gets(store: ObjectStore) -> None:
    ids = add.enqueue_many([(n, 0) for n in range(10)])
    with host(store, until_empty=True, workers=1, **IMPATIENT) as it:
        it.summary()
    assert ids[0].result() == 0, "this process may have to read the board first"
    for number, one in enumerate(ids):
        handle = s3queue.message(one, store)
        assert handle.result(0) == number
        assert handle.meter.as_dict() == {"put": 0, "get": 2, "list": 0, "delete": 0}


def test_one_put_more_for_each_message(store: ObjectStore) -> None:
    def puts(task: object) -> int:
        with host(store, until_empty=True, workers=1, **IMPATIENT) as it:
            return it.summary().usage["worker"]["put"]

    quick.enqueue_many([("/dev/null", n) for n in range(20)])
    assert puts(quick) == 0
    add.enqueue_many([(n, 0) for n in range(20)])
    assert puts(add) == 20


def test_failure_and_cancellation_are_raised(store: ObjectStore, fifo: Fifo) -> None:
    started, release = fifo("started"), fifo("release")
    dead, running = refuse.enqueue("no"), hold.enqueue(started.path, release.path)
    with host(store, workers=1, concurrency=1, **IMPATIENT) as it:
        with pytest.raises(s3queue.TaskFailed, match="RuntimeError: no") as failed:
            dead.result()
        assert failed.value.cause == "error"
        assert pickle.loads(pickle.dumps(failed.value)).error == failed.value.error
        started.word()
        with pytest.raises(TimeoutError):
            s3queue.message(running, store).result(0)
        it.signal(signal.SIGTERM)
        release.release()


def test_message_that_was_never_there_has_no_result(store: ObjectStore) -> None:
    with pytest.raises(s3queue.ResultGone):
        s3queue.message("p00~in~jobs~5~1700000000000-0000000000000000-1~0", store).result()


def test_task_without_results_refuses_to_wait_for_one(store: ObjectStore) -> None:
    with pytest.raises(s3queue.ConfigError, match="result_ttl"):
        quick.enqueue("/dev/null", 1).result()


def test_result_that_cannot_be_kept_is_an_error_of_its_attempt(store: ObjectStore) -> None:
    bad, good = give.enqueue(-1), give.enqueue(3_000_000)
    with host(store, workers=1, **IMPATIENT) as it:
        assert good.result() == b"x" * 3_000_000
        with pytest.raises(s3queue.TaskFailed, match="what it returns: expected `bytes`, got `int`"):
            bad.result()
        it.signal(signal.SIGTERM)
    (letter,) = Queue(QUEUE, store).dead_letters()
    assert letter.id == bad


def test_id_of_a_message_can_be_sent_in_another_message(store: ObjectStore) -> None:
    one = add.enqueue(1, 2)
    quick.enqueue(one, 1)
    Queue(QUEUE, store).enqueue({"id": one})


def test_result_is_stored_under_the_message_and_expires(store: ObjectStore, monkeypatch: pytest.MonkeyPatch) -> None:
    one = add.enqueue(1, 2)
    with host(store, until_empty=True, workers=1, **IMPATIENT) as it:
        it.summary()
    assert [item.key for item in store.list("s3queue/results/")] == [Layout().result(one)]
    assert one.result(0) == 3
    import time

    now = time.time()
    monkeypatch.setattr(time, "time", lambda: now + 61)
    with pytest.raises(s3queue.ResultGone, match="expired"):
        one.result(0)
