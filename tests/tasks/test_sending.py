"""What a caller knows when a call that enqueues does not end well."""

from __future__ import annotations

import asyncio
import logging
import pickle
import threading
import time
from collections.abc import Sequence
from typing import Any

import pytest
from msgspec import Raw
from s3queue_backends.memory import MemoryStore

import s3queue
from s3queue import (
    Config,
    ConfigError,
    CorruptRecord,
    EnqueueUncertain,
    Queue,
    StoreDenied,
    StoreUnavailable,
    configure,
)
from s3queue.core.keys import Layout
from s3queue.enqueue import sending
from s3queue.enqueue.loading import load
from s3queue.enqueue.sending import Sending
from s3queue.errors import OutcomeUnknown
from s3queue.store import Conflict, Stored
from tests.deadline import DEADLINE_S
from tests.tasks.stored import Troubled, stored

LAYOUT = Layout()


def queue_on(store: Any, deadline_s: float = 0.15) -> Queue:
    return Queue("q", store, config=Config(enqueue_deadline=deadline_s))


class TestEnqueueAgain:
    def test_it_sends_the_same_and_returns_the_id(self) -> None:
        store = Troubled(*["lost"] * 100)
        with pytest.raises(EnqueueUncertain) as caught:
            queue_on(store).enqueue("x")
        store.troubles = []
        assert caught.value.enqueue_again() == [caught.value.message_id]
        assert stored(store) == ["x"]
        assert len(set(store.sent)) == 1

    def test_what_had_landed_is_not_stored_twice(self) -> None:
        store = Troubled("landed", *["lost"] * 100)
        with pytest.raises(EnqueueUncertain) as caught:
            queue_on(store).enqueue("x")
        store.troubles = []
        assert caught.value.enqueue_again() == [caught.value.message_id]
        assert caught.value.enqueue_again() == [caught.value.message_id], "and any number of times"
        assert stored(store) == ["x"]

    def test_it_finishes_a_bulk(self) -> None:
        store = Troubled("", *["lost"] * 100)
        with pytest.raises(EnqueueUncertain, match="1000 messages may or may not be stored") as caught:
            queue_on(store).enqueue_many(range(2500))
        uncertain = caught.value
        assert (len(uncertain.stored), len(uncertain.in_doubt)) == (1000, 1000)
        assert uncertain.message_id == uncertain.in_doubt[0]
        store.troubles = []
        ids = uncertain.enqueue_again()
        assert ids[:2000] == [*uncertain.stored, *uncertain.in_doubt]
        assert len(set(ids)) == 2500
        assert stored(store) == list(range(2500))

    def test_newest_first_the_ids_are_in_the_order_of_the_call(self) -> None:
        store = Troubled(*["lost"] * 100)
        queue = Queue("q", store, order="lifo", config=Config(enqueue_deadline=0.1))
        with pytest.raises(EnqueueUncertain) as caught:
            queue.enqueue_many(range(3))
        store.troubles = []
        assert caught.value.enqueue_again() == list(caught.value.in_doubt)
        assert [message[-1] for message in caught.value.in_doubt] == ["2", "1", "0"]

    def test_it_may_be_uncertain_again(self) -> None:
        store = Troubled(*["lost"] * 100)
        with pytest.raises(EnqueueUncertain) as first:
            queue_on(store).enqueue("x")
        with pytest.raises(EnqueueUncertain) as second:
            first.value.enqueue_again()
        assert second.value.message_id == first.value.message_id

    def test_it_is_refused_when_the_queue_may_have_forgotten_the_message(self) -> None:
        store = Troubled(*["lost"] * 100)
        with pytest.raises(EnqueueUncertain) as caught:
            Queue("q", store, config=Config(enqueue_deadline=0.1, dedup_window=0.2)).enqueue("x")
        sent, age_s = len(store.sent), 0.2 / 5
        until = time.monotonic() + age_s
        while time.monotonic() <= until:
            time.sleep(age_s)
        with pytest.raises(ConfigError, match="cannot be sent again safely"):
            caught.value.enqueue_again()
        assert len(store.sent) == sent

    def test_a_machine_that_was_suspended_between_two_tries_sends_no_more(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """The first try may have landed, and be run and forgotten by now."""
        slept: list[float] = []
        monkeypatch.setattr(time, "sleep", slept.append)
        monkeypatch.setattr(sending, "clock", lambda: 7200.0 * len(slept))
        store = Troubled(*["lost"] * 100)
        with pytest.raises(EnqueueUncertain) as caught:
            queue_on(store, 60.0).enqueue("x")
        assert (len(store.sent), len(slept)) == (1, 1)
        with pytest.raises(ConfigError, match="cannot be sent again safely"):
            caught.value.enqueue_again()

    def test_another_process_has_only_the_ids(self) -> None:
        store = Troubled(*["lost"] * 100)
        with pytest.raises(EnqueueUncertain) as caught:
            queue_on(store).enqueue("x")
        there = pickle.loads(pickle.dumps(caught.value))
        assert (there.message_id, there.in_doubt) == (caught.value.message_id, caught.value.in_doubt)
        with pytest.raises(ConfigError, match="only the process"):
            there.enqueue_again()

    def test_a_key_that_something_else_stands_under_is_certain(self) -> None:
        class Taken(Troubled):
            def put(self, key: str, body: bytes, *, if_version: str | None) -> Stored | Conflict:
                if key.startswith(LAYOUT.inbox):
                    self.inner.put(key, b"something else", if_version=None)
                return super().put(key, body, if_version=if_version)

        with pytest.raises(CorruptRecord, match="another object has the key") as caught:
            queue_on(Taken()).enqueue("x")
        assert EnqueueUncertain.behind(caught.value) is None

    def test_a_refusal_after_no_answer_is_still_uncertain(self) -> None:
        class ThenDenied(Troubled):
            def put(self, key: str, body: bytes, *, if_version: str | None) -> Stored | Conflict:
                if self.sent:
                    raise StoreDenied("put", key)
                return super().put(key, body, if_version=if_version)

        with pytest.raises(EnqueueUncertain):
            queue_on(ThenDenied("landed"), 5).enqueue("x")

    def test_from_an_event_loop(self) -> None:
        store = Troubled(*["lost"] * 100)
        configure(store=store, enqueue_deadline=0.1)

        @s3queue.task("q")
        def it(n: int) -> None: ...

        async def main() -> None:
            with pytest.raises(EnqueueUncertain) as caught:
                await it.aenqueue(1)
            store.troubles = []
            assert await caught.value.aenqueue_again() == [caught.value.message_id]

        asyncio.run(main())
        assert stored(store) == [{"n": 1}]


class Held(MemoryStore):
    """Puts of batches wait until they are let go."""

    def __init__(self) -> None:
        super().__init__()
        self.reached, self.go = threading.Event(), threading.Event()
        self.fault: BaseException | None = None
        self.hold = LAYOUT.home

    def put(self, key: str, body: bytes, *, if_version: str | None) -> Stored | Conflict:
        if key.startswith(self.hold):
            self.reached.set()
            self.go.wait(DEADLINE_S)
        outcome = super().put(key, body, if_version=if_version)
        if self.fault is not None and key.startswith(LAYOUT.home):
            raise self.fault
        return outcome


class TestInterrupted:
    def cancelled(self, store: Held, count: int = 1) -> tuple[BaseException, EnqueueUncertain | None]:
        """The exception of a call that was cancelled by `asyncio.wait_for` while a put was under way."""

        async def main() -> tuple[BaseException, EnqueueUncertain | None]:
            call = asyncio.ensure_future(Sending(lambda: load(Queue("q", store), "", [Raw(b"\x01")] * count)).arun())
            await asyncio.to_thread(store.reached.wait, DEADLINE_S)
            try:
                await asyncio.wait_for(call, 0)
            except TimeoutError as late:
                return late, EnqueueUncertain.behind(late)
            finally:
                store.go.set()
            raise AssertionError("not cancelled")

        return asyncio.run(main())

    def test_cancelled_by_wait_for_the_id_is_behind_the_exception(self) -> None:
        store = Held()
        _, uncertain = self.cancelled(store)
        assert uncertain is not None
        assert uncertain.enqueue_again() == [uncertain.message_id]
        assert stored(store) == [1]

    def test_cancelled_while_the_settings_are_asked_for_nothing_is_sent(self) -> None:
        store = Held()
        store.hold = LAYOUT.meta("q")
        _, uncertain = self.cancelled(store)
        assert uncertain is None
        assert stored(store) == [], "nor later: asyncio.run has waited for the thread"

    def test_cancelled_in_a_bulk_no_further_batch_is_sent(self) -> None:
        store = Held()
        _, uncertain = self.cancelled(store, 2500)
        assert uncertain is not None
        assert len(stored(store)) == 1000
        assert len(uncertain.enqueue_again()) == len(stored(store)) == 2500

    def test_through_the_task(self) -> None:
        store = Held()
        configure(store=store)

        @s3queue.task("q")
        def it(n: int) -> None: ...

        async def main() -> EnqueueUncertain | None:
            call = asyncio.ensure_future(it.aenqueue(5))
            await asyncio.to_thread(store.reached.wait, DEADLINE_S)
            call.cancel()
            store.go.set()
            try:
                await call
            except asyncio.CancelledError as cancelled:
                return EnqueueUncertain.behind(cancelled)
            raise AssertionError("not cancelled")

        uncertain = asyncio.run(main())
        assert uncertain is not None
        assert uncertain.enqueue_again() == [uncertain.message_id]
        assert stored(store) == [{"n": 5}]

    @pytest.mark.parametrize("fault", [KeyboardInterrupt(), MemoryError(), RuntimeError("a fault of the backend")])
    def test_any_other_end_is_passed_on_with_the_id_behind_it(self, fault: BaseException) -> None:
        store = Held()
        store.go.set()
        store.fault = fault
        with pytest.raises(type(fault)) as caught:
            Queue("q", store).enqueue("x")
        store.fault = None
        uncertain = EnqueueUncertain.behind(caught.value)
        assert uncertain is not None
        assert uncertain.enqueue_again() == [uncertain.message_id]
        assert stored(store) == ["x"]

    def test_a_call_that_sent_nothing_has_nothing_behind_it(self) -> None:
        with pytest.raises(ConfigError) as caught:
            Queue("q", MemoryStore()).enqueue(object())
        assert EnqueueUncertain.behind(caught.value) is None


class TestStoredIsStored:
    """After a message is stored nothing may raise."""

    def test_without_a_directory_for_temporary_files(self, monkeypatch: pytest.MonkeyPatch) -> None:
        def none() -> str:
            raise FileNotFoundError(2, "No usable temporary directory found")

        monkeypatch.setattr("tempfile.gettempdir", none)
        store = MemoryStore()
        queue = Queue("q", store)
        assert len({queue.enqueue(1), queue.enqueue(2)}) == 2
        assert stored(store) == [1, 2]

    def test_with_a_history_that_cannot_be_written(self) -> None:
        store = MemoryStore()
        assert Queue("q", store, config=Config(history="/dev/null/history")).enqueue(1)
        assert stored(store) == [1]

    def test_with_a_log_handler_that_raises(self) -> None:
        class Broken(logging.Handler):
            def emit(self, record: logging.LogRecord) -> None:
                raise RuntimeError

        logger, broken = logging.getLogger("s3queue.producer"), Broken()
        logger.addHandler(broken)
        logger.setLevel(logging.DEBUG)
        store = Troubled("lost")
        try:
            assert Queue("q", store).enqueue(1)
        finally:
            logger.removeHandler(broken)
            logger.setLevel(logging.NOTSET)
        assert stored(store) == [1]


class TestSettings:
    """Nothing is enqueued on settings of a queue that are not known to be stored."""

    class Unanswering(MemoryStore):
        def __init__(self, unanswered: int) -> None:
            super().__init__()
            self.unanswered = unanswered
            self.asked: list[bytes] = []

        def put(self, key: str, body: bytes, *, if_version: str | None) -> Stored | Conflict:
            if key == LAYOUT.meta("q"):
                self.asked.append(body)
                if len(self.asked) <= self.unanswered:
                    raise OutcomeUnknown("put", key)
            return super().put(key, body, if_version=if_version)

        def list(self, prefix: str, *, after: str = "", limit: int = 1000) -> Sequence[Any]:
            return super().list(prefix, after=after, limit=limit)

    def test_put_of_settings_that_is_never_answered_stores_no_message(self) -> None:
        store = self.Unanswering(10**9)
        with pytest.raises(StoreUnavailable, match="nothing was enqueued"):
            queue_on(store).enqueue(1)
        assert store.list("") == []

    def test_put_of_settings_that_is_answered_late_is_sent_again_as_it_was(self) -> None:
        store = self.Unanswering(5)
        queue_on(store, 30).enqueue(1)
        assert len(set(store.asked)) == 1
        assert stored(store) == [1]

    def test_another_producer_that_was_faster_meanwhile_decides(self) -> None:
        store = self.Unanswering(10**9)
        queue = queue_on(store)
        with pytest.raises(StoreUnavailable):
            queue.enqueue(1)
        store.unanswered = 0
        Queue("q", store, order="lifo").enqueue(2)
        queue.enqueue(3)
        assert stored(store) == [3, 2], "newest first, for both"


class TestReserve:
    """An id that is chosen before the message is sent, as for a message that waits for a commit."""

    @pytest.mark.parametrize("order", ["fifo", "lifo"])
    def test_the_message_is_stored_under_the_id_that_was_reserved(self, order: Any) -> None:
        store = Troubled()
        queue = Queue("q", store, order=order)
        sending = Sending(lambda: load(queue, "", [Raw(b"\xa1x")]))
        told = sending.reserve()
        assert stored(store) == []
        assert sending.run() == [told]
        assert stored(store) == ["x"]
        assert [one.id for one in queue.messages()] == [told]

    def test_without_an_answer_the_same_message_can_be_sent_again(self) -> None:
        store = Troubled()
        queue = queue_on(store)
        sending = Sending(lambda: load(queue, "", [Raw(b"\xa1x")]))
        told = sending.reserve()
        store.troubles = ["lost"] * 100
        with pytest.raises(EnqueueUncertain) as caught:
            sending.run()
        assert caught.value.message_id == told
        store.troubles = []
        assert caught.value.enqueue_again() == [told]
        assert stored(store) == ["x"]
