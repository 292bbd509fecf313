"""Mutants of schedules. Imported for their registration in `MUTANTS`."""

from __future__ import annotations

from typing import Any

from s3queue.core import declare
from s3queue.core.chores.revisions import Revisions
from s3queue.core.clocks import Clocks
from s3queue.core.cycle import Lead
from s3queue.core.plan import schedules
from s3queue.core.plan.planning import Planning
from s3queue.core.records import Board, Schedule, Ticked
from s3queue.testing.simulate import Weather
from tests.simulation.mutants import mutant

#: Schedules that are set, edited and removed, and leaders that are replaced, by such as have other clocks.
_TIMED: dict[str, Any] = {
    "schedules": 2,
    "weather": Weather(fault=0.05, chaos=0.04, kinds=("kill candidate", "pause candidate", "kill agent")),
    "shared": False,
    "candidates": 2,
    "storm_s": 10.0,
    "shapes": ("plain",),
    "batches": 1,
}


@mutant(schedules, "_enter", "I15 I2 I3 I9 P6", **_TIMED)
def a_tick_is_admitted_and_its_schedule_stays(enter: Any, planning: Planning, name: str, ticked: Ticked) -> Ticked:
    """The commit that admits a tick moves the schedule's last tick."""
    before = planning.ticked.get(name)
    if before is not None and before.revision == ticked.revision and before.last_ms and planning.board.turn % 2:
        ticked = Ticked(ticked.revision, before.last_ms, ticked.gone_ms, ticked.old)
    entered: Ticked = enter(planning, name, ticked)
    return entered


@mutant(schedules, "_admit", "I15", **_TIMED)
def a_schedule_moves_on_and_forgets_a_tick(admit: Any, planning: Planning, path: str) -> None:
    """The commit that moves a schedule's last tick admits what it passes."""
    if planning.board.turn % 3:
        admit(planning, path)


@mutant(Lead, "_stamped", "I15", within=300, **_TIMED)
def a_new_leader_forgets_where_schedules_were(stamped: Any, lead: Lead, board: Board, *more: Any, **news: Any) -> Board:
    """The last tick is on the board, and outlives every leader."""
    from msgspec.structs import replace

    after: Board = stamped(lead, board, *more, **news)
    if lead.written_at == lead.term.since and lead.epoch > 1:
        return replace(after, schedules={})
    return after


@mutant(schedules, "_remove", "I15", within=300, **_TIMED)
def a_removed_schedule_forgets_its_last_tick(_: Any, planning: Planning, name: str, now_ms: int) -> None:
    """A removed schedule keeps its last tick for a day, in case that a leader whose clock is behind adds it again."""
    del planning.ticked[name]
    planning.planned.changed = True


@mutant(schedules, "_adopt", "I15", within=300, **_TIMED)
def an_edit_begins_anew(_: Any, planning: Planning, name: str, schedule: Schedule, now_ms: int) -> Ticked:
    """An edit goes on from the last tick of what it replaces."""
    known = planning.ticked.get(name)
    if known is not None and known.revision == schedule.revision:
        return known
    return schedules._enter(planning, name, Ticked(schedule.revision, now_ms - 1500))


@mutant(Schedule, "is_paused", "I15", **_TIMED)
def a_paused_schedule_ticks(_: Any, schedule: Schedule, now_ms: int) -> bool:
    """A paused schedule stands still."""
    return False


@mutant(
    Clocks,
    "look",
    "I15",
    schedules=2,
    machines=3,
    hosts=3,
    shared=True,
    astray_s=900.0,
    shapes=("plain",),
    storm_s=14.0,
    weather=Weather(fault=0.02, chaos=0.0),
)
def a_leader_believes_its_clock(_: Any, clocks: Clocks, *more: Any) -> None:
    """A leader whose clock is a minute off the median holds schedules."""


@mutant(Revisions, "follow", "I15", within=300, **_TIMED)
def a_revision_is_deleted_while_its_ticks_run(
    _: Any, of: Revisions, board: Board, *rest: Any, **more: Any
) -> list[str]:
    """The object of an old revision stays until none of its messages is on the board."""
    of.deleted &= {(name, revision) for name, ticked in board.schedules.items() for revision in ticked.old}
    of._keys = {
        of._layout.schedule(f"{name}.{ticked.revision}"): (name, ticked.revision)
        for name, ticked in board.schedules.items()
    }
    return list(of._keys)


@mutant(declare, "_store", "I15", **_TIMED)
def a_control_names_an_object_that_is_not_there(_: Any, layout: Any, one: Any, nonce: str) -> Any:
    """The object of a schedule is stored before a control names it."""
    yield from ()
    return 1 + sum(nonce.encode()) % 1000
