"""Mutants of what is enqueued only once. Imported for their registration in `MUTANTS`."""

from __future__ import annotations

from typing import Any

from s3queue.core import once
from s3queue.core.chores import gates
from s3queue.core.keys import Layout
from s3queue.core.ops import delete, get, write
from s3queue.core.plan.doors import Doors
from s3queue.core.records import Gate, decode, encode_over
from s3queue.store import Found
from s3queue.testing.simulate import Weather
from s3queue.testing.simulate.callers import Caller, InTime
from tests.simulation.mutants import mutant

_CALLERS: dict[str, Any] = {
    "callers": 3,
    "batches": 1,
    "shapes": ("plain",),
    "storm_s": 12.0,
    "weather": Weather(fault=0.1, chaos=0.04, kinds=("kill caller", "pause caller", "kill candidate"), ends=0.1),
}
_LATE: dict[str, Any] = _CALLERS | {
    "weather": Weather(fault=0.4, fates=("served", "late", "unanswered", "slow"), whose=("main",), chaos=0.0, ends=0.0),
    "storm_s": 20.0,
}
_PAUSED: dict[str, Any] = _CALLERS | {
    "weather": Weather(fault=0.1, fates=("served", "slow"), chaos=0.1, kinds=("pause caller",), ends=0.0),
    "storm_s": 30.0,
}


@mutant(gates, "free", "I17", within=600, **_LATE)
def a_gate_is_freed_by_deleting_it(_: Any, layout: Layout, path: str, nonce: str) -> Any:
    """A gate is never deleted while anybody may still put it."""
    key = gates._key(layout, path)
    found = yield from get(key)
    if isinstance(found, Found) and decode(Gate, key, found.body).path == path:
        yield from delete([key])
    return True


@mutant(gates, "free", "I17", within=300, **_CALLERS)
def a_gate_is_freed_for_another_source(_: Any, layout: Layout, path: str, nonce: str) -> Any:
    """A gate is freed only by the source that it names."""
    key = gates._key(layout, path)
    found = yield from get(key)
    if not isinstance(found, Found):
        return True
    gate = decode(Gate, key, found.body)
    freed = Gate(nonce, gate.path, False, gate.made_ms, gate.window_ms)
    yield from write(key, encode_over(freed, gate, found.body), nonce=nonce, if_version=found.version)
    return True


@mutant(gates.Gates, "follow", "I17", **_LATE)
def a_source_is_forgotten_before_its_gate_is_free(follow: Any, of: Any, board: Any, over: Any, opening: Any) -> None:
    """A finished source stays on the board until its gate is free."""
    follow(of, board, (), opening)
    of.held = set()


@mutant(once, "_hold", "I17 P1", within=300, **_CALLERS)
def a_source_behind_a_gate_is_taken_for_stored(hold: Any, key: str, mine: Any, call: Any) -> Any:
    """A caller that finds a gate taken stores its source, too."""
    held = yield from hold(key, mine, call)
    if isinstance(held, once._Held) and held.path not in call.offered:
        return held._replace(is_over=True)
    return held


@mutant(InTime, "__call__", "I17 I9 P6", within=600, **_PAUSED)
def a_source_is_completed_however_late(_: Any, of: InTime) -> bool:
    """Whoever completes a source has read its gate not long ago."""
    return True


@mutant(Caller, "_offer", "I17 P1", within=600, **_LATE)
def one_path_for_all_tries(offer: Any, of: Any, gate: str) -> Any:
    """A gate is taken with a new path for each try."""
    known = vars(of).setdefault("_one", {})
    number = sum(type(event).__name__ == "Calling" and event.who == of.name for event in of.world.events)
    return known.setdefault(number, offer(of, gate))


@mutant(Doors, "admits", "I17", within=300, **_CALLERS)
def a_message_begins_before_its_gate_is_free(admits: Any, of: Doors, source: Any) -> bool:
    """A message whose gate holds while it waits gets no ticket before the gate is free."""
    return True if source.gate.startswith("w") else bool(admits(of, source))


@mutant(Doors, "may_go", "I17", within=600, **(_CALLERS | {"redrivers": 2, "deaths": 0.6, "storm_s": 30.0}))
def a_further_life_goes_beside_another_message_of_its_gate(_: Any, of: Doors, source: Any) -> bool:
    """Of the messages behind one gate for arguments one goes at a time, a redriven one too."""
    return True
