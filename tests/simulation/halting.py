"""Mutants of pauses of tasks. Imported for their registration in `MUTANTS`."""

from __future__ import annotations

import dataclasses
from typing import Any

from s3queue.core import operate
from s3queue.core.plan import assign, halts, take_over
from s3queue.core.plan import planning as plan_planning
from s3queue.core.plan.planning import Planning
from s3queue.core.records import Control, Failed, Part
from s3queue.core.settle import Draft
from s3queue.runtime.agent.dealing import Dealer
from s3queue.testing.simulate import Times, Weather
from tests.simulation.mutants import mutant

#: Operators that pause tasks, and hosts that hold messages of them for a while.
_HALTED: dict[str, Any] = {
    "operators": 3,
    "halts": True,
    "weather": Weather(fault=0.02, chaos=0.0, ends=0.0),
    "batches": 8,
    "shapes": ("plain",),
    "most": 5,
    "slots": 1,
    "times": dataclasses.replace(Times(), tasks=(0.3, 0.6), between=(0.3, 0.6)),
}
_LEADERS: dict[str, Any] = {
    "shared": False,
    "candidates": 2,
    "weather": Weather(fault=0.05, chaos=0.05, kinds=("kill candidate", "pause candidate")),
}


@mutant(Dealer, "_tell_halted", "halts", **_HALTED)
def workers_are_not_told_of_a_pause(_: Any, of: Dealer) -> None:
    """A host that has read of a pause starts no message of that task."""


@mutant(halts, "go_on", "I8 P1", **_HALTED)
def what_is_held_is_never_let_go(_: Any, of: Planning) -> None:
    """What was given back for a pause is ready when the pause is over."""


@mutant(assign, "is_held", "halts", **_HALTED)
def what_is_held_is_assigned_again(_: Any, token: str) -> bool:
    """What was given back for a pause is not assigned again before that is over."""
    return False


@mutant(plan_planning, "_halted", "halts", **_HALTED)
def a_board_names_no_paused_tasks(_: Any, control: Control, now_ms: int) -> dict[str, tuple[str, ...]]:
    """A board names the tasks that are paused by the control whose turn it names."""
    return {}


@mutant(Draft, "hold", "I7", **_HALTED)
def a_pause_costs_an_attempt(hold: Any, of: Draft, index: int, attempt: int, token: str) -> None:
    """What is given back for a pause goes on as the same attempt."""
    hold(of, index, attempt + 1, token)


@mutant(take_over, "_fail", "I2 I8", **_HALTED)
def what_is_given_back_for_a_pause_stays_with_its_host(
    fail: Any, of: Planning, name: str, part: Part, outcome: Failed, *more: Any
) -> bool:
    """The coordinator takes over what a host gives back for a pause."""
    return not outcome.token and bool(fail(of, name, part, outcome, *more))


@mutant(operate, "tickets_of", "halts", **_HALTED)
def an_operator_waits_for_no_ticket(_: Any, board: Any, queue: str) -> frozenset[str]:
    """A paused task is idle when no ticket is out that was out when its pause came into force."""
    return frozenset()


@mutant(operate, "has_halted", "halts I19", within=300, **(_HALTED | _LEADERS))
def an_operator_does_not_wait_for_the_pause(_: Any, board: Any, turn: int, queue: str, task: str) -> bool:
    """A pause of a task is in force when a board names it, or nobody leads."""
    return True
