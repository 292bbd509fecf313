"""Worlds in which some mutants show sooner."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from s3queue.testing.simulate import Times, Weather

LATE = Weather(fault=0.25, fates=("served", "late", "unanswered"), chaos=0.0)
UNANSWERED = Weather(fault=0.3, fates=("served", "unanswered", "dropped", "late"), chaos=0.02, kinds=("pause host",))
PAUSES = Weather(fault=0.1, fates=("served", "unanswered", "dropped"), chaos=0.08, kinds=("pause host",))
SLOW = Weather(fault=0.2, fates=("served", "slow"), chaos=0.02, kinds=("pause candidate",))
REFUSED = Weather(fault=0.05, chaos=0.08, kinds=("refuse", "kill worker"), ends=0.4)
SLOW_READS = Weather(
    fault=0.25, fates=("served", "slow", "late", "dropped"), chaos=0.05, kinds=("kill worker", "kill agent")
)
DEATHS = Weather(fault=0.0, chaos=0.06, kinds=("kill worker", "kill agent"))
WORKERS_DIE = Weather(fault=0.0, chaos=0.2, kinds=("kill worker",))
LEADERS = Weather(fault=0.25, fates=("served", "late", "unanswered", "slow"), chaos=0.05, kinds=("kill candidate",))
ENDS = Weather(fault=0.0, chaos=0.0, ends=0.6)
DOUBT = Weather(fault=0.6, fates=("served", "dropped", "late"), whose=("main", "lead"), chaos=0.0, ends=0.0)
CALM = Weather(fault=0.0, chaos=0.01, kinds=("drain host",), ends=0.0)
HOST_AND_COORDINATOR: dict[str, Any] = {"shared": False, "candidates": 1, "shapes": ("plain",)}
#: A host with much to do, each message taking long, that stands still for longer than the visibility timeout.
ZOMBIE = HOST_AND_COORDINATOR | {
    "weather": Weather(fault=0.0, chaos=0.06, kinds=("pause host",), ends=0.0),
    "times": replace(Times(), pauses=(4.6, 9.0), tasks=(0.4, 1.3)),
    "slots": 1,
    "batches": 5,
    "most": 5,
    "storm_s": 14.0,
}
#: A producer's request that lands when its source is long retired, and by another leader.
SUCCESSION: dict[str, Any] = {
    "weather": Weather(fault=0.12, fates=("served", "late"), chaos=0.03, kinds=("kill candidate",), ends=0.0),
    "times": replace(Times(), late=(8.5,), tasks=(0.05,)),
    "machines": 1,
    "shared": False,
    "candidates": 2,
    "batches": 2,
    "storm_s": 10.0,
    "shapes": ("plain",),
}
#: A coordinator whose cycle takes so long that it is replaced meanwhile, and a host that dies just before it.
SUPERSEDED: dict[str, Any] = {
    "weather": Weather(
        fault=0.1, fates=("served", "slow"), whose=("main",), chaos=0.08, kinds=("kill host",), ends=0.0
    ),
    "times": replace(Times(), slow=(4.5,), restart=(3.0,)),
    "hosts": 1,
    "shared": False,
    "candidates": 2,
    "producers": 2,
    "batches": 5,
    "most": 2,
    "storm_s": 14.0,
    "shapes": ("plain",),
}

#: A group that fills more pages than a survey reads, before others.
CROWD: dict[str, Any] = {
    "weather": Weather(fault=0.0, chaos=0.0, ends=0.0),
    "times": replace(Times(), tasks=(0.05,), between=(0.0,)),
    "hosts": 1,
    "slots": 2,
    "page": 2,
    "crowd": 40,
    "batches": 2,
    "storm_s": 2.0,
    "shapes": ("plain",),
}
#: A coordinator that stands still while it rests, for long enough to be replaced.
PAUSED_AT_REST: dict[str, Any] = {
    "weather": Weather(fault=0.0, chaos=0.05, kinds=("pause candidate",), ends=0.0),
    "times": replace(Times(), pauses=(2.6, 4.6)),
    "shared": False,
    "candidates": 2,
    "batches": 1,
    "storm_s": 10.0,
}


def only_hosts(fault: float, *fates: str) -> Weather:
    """Only the requests of hosts go wrong."""
    return Weather(fault=fault, fates=("served", *fates), whose=("host",), chaos=0.0, ends=0.0)


#: A coordinator alone that rests, and whose requests land late or without an answer.
DOUBTED: dict[str, Any] = HOST_AND_COORDINATOR | {
    "weather": Weather(fault=0.4, fates=("served", "late", "unanswered"), chaos=0.0, ends=0.0),
    "batches": 2,
    "storm_s": 14.0,
}
