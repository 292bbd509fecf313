"""Messages that were not due hid those that were; some had two tickets; a mark made before the commit hid others.

The predecessor listed so many entries first and dropped those that were not yet visible afterwards; each round of dispatch
could publish another ticket for a message that had one; and a "processed" mark was set before the write that made it true.
"""

from __future__ import annotations

from collections import Counter

from s3queue.core.keys import parse_source
from s3queue.core.ledger import Refused
from s3queue.core.ops import Put
from s3queue.core.records import Board
from s3queue.store import ObjectStore
from tests.core.hands import Hand
from tests.core.world import whole_cycle
from tests.regressions.town import EPOCH_MS, drain, led


def ticketed(board: Board) -> Counter[tuple[str, int]]:
    return Counter(
        (part.source, index)
        for ticket in board.tickets.values()
        for part in ticket.spans((0, ticket.size))
        for index in range(part.start, part.stop)
    )


def test_a_thousand_messages_that_are_not_due_do_not_hide_one_that_is(store: ObjectStore) -> None:
    town, first = led(store)
    far = EPOCH_MS + 10_000_000
    for number in range(1100):
        town.enqueue(1, due_ms=far + number)
    due = town.enqueue(1, due_ms=town.now_ms() - 1)
    first.cycle()
    assert set(ticketed(town.board())) == {(due, 0)}


def test_what_is_not_due_is_found_when_it_is(store: ObjectStore) -> None:
    town, first = led(store)
    path = town.enqueue(1, due_ms=town.now_ms(skew_s=100))
    first.cycles(99)
    assert not town.board().tickets
    first.cycles(2)
    assert set(ticketed(town.board())) == {(path, 0)}


def test_a_message_has_one_ticket_however_often_is_dispatched(store: ObjectStore) -> None:
    town, first = led(store)
    others = [town.host(f"h{number}") for number in (2, 3)]
    for _ in range(5):
        town.enqueue(7)
    seen: dict[tuple[str, int], set[str]] = {}
    for _ in range(12):
        town.now += 1
        first.cycle()
        board = town.board()
        assert set(ticketed(board).values()) <= {1}
        for name, ticket in board.tickets.items():
            for part in ticket.parts:
                for index in range(part.start, part.stop):
                    seen.setdefault((part.source, index), set()).add(name)
        for member in (first, *others):
            member.claim()
            member.flush()
    assert {len(names) for names in seen.values()} == {1}, "nor had one a second ticket at another time"


def test_an_outcome_that_was_not_stored_hides_nothing(store: ObjectStore) -> None:
    """It ran, and its host was gone before it said so: the message is not done, and runs again."""
    town, first = led(store)
    victim = town.host("h2")
    town.enqueue(8)
    first.cycle()
    (ticket,) = victim.claim()
    victim.succeed(ticket)  # known to the host alone
    for _ in range(int(town.settings.visibility_timeout) + 3):
        first.flush()
        first.cycles(1)
    assert town.board().totals["q"].done == 0
    assert victim.flush() is Refused.FENCED, "and its late word does not count"
    drain(town, first)
    assert town.board().totals["q"].done == 8


def test_a_commit_that_was_not_stored_hides_nothing(store: ObjectStore) -> None:
    town, first = led(store)
    path = town.enqueue(4)
    first.cycle()
    (ticket,) = first.claim()
    first.succeed(ticket)
    first.flush()
    assert first.lead is not None
    step = Hand(whole_cycle(first.lead, now=town.now, now_ms=town.now_ms(), nonce="n"), store)
    step.until(Put, town.layout.board)
    step.lose()
    assert path in town.sources(), "a source is deleted after the commit, never before"
    assert town.board().totals.get("q") is None
    drain(town, first)
    assert town.board().totals["q"].done == parse_source(path).count
