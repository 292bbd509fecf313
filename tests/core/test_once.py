"""Enqueue only once, driven by hand."""

from __future__ import annotations

from typing import Any

import pytest

from s3queue.core.keys import DEDUP, UNIQUE, Layout, gate_of, source_path
from s3queue.core.once import Again, Call, Once, enqueue_once
from s3queue.core.ops import Get, Put, Unknown
from s3queue.core.produce import Outgoing, Unanswered
from s3queue.core.records import Gate, decode, encode
from s3queue.store import Conflict, Found, Missing, Stored

LAYOUT = Layout()
GATE = gate_of(UNIQUE, "it")
KEY = LAYOUT.gate("q", GATE)
NOW_MS = 1_700_000_000_000


def path(number: int, gate: str = GATE) -> str:
    return source_path("q", sent_ms=NOW_MS, batch=f"{number:x}", count=1, gate=gate)


def start(call: Call, number: int, *, in_time: bool = True, now_ms: int = NOW_MS) -> Any:
    step = enqueue_once(
        LAYOUT, call, Outgoing(path(number, call.gate), b"body", 1), now_ms, f"n{number}", lambda: in_time
    )
    return step, next(step)


def end(step: Any, given: Any) -> Any:
    with pytest.raises(StopIteration) as stop:
        step.send(given)
    return stop.value.value


def there(number: int, *, held: bool, nonce: str = "other", gate: str = GATE, **more: Any) -> Found:
    return Found(encode(Gate(nonce, path(number, gate), held, **more)), f"v{number}")


def test_who_comes_first_takes_the_gate_and_stores_the_message() -> None:
    step, first = start(Call("q", GATE), 1)
    assert (first.key, first.if_version, decode(Gate, KEY, first.body).path) == (KEY, None, path(1))
    assert step.send(Stored("v")) == Put(LAYOUT.source(path(1)), b"body", None)
    assert end(step, Stored("s")) == Once(path(1), is_new=True)


def test_who_finds_the_gate_held_completes_the_message_behind_it() -> None:
    step, _ = start(Call("q", GATE), 2)
    assert step.send(Conflict()) == Get(KEY)
    assert step.send(there(1, held=True)) == Put(LAYOUT.source(path(1)), b"body", None)
    assert end(step, Conflict()) == Once(path(1), is_new=False)


def test_who_read_the_gate_long_ago_completes_nothing() -> None:
    """The message behind it may be over by now, and forgotten."""
    step, _ = start(Call("q", GATE), 2, in_time=False)
    step.send(Conflict())
    assert end(step, there(1, held=True)) == Again()


def test_free_gate_is_taken_with_another_path_than_the_one_that_was_refused() -> None:
    """What was offered may have been taken, completed and settled between the first put and the look at the gate."""
    call = Call("q", GATE)
    step, _ = start(call, 2)
    step.send(Unknown())
    assert end(step, there(1, held=False)) == Again()
    step, second = start(call, 3)
    assert (second.if_version, decode(Gate, KEY, second.body).path) == ("v1", path(3))
    step.send(Stored("v"))
    assert end(step, Stored("s")) == Once(path(3), is_new=True)


def test_earlier_try_that_landed_after_all_is_this_call() -> None:
    call = Call("q", GATE)
    step, _ = start(call, 1)
    step.send(Unknown())
    assert end(step, Missing()) == Unanswered()
    step, _ = start(call, 2)
    step.send(Conflict())
    assert step.send(there(1, held=True, nonce="n1")) == Put(LAYOUT.source(path(1)), b"body", None)
    assert end(step, Conflict()) == Once(path(1), is_new=True)


def test_clock_that_is_behind_finds_no_window_where_there_is_none() -> None:
    call = Call("q", GATE)
    step, _ = start(call, 2, now_ms=NOW_MS - 5000)
    step.send(Conflict())
    assert end(step, there(1, held=False, made_ms=NOW_MS)) == Again()
    assert call.free == "v1"


@pytest.mark.parametrize(("after_ms", "is_over"), [(999, False), (1000, True)])
def test_id_stays_taken_for_its_window_though_its_message_is_over(after_ms: int, is_over: bool) -> None:
    gate = gate_of(DEDUP, "it")
    step, _ = start(Call("q", gate, window_ms=1000), 2, now_ms=NOW_MS + after_ms)
    step.send(Conflict())
    outcome = end(step, there(1, held=False, gate=gate, made_ms=NOW_MS, window_ms=1000))
    assert outcome == (Again() if is_over else Once(path(1, gate), is_new=False))


def test_later_call_takes_a_held_gate_over_where_it_replaces() -> None:
    call = Call("q", GATE, takes_over=True)
    step, _ = start(call, 2)
    step.send(Conflict())
    assert end(step, there(1, held=True)) == Again()
    step, second = start(call, 3)
    assert second.if_version == "v1"
    step.send(Stored("v"))
    assert end(step, Stored("s")) == Once(path(3), is_new=True, replaced=path(1))


def test_message_that_was_cut_short_on_its_way_is_made_whole() -> None:
    call = Call("q", GATE)
    step, _ = start(call, 1)
    step.send(Stored("v"))
    assert end(step, Unknown()) == Unanswered()
    step, _ = start(call, 2)
    step.send(Conflict())
    step.send(there(1, held=True, nonce="n1"))
    assert step.send(Conflict()) == Get(LAYOUT.source(path(1)))
    assert step.send(Found(b"bo", "cut")) == Put(LAYOUT.source(path(1)), b"body", "cut")
    assert end(step, Stored("s")) == Once(path(1), is_new=True)
