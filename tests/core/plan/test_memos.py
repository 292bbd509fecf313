"""What attempts have noted, on its way from a ledger over the board to the next attempt."""

from __future__ import annotations

import pytest

from s3queue.core.held import Held
from s3queue.core.plan import Parking, Settings
from s3queue.core.records import Failed, Memo, Part, Report, Ticket
from tests.core.world import NOW_MS, board, claimed, decide, error, ledger, one_ticket, retry

MEMO = Memo(3.0, 10.0, "resizing", b"\x81\xa4page\x07")


@pytest.mark.parametrize("outcome", [retry(), retry(delay_s=9.0), Failed("snooze", 9.0), Failed("interrupted")])
def test_memo_of_an_attempt_goes_to_the_next_one(outcome: Failed) -> None:
    before, source = one_ticket(3)
    report = Report(ok=(0, 1), failed={1: outcome}, memos={1: MEMO})
    planned = decide(before, [claimed(report=report)])
    assert planned.board.memos == {source: {1: MEMO}}
    later = decide(planned.board, [claimed(report=report), ledger("h2")], now_ms=NOW_MS + 10_000)
    name, ticket = next((name, one) for name, one in later.board.tickets.items() if name != "1-0")
    assert [part for part in ticket.parts if part.start == 1]
    offset = next(iter(Held.assigned(ticket, later.board).given))
    assert next(ticket.spans((offset, offset + 1))).start == 1
    over = decide(later.board, [ledger(ticket.session, claims=(name,), reports={name: Report(ok=(0, ticket.size))})])
    assert over.board.memos == {}


def test_memo_that_was_stored_outlives_the_session() -> None:
    before, source = one_ticket(2)
    fenced = claimed(report=Report(memos={1: MEMO}), fenced=True)
    assert decide(before, [fenced]).board.memos == {source: {1: MEMO}}


def test_memo_of_a_message_that_dies_or_is_cancelled_is_forgotten() -> None:
    before, _ = one_ticket()
    report = Report(failed={0: Failed("dead", 0.0, error())}, memos={0: MEMO})
    assert decide(before, [claimed(report=report)]).board.memos == {}


def test_attempt_that_notes_nothing_leaves_what_the_one_before_it_noted() -> None:
    before, source = one_ticket(attempt=2, memos={path_of(): {0: MEMO}})
    planned = decide(before, [claimed(report=Report(failed={0: retry(2, 9.0)}))])
    assert planned.board.memos == {source: {0: MEMO}}


def path_of() -> str:
    return one_ticket()[1]


def test_memo_stays_while_its_message_moves_and_goes_when_it_has() -> None:
    before, source = one_ticket()
    report = claimed(report=Report(failed={0: retry(delay_s=9.0)}, memos={0: MEMO}), slots=0)
    moving = decide(before, [report], settings=Settings(max_parked=0)).board
    (target,) = moving.moves
    assert moving.memos == {source: {0: MEMO}}
    assert decide(moving, [], parking=Parking(stored={target})).board.memos == {}
    assert decide(moving, [], parking=Parking(refused={target})).board.memos == {source: {0: MEMO}}


def test_memos_take_room_of_failures() -> None:
    """What does not fit stays in its ledger, which reports it again."""
    before, _ = one_ticket(100)
    large = Memo(state=bytes(2000))
    report = Report(failed=dict.fromkeys(range(100), retry(delay_s=9.0)), memos=dict.fromkeys(range(100), large))
    planned = decide(before, [claimed(report=report)], settings=Settings(max_failure_bytes=100_000))
    (noted,) = planned.board.memos.values()
    assert 16 < len(noted) < 60
    assert planned.board.full == ("failures",)


def test_host_reports_what_is_noted_of_messages_that_are_not_over_and_not_taken() -> None:
    held = Held(Ticket("h1", (Part(path_of(), 0, 4, 1),)))
    for offset in range(4):
        held.note(offset, MEMO)
    held.succeed((0, 1))
    held.release((1, 2))
    held.fail(2, retry())
    assert held.report().memos == {2: MEMO, 3: MEMO}
    held.note(2, Memo(9.0))
    assert held.report().memos[2] == MEMO
    held.ticket = Ticket("h1", held.ticket.parts, (2, 3))
    assert held.report().memos == {3: MEMO}
    assert board().memos == {}
