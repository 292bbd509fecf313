"""Of the messages behind one ``unique`` gate one goes at a time, whatever became of the gate."""

from __future__ import annotations

from s3queue.core.keys import UNIQUE, Layout, gate_of, life_path, source_path
from s3queue.core.records import Part, SourceState, Ticket
from tests.core.world import board, decide, ledger, ready

GATE = gate_of(UNIQUE, "it")
FIRST, SECOND = (source_path("q", sent_ms=1_700_000_000_000 + at, batch=f"{at:x}", count=1, gate=GATE) for at in (1, 2))
LIFE = life_path(Layout().message_id(FIRST, 0), 2)


def test_of_two_that_are_new_the_first_one_goes() -> None:
    planned = decide(board(), [ledger()], [FIRST, SECOND])
    assert [part.source for ticket in planned.board.tickets.values() for part in ticket.parts] == [FIRST]


def test_further_life_waits_for_one_that_is_in_a_ticket() -> None:
    of = board(
        {"1-0": Ticket("h1", (Part(SECOND, 0, 1, 1),))},
        {SECOND: SourceState(), LIFE: SourceState(ready=ready((0, 1, 1)))},
    )
    assert decide(of, [ledger()]).assigned == 0


def test_one_that_was_given_back_and_a_further_life_do_not_go_together() -> None:
    """The one that came back was on the board already, and is in no ticket."""
    for attempt in (1, 2):
        of = board(
            states={SECOND: SourceState(ready=ready((0, 1, attempt))), LIFE: SourceState(ready=ready((0, 1, 1)))}
        )
        assert decide(of, [ledger(slots=9)]).assigned == 1
