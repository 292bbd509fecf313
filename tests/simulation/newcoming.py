"""Mutants of what is left alone for a newer release. Imported for their registration in `MUTANTS`."""

from __future__ import annotations

from typing import Any

from s3queue.core import cycle, ledger
from s3queue.core.records import NOTHING_FOREIGN, Board, Foreign
from s3queue.testing.simulate import Weather
from tests.simulation.mutants import mutant

_NEWER: dict[str, Any] = {
    "newer": True,
    "hosts": 2,
    "weather": Weather(fault=0.05, chaos=0.08, kinds=("kill host", "kill agent", "pause host"), ends=0.2),
}


@mutant(cycle, "join", "newer", within=100, **_NEWER)
def what_is_not_known_is_dropped_from_the_board(_: Any, board: Board, foreign: Foreign) -> Board:
    """What a newer release has entered stays on every board."""
    return board


@mutant(cycle, "divide", "I8", within=100, **_NEWER)
def what_is_not_known_is_planned_with(_: Any, board: Board) -> tuple[Board, Foreign]:
    """A plan has only what its release knows."""
    return board, NOTHING_FOREIGN


@mutant(ledger, "is_known", "newer", within=100, **_NEWER)
def a_ticket_of_a_newer_release_is_claimed(_: Any, ticket: Any) -> bool:
    """A host claims no ticket with messages that it does not know."""
    return True


@mutant(Foreign, "sessions", "newer", within=300, **_NEWER)
def a_ledger_is_deleted_that_a_newer_release_has_to_read(_: Any, foreign: Foreign) -> set[str]:
    """The ledger of a session stays while a ticket of it is left alone."""
    return set()
