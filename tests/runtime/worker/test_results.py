"""How a worker stores what tasks return."""

from __future__ import annotations

import threading

import msgspec
import pytest
from msgspec import Raw
from s3queue_backends.memory import MemoryStore

from s3queue.core.keys import Layout
from s3queue.core.records import Part, Result, decode_result, encode_result
from s3queue.io.clock import clock
from s3queue.io.drive import Driver
from s3queue.observe.events import Events
from s3queue.runtime.local.wire import Deal
from s3queue.runtime.worker.dealt import Dealt
from s3queue.runtime.worker.results import Results, ResultTooLarge, Returned
from s3queue.store import Capabilities, Conflict, Found, Stored
from tests.deadline import DEADLINE_S

LAYOUT = Layout()
SOURCE = "in/q/5/1700000000000-0000000000000000-1"
MESSAGE = LAYOUT.message_id(SOURCE, 0)
VALUE = Raw(msgspec.msgpack.encode(7))
FAR = 1e12


class Bench:
    def __init__(self, trust: float = FAR, most_bytes: int | None = None, store: MemoryStore | None = None) -> None:
        self.store = store or MemoryStore()
        self.trust = [trust]
        self.driver = Driver(self.store)
        self.results = Results(self.driver, LAYOUT, self.trust, Events("worker", None), most_bytes)

    def dealt(self, ticket: str) -> Dealt:
        return Dealt(Deal(0, ticket, "q", (Part(SOURCE, 0, 1, 1),)), 1, threading.Event())

    def stored(self) -> Result | None:
        found = self.store.get(LAYOUT.result(MESSAGE))
        return decode_result("", found.body) if isinstance(found, Found) else None


def test_result_of_a_later_ticket_replaces_that_of_an_earlier_one_and_never_the_other_way_round() -> None:
    it = Bench()
    for ticket, stands in [("1-7", "1-7"), ("2-1", "2-1"), ("1-9", "2-1")]:
        it.results.keep(it.dealt(ticket), MESSAGE, VALUE, 1, 60.0)
        stored = it.stored()
        assert stored is not None
        assert stored.ticket == stands


def test_nothing_is_stored_while_the_trust_window_is_over() -> None:
    it = Bench(trust=0.0)
    dealt = it.dealt("1-1")
    keeping = threading.Thread(target=it.results.keep, args=(dealt, MESSAGE, VALUE, 1, 60.0))
    keeping.start()
    keeping.join(0.05)
    assert it.driver.meter.as_dict()["put"] == 0
    it.trust[0] = FAR
    keeping.join(DEADLINE_S)
    assert it.stored() is not None


def test_session_that_is_over_stores_nothing() -> None:
    it = Bench(trust=clock() - 1)
    dealt = it.dealt("1-1")
    dealt.over = True
    it.results.keep(dealt, MESSAGE, VALUE, 1, 60.0)
    assert it.stored() is None


def test_results_of_one_call_are_stored_beside_each_other_and_each_has_its_own_fault() -> None:
    class Meeting(MemoryStore):
        """A put waits for another one."""

        @property
        def capabilities(self) -> Capabilities:
            return super().capabilities._replace(requests_cost=True)

        def put(self, key: str, body: bytes, *, if_version: str | None) -> Stored | Conflict:
            both.wait(DEADLINE_S)
            return super().put(key, body, if_version=if_version)

    both = threading.Barrier(2)
    it = Bench(most_bytes=100, store=Meeting())
    messages = [LAYOUT.message_id(SOURCE, at) for at in range(3)]
    large = Raw(msgspec.msgpack.encode(b"x" * 101))
    those = [Returned(it.dealt("1-1"), message, VALUE, 1) for message in messages]
    those[1] = those[1]._replace(value=large)
    first, second, third = it.results.keep_all(those, 60.0)
    assert (first, third) == (None, None)
    assert isinstance(second, ResultTooLarge)
    assert {item.key for item in it.store.list("")} == {LAYOUT.result(messages[0]), LAYOUT.result(messages[2])}


def test_value_that_is_larger_than_an_object_may_be_is_refused_before_any_request() -> None:
    it = Bench(most_bytes=100)
    with pytest.raises(ResultTooLarge, match="returned 103 bytes, and one object of this store holds 100"):
        it.results.keep(it.dealt("1-1"), MESSAGE, Raw(msgspec.msgpack.encode(b"x" * 101)), 1, 60.0)
    assert it.driver.meter.as_dict()["put"] == 0


def test_what_nobody_can_read_is_replaced() -> None:
    it = Bench()
    it.store.put(LAYOUT.result(MESSAGE), b"", if_version=None)
    it.results.keep(it.dealt("1-1"), MESSAGE, VALUE, 1, 60.0)
    assert it.stored() is not None


def test_result_survives_its_encoding() -> None:
    result = Result("n", MESSAGE, "1-7", VALUE, 9, 8, 2)
    assert decode_result("", encode_result(result)) == result
