"""Deals on their way to the slots."""

from __future__ import annotations

import threading

import pytest
from msgspec import Raw

from s3queue.core.keys import fencing_token, source_path
from s3queue.core.records import Memo, Part
from s3queue.runtime.local.wire import Deal
from s3queue.runtime.worker.dealt import Body, Dealt, Piece

SOURCE = source_path("q", sent_ms=1, batch="1", count=5)
BODY = Body([Raw(bytes([number])) for number in range(5)], 100)


def dealt(*parts: Part) -> Dealt:
    return Dealt(Deal(3, "7-9", "q", parts, 1, {0: Memo(1.0)}, alone=True), 2, threading.Event())


def piece(start: int, stop: int, source: str = SOURCE) -> Piece:
    part = Part(source, start, stop, 2)
    return Piece(dealt(part), part, 4, 100)


def test_deal_knows_its_token_and_hands_out_the_number_of_each_end_once() -> None:
    it = dealt(Part(SOURCE, 0, 3, 1), Part(SOURCE, 4, 5, 1))
    assert (it.row, it.token, it.spared, it.alone, it.memos) == (3, fencing_token("7-9"), 1, True, {0: Memo(1.0)})
    assert [next(it.ended) for _ in range(4)][-1] == it.last
    assert (it.run_s, it.wait_s) == ([0.0, 0.0], [0.0, 0.0])


def test_slots_do_not_share_their_times() -> None:
    it = dealt(Part(SOURCE, 0, 1, 1))
    it.run_s[0] += 1.0
    assert (it.run_s[1], it.wait_s[0]) == (0.0, 0.0)


@pytest.mark.parametrize(("start", "stop"), [(0, 5), (1, 3), (4, 5)])
def test_piece_takes_its_messages_of_the_object(start: int, stop: int) -> None:
    it, before = piece(start, stop), BODY.pieces
    it.fill(BODY)
    assert it.messages == BODY.messages[start:stop]
    assert (it.body, BODY.pieces, it.fault, it.size) == (BODY, before + 1, None, stop - start)


def test_whole_object_is_not_copied() -> None:
    it = piece(0, 5)
    it.fill(BODY)
    assert it.messages is BODY.messages


@pytest.mark.parametrize("held", [4, 6, 0])
def test_object_that_holds_other_than_its_key_says_is_the_fault_of_its_messages(held: int) -> None:
    it = piece(0, 4 if held == 4 else 5, SOURCE)
    body = Body([Raw(b"\xc0")] * held, 10)
    if held == 4:
        it = piece(1, 4)
    it.fill(body)
    assert it.messages is None
    assert it.fault is not None
    assert (it.fault.kind, it.fault.failure and it.fault.failure.cause) == ("dead", "corrupt")
    assert f"holds {held} messages" in (it.fault.failure.text if it.fault.failure else "")
    assert body.pieces == 0


def test_fault_names_the_attempt_of_its_part() -> None:
    it = piece(0, 1)
    it.fail("snooze", 2.5, "unreadable", "no answer")
    assert it.fault is not None
    assert (it.fault.kind, it.fault.delay_s) == ("snooze", 2.5)
    assert it.fault.failure is not None
    assert (it.fault.failure.attempt, it.fault.failure.cause, it.fault.failure.text) == (2, "unreadable", "no answer")
