"""Mutants of limits, turns, rates, breakers and expiry. Imported for their registration in `MUTANTS`."""

from __future__ import annotations

import dataclasses
from typing import Any

from s3queue.core.keys import Source
from s3queue.core.plan import breaker, expiry, rules
from s3queue.core.plan.lanes import Lanes
from s3queue.core.plan.places import Places, QueuePlaces
from s3queue.core.plan.planning import Planning
from s3queue.core.records import Breaker, Bucket, Limit, Limits
from s3queue.core.settle import Draft
from s3queue.runtime.agent.gates import Gates
from s3queue.runtime.agent.loads import Load
from s3queue.testing.simulate import Times, Weather
from tests.simulation.mutants import mutant

_LONG = dataclasses.replace(Times(), tasks=(0.6, 1.3))
_CALM = Weather(fault=0.02, chaos=0.0, ends=0.0)
_FEW: dict[str, Any] = {
    "limits": Limits(Limit(max_running=2)),
    "shapes": ("plain",),
    "batches": 6,
    "most": 5,
    "hosts": 2,
    "slots": 3,
    "weather": _CALM,
    "times": _LONG,
}
_KEYS: dict[str, Any] = _FEW | {"limits": Limits(each=Limit(max_running=1)), "shapes": ("keyed",)}
_FAIR: dict[str, Any] = {
    "limits": Limits(fair=True),
    "shapes": ("keyed",),
    "batches": 7,
    "most": 5,
    "producers": 2,
    "hosts": 1,
    "workers": 1,
    "slots": 1,
    "weather": _CALM,
    "times": dataclasses.replace(_LONG, between=(0.0, 0.1)),
}
_BRIEF: dict[str, Any] = {
    "shapes": ("brief",),
    "batches": 8,
    "most": 5,
    "hosts": 1,
    "workers": 1,
    "slots": 1,
    "weather": _CALM,
    "times": _LONG,
}


@mutant(QueuePlaces, "spare", "I14", **_FEW)
def hosts_get_places_beyond_the_limit(spare: Any, of: QueuePlaces, key: str | None) -> int:
    """No more places are given out than the limit has."""
    return rules.MANY


@mutant(QueuePlaces, "spare", "I14", **_KEYS)
def keys_get_places_beyond_their_limit(spare: Any, of: QueuePlaces, key: str | None) -> int:
    """No key gets more places than its limit has."""
    return rules.MANY


@mutant(Places, "allowed", "I14", **_FEW)
def a_place_is_free_before_it_is_taken_over(allowed: Any, of: Places) -> Any:
    """A place that is given out stands on the board for as long as its messages do."""
    found = allowed(of)
    return dict(list(found.items())[1:])


@mutant(Gates, "most", "I14", **_FEW)
def workers_get_more_than_the_host_may_run(most: Any, gates: Gates, line: str, load: Load) -> int:
    """A host runs no more of a limited ticket at once than the board allows it."""
    return rules.MANY


@mutant(rules, "filled", "I14", **_FEW | {"limits": Limits(Limit(rate=1.0))})
def a_rate_starts_anew_with_each_cycle(filled: Any, before: Bucket | None, rate: float, uptime_ms: int) -> float:
    """What a rate has allowed already stands on the board."""
    return float(filled(None, rate, uptime_ms))


@mutant(Lanes, "_in_turn", "I21", within=60, **_FAIR)
def the_first_key_is_served_first_in_every_cycle(in_turn: Any, line: Lanes) -> Any:
    """Turns go on behind the key that was served last."""
    line.rules.after = ""
    return in_turn(line)


@mutant(expiry, "ready", "expiry", **_BRIEF)
def what_is_expired_is_assigned(ready: Any, planning: Planning, source: Source, state: Any) -> Any:
    """Nothing that has not begun in time is assigned, or begun by a host."""
    return state


@mutant(Draft, "has_begun", "expiry", **_BRIEF | {"weather": Weather(fault=0.0, chaos=0.0, ends=0.9)})
def what_snoozed_expires(has_begun: Any, draft: Draft, index: int, attempt: int) -> bool:
    """A message that has begun does not expire."""
    return attempt > 1


@mutant(
    breaker,
    "probing",
    "breaker",
    limits=Limits(breaker=Breaker(2, 9.0, 0.5)),
    shapes=("plain",),
    batches=8,
    most=5,
    weather=Weather(fault=0.0, chaos=0.0, ends=0.9),
)
def nobody_remembers_what_was_tried(probing: Any, planning: Planning, queue: str) -> None:
    """One message at a time is tried while a breaker is open."""
