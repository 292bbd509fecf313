"""Mutants of what operators do. Imported for their registration in `MUTANTS`."""

from __future__ import annotations

import dataclasses
from typing import Any

from msgspec.structs import replace

from s3queue.core import operate, plan
from s3queue.core.chores import pages
from s3queue.core.chores.answers import Answers
from s3queue.core.chores.purges import Purges
from s3queue.core.cycle import Lead
from s3queue.core.keys import parse_source
from s3queue.core.ops import delete
from s3queue.core.plan import purge as plan_purge
from s3queue.core.plan import requests, take_over
from s3queue.core.plan.planning import Planning
from s3queue.core.records import Board, Part
from s3queue.core.steering import Steering
from s3queue.runtime.agent import deaths
from s3queue.runtime.agent.interrupts import Interrupts
from s3queue.testing.simulate import Times, Weather
from tests.simulation.mutants import mutant

_LONG = dataclasses.replace(Times(), tasks=(0.6, 1.5))
_SLOW = dataclasses.replace(Times(), tasks=(1.3, 5.0), between=(0.3, 0.6))
_NAPS = dataclasses.replace(Times(), tasks=(0.6, 1.3), pauses=(0.7, 1.4))
_SLEEPY = Weather(fault=0.0, chaos=0.1, kinds=("pause host",), ends=0.0)

#: Operators, and leaders that are replaced.
_STEERED: dict[str, Any] = {
    "operators": 2,
    "weather": Weather(fault=0.05, chaos=0.05, kinds=("kill candidate", "pause candidate", "kill operator")),
    "shared": False,
    "candidates": 2,
    "batches": 5,
    "shapes": ("plain", "other"),
}
_LATE = Weather(fault=0.3, fates=("served", "late", "unanswered"), chaos=0.0)
_GIVEN_BACK = Weather(fault=0.0, chaos=0.06, kinds=("drain host", "give back"), ends=0.0)


@mutant(Planning, "is_held", "I19", **_STEERED)
def a_paused_queue_gets_tickets(_: Any, of: Planning, queue: str) -> bool:
    """Nothing of a paused queue is assigned."""
    return False


@mutant(Steering, "read_control", "I19", within=300, **_STEERED)
def a_new_leader_plans_before_it_has_read_control(read: Any, of: Steering, *seen: Any) -> Any:
    """A new leader reads what operators have set before its first plan."""
    if of.control is None:
        of.control = plan.NO_CONTROL
        return
    yield from read(of, *seen)


@mutant(Lead, "_stamped", "I19", **_STEERED)
def a_heartbeat_names_no_turn(stamped: Any, lead: Lead, board: Board, *more: Any, **news: Any) -> Board:
    """No board names a lower turn of control than the one before it."""
    after: Board = stamped(lead, board, *more, **news)
    return replace(after, control=0) if after.tickets == lead.board.tickets else after


@mutant(operate, "has_planned", "I19", within=400, **_STEERED)
def an_operator_waits_for_nothing(_: Any, board: Any, turn: int) -> bool:
    """A change holds when a board names its turn, or nobody leads."""
    return True


# ---- requests --------------------------------------------------------------------------------------------------------


@mutant(Planning, "answer", "I20", within=300, **_STEERED)
def a_request_is_answered_without_a_commit(answer: Any, of: Planning, request: str, what: str) -> None:
    """Effect and answer of a request are one commit."""
    if of.board.turn % 2:
        answer(of, request, what)


@mutant(Answers, "_store", "I20", **_STEERED)
def an_answer_says_what_the_coordinator_likes(store: Any, of: Answers, request: str, answer: str, now: float) -> Any:
    """What is stored as an answer is what the board has committed."""
    return (yield from store(of, request, "over" if answer == "cancelled" else answer, now))


@mutant(
    pages,
    "retired_id",
    "I20",
    within=300,
    **(_STEERED | {"weather": _LATE, "times": dataclasses.replace(Times(), late=(0.5, 3.0))}),
)
def the_window_forgets_requests(retired_id: Any, path: str) -> str:
    """The id of a request that is over is refused, should it come late."""
    return "" if path.startswith("do/") else str(retired_id(path))


@mutant(take_over, "_release", "I13 I8 I20", within=300, **(_STEERED | {"weather": _GIVEN_BACK, "slots": 1, "most": 5}))
def what_is_given_back_forgets_its_mark(_: Any, of: Planning, name: str, part: Part) -> None:
    """A marked message that its host gives back is cancelled."""
    of.draft(part.source).released(part.start, part.stop, part.attempt)


@mutant(Planning, "_cancel_marked", "I13 I20", within=300, **(_STEERED | {"most": 5}))
def a_batch_is_admitted_without_its_marks(_: Any, of: Planning, path: str, source: Any, draft: Any) -> None:
    """What was cancelled before its batch was admitted is not in it."""
    of.marks.pop(path)


@mutant(Planning, "end", "P1", within=300, **(_STEERED | {"weather": Weather(fault=0.05, chaos=0.0, ends=0.6)}))
def what_is_cancelled_leaves_no_tombstone(end: Any, of: Planning, *args: Any, began: bool, **more: Any) -> None:
    """A message that had begun goes through its letter when it is cancelled."""
    end(of, *args, began=False, **more)


@mutant(
    Interrupts,
    "heed",
    "I13",
    within=300,
    **(_STEERED | {"weather": Weather(fault=0.02, chaos=0.0), "slots": 1, "most": 5, "times": _LONG}),
)
def a_host_starts_what_it_knows_to_be_cancelled(_: Any, of: Interrupts, now: float) -> None:
    """What a host has read to be cancelled, and has not begun, does not begin."""


@mutant(
    deaths,
    "_over_time",
    "innocent",
    within=400,
    **(_STEERED | {"weather": Weather(fault=0.02, chaos=0.0), "slots": 3, "most": 5, "times": _LONG}),
)
def neighbours_pay_for_a_cancel(_: Any, one: Any, death: Any, together: int) -> Any:
    """Of a process that was ended for a cancelled message the others pay no attempt."""
    return deaths._outcome("retry", one, death.cause, death.text, death)


@mutant(requests, "_in_tickets", "I13 I2 I20 I3", within=400, **_STEERED)
def what_a_host_has_is_taken_for_over(_: Any, of: Planning, paths: Any) -> set[Any]:
    """Of what is in a ticket only its host can tell whether it runs."""
    return set()


# ---- purges ----------------------------------------------------------------------------------------------------------


@mutant(Purges, "_list", "I4 P1", within=300, **_STEERED)
def a_purge_deletes_what_it_has_listed(listing: Any, of: Purges, queue: str, *more: Any) -> Any:
    """What a walk has listed is deleted once a board has named it."""
    news = yield from listing(of, queue, *more)
    if (page := of.pages.get(queue)) is not None:
        yield from delete([of._layout.source(path) for path in page.paths])
    return news


@mutant(Purges, "_list", "I18", within=400, **(_STEERED | {"shapes": ("plain", "later"), "operators": 3}))
def a_purge_forgets_what_is_scheduled(list_: Any, of: Purges, queue: str, purge: Any, now: float) -> Any:
    """A purge walks through what is scheduled, too."""
    news = yield from list_(of, queue, purge, now)
    if queue in of.pages and of.pages[queue].upto == "later/":
        of.pages[queue] = of.pages[queue]._replace(upto=None)
    return news


@mutant(
    plan_purge,
    "_is_marked",
    "I18",
    within=600,
    **(_STEERED | {"slots": 1, "most": 5, "operators": 3, "weather": _SLEEPY, "times": _NAPS}),
)
def a_purge_is_answered_while_hosts_have_some_of_it(_: Any, of: Planning, request: str) -> bool:
    """A purge is answered when no host has any of what it has marked."""
    return False


@mutant(plan_purge, "_take", "I18", within=600, **(_STEERED | {"operators": 3, "producers": 2, "machines": 3}))
def a_purge_compares_clocks(take: Any, of: Planning, queue: str, page: Any, window: Any) -> None:
    """A purge ends what was there, whatever the clock of its producer said."""
    asked_ms = int(of.purges[queue].request.removeprefix("do/")[:13])
    take(of, queue, page._replace(paths=tuple(p for p in page.paths if parse_source(p).order <= asked_ms)), window)


@mutant(plan_purge, "begin", "I18", within=600, **(_STEERED | {"operators": 8, "batches": 20, "times": _SLOW}))
def a_purge_joins_another_one(begin: Any, of: Planning, path: str, request: Any) -> None:
    """A purge that was asked for while another one walks begins when that has ended."""
    if request.queue in of.purges:
        of.answer(path, "purged 0")
    else:
        begin(of, path, request)
