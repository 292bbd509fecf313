"""Mutants of what operators do. Imported for their registration in `MUTANTS`."""

from __future__ import annotations

from typing import Any

from msgspec.structs import replace

from s3queue.core import operate, plan
from s3queue.core.cycle import Lead
from s3queue.core.plan.planning import Planning
from s3queue.core.records import Board
from s3queue.testing.simulate import Weather
from tests.simulation.mutants import mutant

#: Operators, and leaders that are replaced.
_STEERED: dict[str, Any] = {
    "operators": 2,
    "weather": Weather(fault=0.05, chaos=0.05, kinds=("kill candidate", "pause candidate", "kill operator")),
    "shared": False,
    "candidates": 2,
    "batches": 5,
    "shapes": ("plain", "other"),
}


@mutant(Planning, "is_held", "I19", **_STEERED)
def a_paused_queue_gets_tickets(_: Any, of: Planning, queue: str) -> bool:
    """Nothing of a paused queue is assigned."""
    return False


@mutant(Lead, "_read_control", "I19", within=300, **_STEERED)
def a_new_leader_plans_before_it_has_read_control(read: Any, lead: Lead, seen: Any, now: float) -> Any:
    """A new leader reads what operators have set before its first plan."""
    if lead.control is None:
        lead.control = plan.NO_CONTROL
        return
    yield from read(lead, seen, now)


@mutant(Lead, "_stamped", "I19", **_STEERED)
def a_heartbeat_names_no_turn(stamped: Any, lead: Lead, board: Board, now: float, nonce: str) -> Board:
    """No board names a lower turn of control than the one before it."""
    after: Board = stamped(lead, board, now, nonce)
    return replace(after, control=0) if after.tickets == lead.board.tickets else after


@mutant(operate, "has_planned", "I19", **_STEERED)
def an_operator_waits_for_nothing(_: Any, board: Any, turn: int) -> bool:
    """A change holds when a board names its turn, or nobody leads."""
    return True
