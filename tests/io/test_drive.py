"""The driver against a real store whose next answers are scripted."""

from __future__ import annotations

import asyncio
import math
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from s3queue_backends.memory import MemoryStore

from s3queue.core.ops import Delete, Gather, Get, List, Missed, Op, Put, Step, Unknown
from s3queue.core.records import Usage
from s3queue.errors import OutcomeUnknown, StoreDenied, StoreUnavailable
from s3queue.io import drive
from s3queue.io.drive import Driver, pauses
from s3queue.io.meter import WORDS, Meter
from s3queue.runtime.agent import programs
from s3queue.store import Capabilities, Conflict, Found, Listed, Missing, Stored, Unchanged

UNAVAILABLE = StoreUnavailable("test", "k")


class Scripted(MemoryStore):
    """Raises what the script says, request by request; None, and everything after its end, is answered."""

    def __init__(self, *script: Exception | None) -> None:
        super().__init__()
        self._script = list(script)
        self.before_get: Callable[[str], None] | None = None
        self.closed = False

    def _next(self) -> None:
        fault = self._script.pop(0) if self._script else None
        if fault is not None:
            raise fault

    def get(self, key: str, *, unless: str | None = None) -> Found | Unchanged | Missing:
        if self.before_get is not None:
            self.before_get(key)
        self._next()
        return super().get(key, unless=unless)

    def put(self, key: str, body: bytes, *, if_version: str | None) -> Stored | Conflict:
        self._next()
        return super().put(key, body, if_version=if_version)

    def delete(self, keys: Any) -> None:
        self._next()
        super().delete(keys)

    def list(self, prefix: str, *, after: str = "", limit: int = 1000) -> Any:
        self._next()
        return super().list(prefix, after=after, limit=limit)

    def close(self) -> None:
        self.closed = True
        super().close()


@pytest.fixture(autouse=True)
def no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    """Back-off is between requests; nothing here waits for it."""
    monkeypatch.setattr(drive, "_FIRST_PAUSE_S", 0.0)


def ask(*ops: Op) -> Step[list[Any]]:
    """A step that asks these and returns the outcomes."""
    outcomes: list[Any] = []
    for op in ops:
        outcomes.append((yield op))
    return outcomes


class TestOperations:
    def test_each_is_performed_and_counted(self) -> None:
        driver = Driver(MemoryStore())
        stored, again, found, unchanged, listed, deleted, missing = driver.run(
            ask(
                Put("k", b"x", None),
                Put("k", b"y", None),
                Get("k"),
                Get("k", "9dd4e461268c8034f5c8564e155c67a6"),
                List("", "", 10),
                Delete(("k",)),
                Get("k"),
            )
        )
        version = "9dd4e461268c8034f5c8564e155c67a6"
        assert (stored, again) == (Stored(version), Conflict())
        assert (found, unchanged, missing) == (Found(b"x", version), Unchanged(), Missing())
        assert list(listed) == [Listed("k", version, 1)]
        assert deleted is None
        assert driver.meter.as_dict() == {"put": 2, "get": 3, "list": 1, "delete": 1}
        assert driver.meter.usage == Usage(put=2, get=3, list=1, delete=1, sent=2, received=1, conflicts=1)

    def test_counts_stand_where_they_survive_the_process_and_are_gone_on_with(self) -> None:
        shared = memoryview(bytearray(8 * WORDS)).cast("Q")
        Meter(shared).puts(10)
        driver = Driver(MemoryStore(), Meter(shared))
        driver.run(ask(Put("k", b"x", None), Get("k"), Get("k"), List(""), List(""), List(""), Delete(("k",))))
        assert Meter(shared).usage == Usage(put=2, get=2, list=3, delete=1, sent=11, received=2)

    def test_no_answer_to_a_put_is_a_value_and_nothing_is_sent_again(self) -> None:
        driver = Driver(Scripted(OutcomeUnknown("put", "k")))
        assert driver.run(ask(Put("k", b"x", None), Get("k"))) == [Unknown(), Missing()]
        assert driver.meter.as_dict()["put"] == 1
        assert driver.meter.usage.unanswered == 1

    def test_a_step_that_asks_nothing_ends(self) -> None:
        assert Driver(MemoryStore()).run(ask()) == []


class TestUnavailable:
    @pytest.mark.parametrize("op", [Get("k"), Put("k", b"x", None), List(""), Delete(("k",)), Gather((Get("k"),))])
    def test_what_was_not_applied_is_asked_again_and_each_request_counts(self, op: Op) -> None:
        told: list[StoreUnavailable] = []
        driver = Driver(Scripted(UNAVAILABLE, UNAVAILABLE), patience_s=1e9, on_retry=told.append)
        driver.run(ask(op))
        assert told == [UNAVAILABLE, UNAVAILABLE]
        assert driver.meter.usage.retries == 2
        assert sum(driver.meter.as_dict().values()) == 3

    def test_out_of_patience_the_step_is_told_and_ends(self) -> None:
        driver = Driver(Scripted(UNAVAILABLE), patience_s=0.0)
        with pytest.raises(StoreUnavailable):
            driver.run(ask(Get("k"), Get("k")))
        assert driver.meter.usage.get == 1

    def test_patience_is_counted_anew_for_each_operation(self) -> None:
        driver = Driver(Scripted(UNAVAILABLE, None, UNAVAILABLE), patience_s=1e9)
        driver.run(ask(Get("a"), Get("b")))
        assert driver.meter.usage.get == 4

    def test_unavailable_and_then_unanswered_is_unknown(self) -> None:
        driver = Driver(Scripted(UNAVAILABLE, OutcomeUnknown("put", "k")), patience_s=1e9)
        assert driver.run(ask(Put("k", b"x", None))) == [Unknown()]

    def test_a_refusal_is_told_at_once(self) -> None:
        driver = Driver(Scripted(StoreDenied("get", "k")), patience_s=1e9)
        with pytest.raises(StoreDenied):
            driver.run(ask(Get("k")))
        assert driver.meter.usage.get == 1

    def test_a_step_that_lives_through_a_fault_goes_on(self) -> None:
        def stubborn() -> Step[Any]:
            try:
                yield Get("k")
            except StoreUnavailable:
                return (yield Get("other"))

        assert Driver(Scripted(UNAVAILABLE), patience_s=0.0).run(stubborn()) == Missing()


class TestGather:
    KEYS = tuple(f"k{number}" for number in range(6))

    def store(self) -> Scripted:
        store = Scripted()
        for key in self.KEYS:
            store.put(key, key.encode(), if_version=None)
        return store

    def test_outcomes_come_in_the_order_of_the_reads_whichever_is_answered_first(self) -> None:
        store, last_came = self.store(), threading.Event()

        def hold_the_first(key: str) -> None:
            if key == self.KEYS[0]:
                assert last_came.wait(60)
            elif key == self.KEYS[-1]:
                last_came.set()

        store.before_get = hold_the_first
        driver = Driver(store)
        (outcomes,) = driver.run(ask(Gather(tuple(Get(key) for key in self.KEYS))))
        assert [found.body.decode() for found in outcomes] == list(self.KEYS)
        assert driver.meter.usage.get == 6
        driver.close()

    def test_so_many_at_a_time_and_listings_among_them(self) -> None:
        store, met = self.store(), threading.Barrier(len(self.KEYS))

        def meet(key: str) -> None:
            met.wait(60)

        store.before_get = meet
        driver = Driver(store, readers=len(self.KEYS) + 1)
        reads = (List("k"), *(Get(key) for key in self.KEYS))
        (outcomes,) = driver.run(ask(Gather(reads)))
        assert [item.key for item in outcomes[0]] == list(self.KEYS)
        assert (driver.meter.usage.list, driver.meter.usage.get) == (1, 6)
        driver.close()

    def test_one_read_that_cannot_be_answered_fails_it(self) -> None:
        store = self.store()

        def refuse(key: str) -> None:
            if key == "k3":
                raise UNAVAILABLE

        store.before_get = refuse
        driver = Driver(store, patience_s=0.0)
        with pytest.raises(StoreUnavailable):
            driver.run(ask(Gather(tuple(Get(key) for key in self.KEYS))))
        driver.close()

    def test_each_read_is_asked_again_on_its_own(self) -> None:
        driver = Driver(self.store(), patience_s=1e9)
        driver.store._script = [UNAVAILABLE, UNAVAILABLE]  # type: ignore[attr-defined]
        (outcomes,) = driver.run(ask(Gather(tuple(Get(key) for key in self.KEYS))))
        assert all(isinstance(found, Found) for found in outcomes)
        assert driver.meter.usage.get == 8
        driver.close()


class TestAsync:
    def run(self, driver: Driver, step: Step[Any]) -> Any:
        with ThreadPoolExecutor(1) as threads:
            return asyncio.run(programs.run(step, driver, threads))

    def test_a_step_runs_in_its_task_and_each_operation_in_a_thread(self) -> None:
        store, asked_in = MemoryStore(), []
        home = threading.current_thread()

        def step() -> Step[Any]:
            asked_in.append(threading.current_thread())
            first = yield Put("k", b"x", None)
            asked_in.append(threading.current_thread())
            return first

        assert isinstance(self.run(Driver(store), step()), Stored)
        assert asked_in == [home, home]

    def test_faults_reach_the_step(self) -> None:
        def stubborn() -> Step[Any]:
            try:
                yield Get("k")
            except StoreUnavailable:
                return (yield Get("other"))

        assert self.run(Driver(Scripted(UNAVAILABLE), patience_s=0.0), stubborn()) == Missing()
        with pytest.raises(StoreDenied):
            self.run(Driver(Scripted(StoreDenied("get"))), ask(Get("k")))


class TestReadsThatDoNotWaitForEachOther:
    def test_one_that_fails_is_missed_and_the_others_are_found(self) -> None:
        store = Scripted(StoreDenied("get", "a"))
        driver = Driver(store, patience_s=0.0, readers=1)
        ((first, second),) = driver.run(ask(Gather((Get("a"), Get("b")), math.inf)))
        assert isinstance(first, Missed)
        assert isinstance(first.fault, StoreDenied)
        assert second == Missing()
        driver.close()

    def test_one_that_hangs_is_missed_and_holds_up_nothing(self) -> None:
        class Hangs(Scripted):
            capabilities = Capabilities("far")

            def get(self, key: str, *, unless: str | None = None) -> Any:
                if key == "hangs":
                    released.wait()
                return super().get(key, unless=unless)

        released = threading.Event()
        driver = Driver(Hangs(), readers=2)
        ((first, second),) = driver.run(ask(Gather((Get("hangs"), Get("b")), 0.2)))
        assert (first, second) == (Missed(), Missing())
        released.set()
        driver.close()

    def test_reads_that_hang_hold_up_no_listing(self) -> None:
        class Hangs(Scripted):
            capabilities = Capabilities("far")

            def get(self, key: str, *, unless: str | None = None) -> Any:
                released.wait()
                return super().get(key, unless=unless)

        released, listed = threading.Event(), threading.Event()
        driver = Driver(Hangs(), readers=2)
        (missed,) = driver.run(ask(Gather((Get("a"), Get("b"), Get("c")), 0.01)))
        assert missed == [Missed()] * 3

        def survey() -> None:
            assert driver.run(ask(Gather((List("a"), List("b"))))) == [[[], []]]
            listed.set()

        threading.Thread(target=survey, daemon=True).start()
        done = listed.wait(10)
        released.set()
        driver.close()
        assert done, "every thread was at a read that hangs"


class TestClose:
    def test_it_closes_the_store_and_both_may_be_used_again(self) -> None:
        store = Scripted()
        driver = Driver(store)
        gather = Gather((Get("a"), Get("b")))
        driver.run(ask(gather))
        driver.close()
        assert store.closed
        assert driver.run(ask(gather)) == [[Missing(), Missing()]]
        driver.close()


def test_pauses_between_tries_double_up_to_a_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("s3queue.io.drive.random.uniform", lambda low, high: high)
    waits = pauses(0.05, 2.0)
    assert [next(waits) for _ in range(8)] == [0.05, 0.1, 0.2, 0.4, 0.8, 1.6, 2.0, 2.0]
