"""Mutants of what attempts note for the next. Imported for their registration in `MUTANTS`."""

from __future__ import annotations

from typing import Any

from msgspec.structs import replace

from s3queue.core import held
from s3queue.core.chores import moves
from s3queue.core.held import Held
from s3queue.core.plan import take_over
from s3queue.core.plan.planning import Planning
from s3queue.core.records import Board, Memo, Ticket
from s3queue.testing.simulate import Weather
from tests.simulation.mutants import mutant

#: Much that fails, and notes something before.
_NOTES: dict[str, Any] = {"notes": True, "shapes": ("plain",), "weather": Weather(fault=0.0, chaos=0.0, ends=0.6)}


@mutant(take_over, "_fail", "notes", **_NOTES)
def what_a_failed_attempt_has_noted_is_dropped(fail: Any, planning: Any, name: str, *given: Any) -> bool:
    """With the outcome of an attempt the board takes over what it has noted."""
    taken: bool = fail(planning, name, *given[:3])
    return taken


@mutant(Planning, "_kept_memos", "notes", **_NOTES)
def what_was_noted_outlives_its_message(_: Any, of: Planning) -> dict[str, dict[int, Memo]]:
    """What a message has noted leaves the board with it."""
    return of.memos


@mutant(moves, "encode_message", "notes", **_NOTES | {"batches": 4, "most": 5})
def what_is_moved_forgets_what_it_has_noted(encode: Any, message: Any) -> Any:
    """What a message has noted goes along when it is moved off the board."""
    return encode(replace(message, origin=replace(message.origin, memo=None)))


@mutant(Held, "note", "notes", **_NOTES)
def the_first_note_counts(note: Any, of: Held, offset: int, memo: Memo) -> None:
    """The newest word of an attempt counts, also over that of the one before."""
    if offset not in of.given:
        note(of, offset, memo)


@mutant(held, "_given", "notes", **_NOTES | {"most": 5})
def a_neighbour_is_given_what_was_noted(given: Any, ticket: Ticket, board: Board) -> dict[int, Memo]:
    """What is noted of a message is given to that message."""
    return {ticket.size - 1 - offset: memo for offset, memo in given(ticket, board).items()}
