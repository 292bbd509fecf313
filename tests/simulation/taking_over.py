"""What is taken away from the plan: outcomes taken over, attempts counted, groups in order."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import msgspec

from s3queue.core import ranges, survey, sweeps
from s3queue.core.plan import assign, lines, take_over
from s3queue.core.records import Failed, Ready
from s3queue.core.settle import Draft
from s3queue.testing.simulate import Times, Weather
from tests.simulation.mutants import mutant
from tests.simulation.worlds import CROWD, ENDS, PAUSES


@mutant(take_over, "_orphan", "I7 I6", weather=PAUSES)
def lost_claims_cost_nothing(
    _: Any, planning: Any, name: str, part: Any, offer: Any, claimed: bool, memo: Any = None
) -> bool:
    """What a lost host had claimed may have been started: it counts an attempt."""
    planning.draft(part.source).released(part.start, part.stop, part.attempt)
    return True


@mutant(take_over, "_orphan", "I7")
def the_unclaimed_counts(
    orphan: Any, planning: Any, name: str, part: Any, offer: Any, claimed: bool, memo: Any = None
) -> Any:
    """What was not claimed was not started, and costs no attempt."""
    return orphan(planning, name, part, offer, True)


@mutant(assign, "knows", "fits", shapes=("plain", "new"), hosts=2)
def what_is_unfit_goes_anywhere(_: Any, *args: Any) -> bool:
    """What a host does not know goes to hosts that say that they do."""
    return True


@mutant(Draft, "gave_back", "I7", shapes=("plain", "new"), hosts=2)
def what_is_unfit_costs_an_attempt(gave_back: Any, draft: Draft, index: int, attempt: int, *more: Any) -> None:
    """A message that its host does not know costs no attempt."""
    gave_back(draft, index, attempt + 1, *more)


@mutant(take_over, "_take", "I2 P2")
def taken_over_twice(take: Any, planning: Any, name: str, ticket: Any, *more: Any) -> None:
    """What was taken over is no longer in the ticket."""
    take(planning, name, msgspec.structs.replace(ticket, taken=ranges.EMPTY), *more)


@mutant(Draft, "take", "I2")
def in_two_tickets(take: Any, draft: Draft, *args: Any) -> Any:
    """A message that is out is not ready."""
    before = list(draft.ready)
    taken = take(draft, *args)
    draft.ready = before
    return taken


@mutant(Draft, "released", "I7", weather=Weather(fault=0.05, chaos=0.08, kinds=("give back", "drain host")))
def a_release_counts(_: Any, draft: Draft, start: int, stop: int, attempt: int) -> None:
    """A release costs no attempt."""
    draft.ready = (*draft.ready, Ready(start, stop, attempt + 1))


@mutant(Draft, "failed", "I7", weather=ENDS)
def a_snooze_counts(failed: Any, draft: Draft, index: int, attempt: int, outcome: Failed, **more: Any) -> Any:
    """A snooze costs no attempt."""
    kind = "retry" if outcome.kind == "snooze" else outcome.kind
    return failed(draft, index, attempt, msgspec.structs.replace(outcome, kind=kind), **more)


@mutant(Draft, "failed", "I7", shapes=("poison",))
def one_attempt_more(failed: Any, draft: Draft, *args: Any, max_attempts: int, now_ms: int) -> Any:
    """Attempts never exceed the maximum."""
    return failed(draft, *args, max_attempts=max_attempts + 1, now_ms=now_ms)


@mutant(Draft, "failed", "I6 I7", weather=ENDS)
def the_attempt_is_not_counted(failed: Any, draft: Draft, index: int, attempt: int, outcome: Any, **more: Any) -> Any:
    """A failure counts an attempt."""
    return failed(draft, index, max(1, attempt - 1), outcome, **more)


@mutant(Draft, "is_alone", "alone", shapes=("poison", "bomb"))
def suspects_in_company(_: Any, draft: Draft, index: int) -> bool:
    """A message that took its process or host with it is ticketed alone."""
    return False


@mutant(Draft, "trim", "alone", shapes=("poison", "bomb"))
def nobody_remembers_who_was_suspect(_: Any, draft: Draft) -> None:
    """The board keeps why earlier attempts failed."""
    draft.failures = {}


@mutant(assign, "_busy_groups", "I10", shapes=("grouped",))
def a_group_side_by_side(_: Any, planning: Any) -> set[tuple[str, str]]:
    """Of one group one message at a time is out."""
    return set()


@mutant(lines.Line, "first", "I10", shapes=("grouped",))
def a_group_backwards(_: Any, line: Any) -> Any:
    """Messages are dispatched in order."""
    line._sources.sort(key=lambda source: source.rank)
    return line._sources[-1] if line._sources else None


@mutant(
    sweeps,
    "place_of",
    "I10",
    within=300,
    page=2,
    producers=2,
    batches=8,
    shapes=("grouped", "grouped later"),
    weather=Weather(fault=0.0, chaos=0.03, kinds=("kill candidate", "kill agent"), ends=0.0),
    times=replace(Times(), tasks=(0.4,), between=(0.0,)),
)
def a_scheduled_batch_goes_before_what_nobody_has_seen(_: Any, source: Any) -> str:
    """What is due waits for earlier batches of its group that the survey did not reach."""
    return ""


@mutant(survey, "look_behind", "hidden", **CROWD)
def a_crowd_hides_what_lies_behind_it(look_behind: Any, *args: Any) -> Any:
    """Each survey goes on where the last one stopped, and so gets behind any crowd."""
    return look_behind(*args)[0], None
