"""Requests that nobody can read get out of the way of those that can be answered."""

from __future__ import annotations

from s3queue.core.keys import moved_path, parse_source
from s3queue.core.ops import Get, Put
from s3queue.core.records import UNREADABLE, Answer, LetterRequest, Request, SourceState, decode, encode
from s3queue.core.survey import MOST_REQUESTS
from tests.core.office import Office
from tests.core.world import LAYOUT, SETTINGS, board, ledger, path

AFTER_S = 61.0


def request(number: int, letters: bool = False) -> str:
    return f"do/{1_700_000_000_000 + number}-{number:x}{'.dead' if letters else ''}"


def damaged(office: Office, *paths: str, content: bytes = b"\xff") -> None:
    for one in paths:
        office.write(LAYOUT.source(one), content)


def cancel(office: Office, at: str, source: str) -> None:
    office.source(source)
    office.write(LAYOUT.source(at), encode(Request("n", "cancel", LAYOUT.message_id(source, 0))))


def test_request_that_stays_damaged_is_kept_aside_answered_and_deleted() -> None:
    office = Office()
    bad, odd = request(1), "do/note.txt"
    damaged(office, bad, odd)
    damaged(office, request(2, letters=True), content=encode(Request("n", "cancel", "x")))
    for _ in range(20):
        office.cycle(after_s=1.0)
    assert office.stored_board().answers == {}
    assert all(office.has(LAYOUT.source(one)) for one in (bad, odd))
    for _ in range(12):
        office.cycle(after_s=AFTER_S)
    assert office.keys(LAYOUT.requests) == []
    assert office.body(LAYOUT.aside(bad)) == office.body(LAYOUT.aside(odd)) == b"\xff"
    assert office.has(LAYOUT.aside(request(2, letters=True)))
    assert decode(Answer, "", office.body(LAYOUT.answer(bad))).answer == UNREADABLE
    assert office.lead.window >= {bad, odd}
    assert office.stored_board().answers == {}


def test_one_that_is_completed_in_time_is_handled() -> None:
    office = Office()
    at = request(1)
    damaged(office, at, content=b"")
    for _ in range(3):
        office.cycle(after_s=10.0)
    cancel(office, at, path(1))
    for _ in range(12):
        office.cycle(after_s=AFTER_S)
    assert office.lead.board.totals["q"].cancelled == 1
    assert not office.has(LAYOUT.aside(at))


def test_hundreds_of_damaged_requests_keep_no_other_waiting() -> None:
    office = Office()
    damaged(office, *(request(number) for number in range(3 * MOST_REQUESTS)))
    cancel(office, request(9999), path(1))
    for _ in range(6):
        office.cycle()
    assert office.lead.board.totals["q"].cancelled == 1


def test_hundreds_that_have_to_wait_keep_no_other_waiting() -> None:
    """Each is about a message that is on its way off the board, and stays so."""
    source = path(1, 2)
    target = moved_path(parse_source(source), due_ms=9, batch="a" * 20, count=1, attempt=2, alone=False)
    before = board(states={source: SourceState(settled=1)}, moves={target: ((source, 0),)})
    office = Office(before)
    for number in range(3 * MOST_REQUESTS):
        office.write(LAYOUT.source(request(number)), encode(Request("n", "cancel", LAYOUT.message_id(source, 0))))
    cancel(office, request(9999), path(2))
    for _ in range(8):
        office.cycle()
    assert office.lead.board.totals["q"].cancelled >= 1


def test_redrives_of_a_queue_that_has_to_wait_keep_no_cancel_waiting() -> None:
    office = Office()
    for number in range(3 * MOST_REQUESTS):
        content = LetterRequest("n", "redrive", "q", ())
        office.write(LAYOUT.source(request(number, letters=True)), encode(content))
    cancel(office, request(9999), path(1))
    for _ in range(6):
        office.cycle()
    assert office.lead.board.totals["q"].cancelled == 1


def test_damaged_request_costs_few_reads_until_it_is_kept_aside() -> None:
    office = Office()
    damaged(office, request(1))
    reads = 0
    for _ in range(70):
        hand = office.begin(after_s=1.0)
        hand.finish()
        reads += sum(isinstance(op, Get) and op.key == LAYOUT.source(request(1)) for op in _flat(hand.asked))
    assert reads <= 10
    assert office.has(LAYOUT.aside(request(1)))


def test_what_is_kept_aside_is_named_in_the_summary_and_told_once() -> None:
    office = Office(settings=SETTINGS._replace(summary_s=1.0))
    office.host(ledger("h1"))
    damaged(office, request(1))
    told = []
    for _ in range(12):
        hand = office.begin(after_s=AFTER_S)
        hand.finish()
        told += [op.body for op in hand.asked if isinstance(op, Put) and op.key == LAYOUT.summary]
    assert LAYOUT.aside(request(1)).encode() in told[-1]
    assert [key for key, _ in office.lead.chores.asides.done] == [LAYOUT.aside(request(1))]


def _flat(asked: list[object]) -> list[object]:
    found: list[object] = []
    for op in asked:
        found += getattr(op, "reads", [op])
    return found
