"""A schedule that the control names has an object."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from msgspec import Raw
from s3queue_backends.memory import MemoryStore

from s3queue.core import declare, operate
from s3queue.core.declare import Declared
from s3queue.core.ops import Put, Step, Unknown
from s3queue.core.records import Control, Message, Schedule, decode, encode_batch, encode_message
from s3queue.store import Found
from tests.core.hands import Hand, run
from tests.core.world import LAYOUT, NOW_MS

CONTROL = LAYOUT.control
Make = Callable[[Declared, str], Step[Control | Unknown]]


def one(digest: str = "") -> Declared:
    body = encode_batch([encode_message(Message("t", Raw(b"\xc0")))], NOW_MS)
    return Declared("daily", Schedule(1, "q", "t", every_s=3600, digest=digest), body)


def by_operator(schedule: Declared, nonce: str) -> Step[Control | Unknown]:
    return declare.set_schedule(LAYOUT, schedule, nonce)


def by_code(schedule: Declared, nonce: str) -> Step[Control | Unknown]:
    return declare.declare(LAYOUT, [schedule], {("q", "t")}, nonce, NOW_MS)


def object_of(control: Control) -> str:
    return LAYOUT.schedule(f"daily.{control.schedules['daily'].revision}")


def control_of(store: MemoryStore) -> Control:
    found = store.get(CONTROL)
    assert isinstance(found, Found)
    return decode(Control, CONTROL, found.body)


@pytest.mark.parametrize("make", [by_operator, by_code])
def test_object_that_was_replaced_before_its_writer_heard_of_it_is_not_named_again(make: Make) -> None:
    """What a control replaces is deleted soon. A writer whose first try was stored, and hears only of a conflict, must not
    name that object once more."""
    store = MemoryStore()
    hand = Hand(make(one("a"), "n1"), store)
    put = hand.until(Put, CONTROL)
    store.put(CONTROL, put.body, if_version=put.if_version)  # stored, and the answer is lost
    first = control_of(store)
    run(by_operator(one("b"), "n2"), store)
    store.delete([object_of(first)])
    changed = hand.finish()
    assert isinstance(changed, Control)
    assert object_of(changed) != object_of(first)
    assert isinstance(store.get(object_of(control_of(store))), Found)


@pytest.mark.parametrize("make", [by_operator, by_code])
def test_schedule_is_declared_beside_a_change_of_another(make: Make) -> None:
    store = MemoryStore()
    hand = Hand(make(one("a"), "n1"), store)
    hand.until(Put, CONTROL)
    run(operate.change(LAYOUT, operate.pause("mail"), "n2"), store)
    changed = hand.finish()
    assert changed == control_of(store)
    assert "mail" in control_of(store).paused
    assert isinstance(store.get(object_of(control_of(store))), Found)
