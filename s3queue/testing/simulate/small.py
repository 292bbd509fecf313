"""Worlds so small that all their schedules can be tried, up to a number of decisions that are not calm."""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple

from s3queue.core.plan import Settings
from s3queue.testing.simulate.scenes import Scene, Times, Weather

_TIMES = Times(
    settings=Settings(visibility_timeout=2.0, leader_lease=1.0, ticket_target=0.3, window_s=6.0, max_attempts=3),
    enqueue_deadline=1.0,
    late=(0.5, 3.0),
    slow=(1.5,),
    pauses=(2.5,),
    tasks=(0.05,),
    delays=(0.0,),
    restart=(0.1,),
    again=(0.05,),
    between=(0.0,),
)
_SCENE = Scene(machines=1, hosts=1, slots=1, producers=1, batches=1, most=1, storm_s=3.0, times=_TIMES)


class Small(NamedTuple):
    """
    Attributes:
        depth: decisions that may be other than calm; at most ``deviations`` of them are.
    """

    scene: Scene
    depth: int
    deviations: int


SMALL: dict[str, Small] = {
    "two coordinators, one batch": Small(
        replace(
            _SCENE,
            shared=False,
            candidates=2,
            weather=Weather(
                fault=0.1,
                fates=("served", "unanswered", "late"),
                whose=("main",),
                chaos=0.1,
                kinds=("pause candidate",),
                order=1.0,
                ends=0.0,
            ),
        ),
        depth=80,
        deviations=2,
    ),
    "a host flushing, a coordinator fencing": Small(
        replace(
            _SCENE,
            shared=False,
            candidates=1,
            hosts=2,
            most=2,
            weather=Weather(fault=0.1, fates=("served", "late"), chaos=0.1, kinds=("pause host",), order=1.0, ends=0.0),
        ),
        depth=75,
        deviations=2,
    ),
    "a host and its own late write": Small(
        replace(
            _SCENE,
            shared=False,
            candidates=1,
            storm_s=3.0,
            weather=Weather(
                fault=0.1, fates=("served", "late", "unanswered", "dropped"), chaos=0.0, order=1.0, ends=0.0
            ),
        ),
        depth=13,
        deviations=3,
    ),
    "a producer trying again, its source retiring": Small(
        replace(
            _SCENE,
            outlast=True,
            times=replace(_TIMES, late=(0.5, 2.5, 4.0)),
            weather=Weather(fault=0.1, fates=("served", "late", "unanswered", "slow"), chaos=0.0, order=1.0, ends=0.0),
        ),
        depth=30,
        deviations=2,
    ),
    "an agent restarting, its old ledger": Small(
        replace(
            _SCENE,
            shared=False,
            candidates=1,
            most=2,
            weather=Weather(
                fault=0.1, fates=("served", "late", "unanswered"), chaos=0.1, kinds=("kill agent",), order=1.0, ends=0.0
            ),
        ),
        depth=70,
        deviations=2,
    ),
}
