"""Callers that share puts."""

from __future__ import annotations

import asyncio
import os
import signal
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from s3queue_backends.memory import MemoryStore
from s3queue_backends.sqlite import SqliteStore

import s3queue
from s3queue import Config, ConfigError, EnqueueUncertain, Producer, Queue, StoreUnavailable, configure
from s3queue.core.keys import Layout
from s3queue.enqueue.loading import load
from s3queue.enqueue.sharing import Lane, Waiting
from s3queue.producer import _key
from s3queue.store import Conflict, Stored
from tests.tasks.stored import Troubled, batches, stored

#: Longer than any test runs: a batch is sent since it is full, or the test hangs.
FOREVER = 60.0


class Slow(MemoryStore):
    """Puts of batches wait until they are let go."""

    def __init__(self) -> None:
        super().__init__()
        self.begun, self.go = threading.Semaphore(0), threading.Event()

    def put(self, key: str, body: bytes, *, if_version: str | None) -> Stored | Conflict:
        if key.startswith(Layout().home):
            self.begun.release()
            assert self.go.wait(FOREVER)
        return super().put(key, body, if_version=if_version)


def test_calls_that_come_while_a_put_is_under_way_share_the_next_one() -> None:
    store = Slow()
    queue = Queue("q", store)
    queue.newest_first()
    with ThreadPoolExecutor(9) as pool, Producer(store, linger=FOREVER) as producer:
        first = pool.submit(producer.send, queue, 0)
        assert store.begun.acquire(timeout=FOREVER)
        others = [pool.submit(producer.send, queue, n) for n in range(1, 8)]
        while (
            len(batch.messages if (batch := producer._lanes[_key(load(queue, "", [queue_payload(0)]))].open) else [])
            < 7
        ):
            time.sleep(0.001)
        # The batch of those seven is full when an eighth has come: so many callers there are.
        store.go.set()
        first.result(FOREVER)
        others.append(pool.submit(producer.send, queue, 8))
        ids = {first.result(), *[other.result(FOREVER) for other in others]}
    assert len(ids) == 9
    assert sorted(stored(store)) == list(range(9))
    assert [len(payloads) for _, payloads in batches(store)] == [1, 8]


def test_caller_that_is_alone_does_not_linger(store: MemoryStore) -> None:
    with Producer(linger=FOREVER) as producer:
        for n in range(5):
            producer.send(Queue("q"), n)
    assert stored(store) == list(range(5))


def test_order_within_a_thread_is_kept(store: MemoryStore) -> None:
    @s3queue.task("q")
    def note(who: int, n: int) -> None: ...

    def work(who: int) -> None:
        for n in range(50):
            producer.enqueue(note, who, n)

    with Producer(linger=0.001) as producer, ThreadPoolExecutor(8) as pool:
        list(pool.map(work, range(8)))
    came = [(one["who"], one["n"]) for one in stored(store)]
    assert len(came) == 400
    for who in range(8):
        assert [n for one, n in came if one == who] == list(range(50))


def test_coroutines_share_puts_and_each_gets_its_own_id(store: MemoryStore) -> None:
    @s3queue.task("q")
    def note(n: int) -> None: ...

    async def main() -> list[str]:
        with Producer(linger=0.05) as producer:
            return await asyncio.gather(*[producer.aenqueue(note, n) for n in range(200)])

    ids = asyncio.run(main())
    assert len(set(ids)) == 200
    assert len(batches(store)) < 20
    assert sorted(one["n"] for one in stored(store)) == list(range(200))


def test_messages_with_other_options_do_not_share(store: MemoryStore) -> None:
    @s3queue.task("q")
    def note(n: int) -> None: ...

    with Producer() as producer:
        producer.enqueue(note.options(group="a", priority=2), 1)
        producer.enqueue(note.options(delay=60, max_attempts=1), 2)
    assert [one["n"] for one in stored(store)] == [1]
    assert len(list(store.list(Layout().home))) >= 2


def failing(*troubles: str) -> tuple[Any, list[BaseException]]:
    """What two callers of one batch get."""
    store = Troubled(*troubles)
    queue = Queue("q", store, config=Config(enqueue_deadline=0.1))
    queue.newest_first()
    producer = Producer(store, linger=FOREVER)
    producer._lanes[_key(load(queue, "", [queue_payload(0)]))] = Lane(peak=2)  # there were two of late
    faults: list[BaseException] = []

    def call(n: int) -> None:
        try:
            producer.send(queue, n)
        except Exception as fault:  # noqa: BLE001
            faults.append(fault)

    with ThreadPoolExecutor(2) as pool:
        list(pool.map(call, [1, 2]))
    return store, faults


def queue_payload(n: int) -> Any:
    from s3queue.payloads.codec import encode_value

    return encode_value(n, "message")


def test_each_caller_of_a_batch_that_failed_is_told_by_an_exception_of_its_own() -> None:
    store, faults = failing(*["lost"] * 100)
    assert len(faults) == 2
    assert all(isinstance(fault, EnqueueUncertain) for fault in faults)
    assert faults[0] is not faults[1]
    store.troubles = []
    again = [fault.enqueue_again() for fault in faults if isinstance(fault, EnqueueUncertain)]
    assert again == [[fault.message_id] for fault in faults if isinstance(fault, EnqueueUncertain)]
    assert sorted(stored(store)) == [1, 2]
    assert len(batches(store)) == 1


def test_batch_that_is_not_stored_says_so_to_each_caller() -> None:
    store, faults = failing(*["unavailable"] * 1000)
    assert [type(fault) for fault in faults] == [StoreUnavailable] * 2
    assert stored(store) == []


def test_cancelled_call_whose_batch_is_not_sent_stores_nothing(store: MemoryStore) -> None:
    queue = Queue("q")
    queue.newest_first()

    async def main() -> None:
        with Producer(linger=FOREVER) as producer:
            lane = producer._lanes[_key(load(queue, "", [queue_payload(0)]))] = Lane(peak=9)  # nor is it alone
            call = asyncio.create_task(producer.asend(queue, 1))
            await asyncio.sleep(0)
            call.cancel()
            with pytest.raises(asyncio.CancelledError):
                await call
            assert lane.inside == 0

    asyncio.run(main())
    assert stored(store) == []


def test_coroutine_stores_its_batch_though_every_thread_of_its_loop_waits_for_that(store: MemoryStore) -> None:
    async def main() -> None:
        loop, queue, go = asyncio.get_running_loop(), Queue("q"), threading.Event()
        loop.set_default_executor(ThreadPoolExecutor(1))
        with Producer(linger=FOREVER) as producer:
            lane = producer._lanes[_key(load(queue, "", [queue_payload(0)]))] = Lane(peak=2)
            last = loop.run_in_executor(None, lambda: go.wait(FOREVER) and producer.send(queue, 2))
            first = asyncio.create_task(producer.asend(queue, 1))
            while lane.open is None:
                await asyncio.sleep(0)
            go.set()
            async with asyncio.timeout(FOREVER / 3):
                await asyncio.gather(first, last)

    asyncio.run(main())
    assert [payloads for _, payloads in batches(store)] == [[1, 2]]


def test_coroutine_stores_its_batch_though_no_thread_can_be_started(
    store: MemoryStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At the end of the interpreter. Whoever joined the batch would wait for ever."""

    def refuse(_: threading.Thread) -> None:
        raise RuntimeError("can't create new thread at interpreter shutdown")

    monkeypatch.setattr(threading.Thread, "start", refuse)
    with Producer() as producer:
        asyncio.run(producer.asend(Queue("q"), 1))
    assert stored(store) == [1]


def two_expected(producer: Producer, queue: Queue) -> Lane:
    """The lane of a queue in which there were two callers of late."""
    queue.newest_first()
    lane = producer._lanes[_key(load(queue, "", [queue_payload(0)]))] = Lane(peak=2)
    return lane


class Noting(MemoryStore):
    """Notes which threads stored batches."""

    def __init__(self) -> None:
        super().__init__()
        self.threads: list[int] = []

    def put(self, key: str, body: bytes, *, if_version: str | None) -> Stored | Conflict:
        if key.startswith(Layout().home):
            self.threads.append(threading.get_ident())
        return super().put(key, body, if_version=if_version)


def test_caller_that_fills_a_batch_stores_it() -> None:
    store = Noting()
    queue = Queue("q", store)
    with ThreadPoolExecutor(1) as pool, Producer(store, linger=FOREVER) as producer:
        lane = two_expected(producer, queue)
        first = pool.submit(producer.send, queue, 1)
        while lane.open is None:
            time.sleep(0.001)
        producer.send(queue, 2)
        first.result(FOREVER)
    assert store.threads == [threading.get_ident()]
    assert [payloads for _, payloads in batches(store)] == [[1, 2]]


def test_batch_that_a_coroutine_fills_is_stored_by_the_thread_that_keeps_it() -> None:
    store = Noting()
    queue = Queue("q", store)
    with ThreadPoolExecutor(1) as pool, Producer(store, linger=FOREVER) as producer:
        lane = two_expected(producer, queue)
        first = pool.submit(lambda: (threading.get_ident(), producer.send(queue, 1)))
        while lane.open is None:
            time.sleep(0.001)
        asyncio.run(producer.asend(queue, 2))
        keeper, _ = first.result(FOREVER)
    assert store.threads == [keeper]
    assert [payloads for _, payloads in batches(store)] == [[1, 2]]


def test_signal_that_ends_the_call_of_a_keeper_leaves_nobody_waiting(store: MemoryStore) -> None:
    queue = Queue("q")
    told = threading.Event()

    def end(number: int, frame: Any) -> None:
        told.set()
        raise KeyboardInterrupt

    def other() -> str:
        while lane.open is None:
            time.sleep(0.001)
        sent = pool.submit(producer.send, queue, 2)
        while (batch := lane.open) is None or len(batch.calls) < 2:
            time.sleep(0.001)
        signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGUSR1)
        return sent.result(FOREVER)

    before = signal.signal(signal.SIGUSR1, end)
    try:
        with ThreadPoolExecutor(2) as pool, Producer(linger=FOREVER) as producer:
            lane = two_expected(producer, queue)
            lane.peak = 3
            sent = pool.submit(other)
            with pytest.raises(KeyboardInterrupt):
                producer.send(queue, 1)
            sent.result(FOREVER)
    finally:
        signal.signal(signal.SIGUSR1, before)
    assert told.is_set()
    assert [payloads for _, payloads in batches(store)] == [[1, 2]]


def test_batch_whose_keeper_is_gone_is_stored_by_another_caller(
    store: MemoryStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("s3queue.producer._OVERDUE_S", 0.01)
    queue, producer = Queue("q"), Producer(linger=0)
    two_expected(producer, queue).peak = 3
    producer._join(load(queue, "", [queue_payload(1)]), Waiting())
    producer.send(queue, 2)
    assert [payloads for _, payloads in batches(store)] == [[1, 2]]


def test_loop_that_was_closed_keeps_no_other_caller_from_its_outcome(store: MemoryStore) -> None:
    queue, loop = Queue("q"), asyncio.new_event_loop()
    with Producer(linger=FOREVER) as producer:
        lane = two_expected(producer, queue)
        call = loop.create_task(producer.asend(queue, 1))
        loop.run_until_complete(asyncio.sleep(0))
        assert lane.open is not None
        loop.close()
        producer.send(queue, 2)
        assert [payloads for _, payloads in batches(store)] == [[1, 2]]
        call._log_destroy_pending = False  # type: ignore[attr-defined]
        call.get_coro().close()


def test_closed_producer_takes_nothing(store: MemoryStore) -> None:
    producer = Producer()
    producer.close()
    producer.close()
    with pytest.raises(ConfigError, match="closed"):
        producer.send(Queue("q"), 1)
    assert stored(store) == []


def test_child_of_a_fork_waits_for_nobody_of_its_parent(tmp_path: Path) -> None:
    store = SqliteStore(str(tmp_path / "store.db"))
    queue = Queue("q", store)
    queue.newest_first()
    producer = Producer(linger=FOREVER)
    producer._join(load(queue, "", [queue_payload(0)]), Waiting())  # of a thread that is inside
    with producer._gate:
        pid = os.fork()
        if pid == 0:
            status = 1
            try:
                producer.send(queue, 1)
                status = 0 if stored(store) == [1] else 1
            finally:
                os._exit(status)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0


@pytest.mark.parametrize("linger", [-1, "1", float("nan"), 61, True])
def test_linger_that_is_no_time_is_refused(linger: Any) -> None:
    with pytest.raises(ConfigError, match="linger"):
        Producer(linger=linger)


# ---- streams


class TestStream:
    def test_endless_iterable_is_stored_in_batches_and_held_one_batch_at_a_time(self, store: MemoryStore) -> None:
        told: list[tuple[int, int, int]] = []
        drawn = 0

        def endless() -> Any:
            nonlocal drawn
            while True:
                drawn += 1
                yield (drawn,)

        @s3queue.task("q")
        def note(n: int) -> None: ...

        def progress(it: Any) -> None:
            told.append((it.stored, len(it.ids), drawn))
            if it.stored == 30:
                raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt) as caught:
            note.enqueue_stream(endless(), batch=10, progress=progress)
        assert told == [(10, 10, 10), (20, 10, 20), (30, 10, 30)]
        assert caught.value.__notes__ == ["the first 30 messages of this stream are stored"]
        assert [one["n"] for one in stored(store)] == list(range(1, 31))

    def test_what_ends_is_counted(self, store: MemoryStore) -> None:
        assert Queue("q").enqueue_stream(range(25), batch=10) == 25
        assert [len(payloads) for _, payloads in batches(store)] == [10, 10, 5]
        assert Queue("q").enqueue_stream([]) == 0

    def test_large_messages_go_in_smaller_batches(self, store: MemoryStore) -> None:
        assert Queue("q").enqueue_stream("x" * 1_500_000 for _ in range(7)) == 7
        assert [len(payloads) for _, payloads in batches(store)] == [2, 1, 2, 1, 1]

    @pytest.mark.parametrize("batch", [0, 1001, "10"])
    def test_batch_of_no_such_size_is_refused_before_anything_is_drawn(self, store: MemoryStore, batch: Any) -> None:
        with pytest.raises(ConfigError, match="batch"):
            Queue("q").enqueue_stream(iter(lambda: pytest.fail("was drawn"), 0), batch=batch)

    def test_call_that_does_not_fit_ends_the_stream_and_says_what_is_stored(self, store: MemoryStore) -> None:
        configure(store=store)

        @s3queue.task("q")
        def note(n: int) -> None: ...

        with pytest.raises(ConfigError) as caught:
            note.enqueue_stream([(1,), (2,), ("three",)], batch=2)
        assert caught.value.__notes__ == ["the first 2 messages of this stream are stored"]
        assert [one["n"] for one in stored(store)] == [1, 2]
