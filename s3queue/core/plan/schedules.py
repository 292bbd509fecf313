"""Schedules: the commit that moves a schedule's last tick admits the tick as a source of one message.

So a tick is enqueued once, whoever leads: nothing of it can land late, nothing is deleted or retired, and no window has to
cover it. A new schedule starts after the tick that is now; one that is removed keeps its last tick for a day, so that it
can be added again under a leader whose clock is behind. An edit goes on from the last tick of what it replaces.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator

from msgspec.structs import replace

from s3queue.core.keys import TICKS, schedule_in, tick_path
from s3queue.core.plan.planning import Planning
from s3queue.core.plan.settings import Timetable
from s3queue.core.records import Ready, Request, Schedule, SourceState, Ticked
from s3queue.errors import ConfigError

#: Ticks of one schedule that are not settled, at most: more are admitted as these end.
MOST_UNSETTLED = 100
#: Milliseconds after which a tick is missed, for ``catch_up="none"``.
LATE_MS = 60_000
#: Milliseconds for which the last tick of a removed schedule is kept.
KEEP_MS = 86_400_000
#: Milliseconds before now in which the last tick is looked for: the first that holds one has it.
_LOOK_BACK_MS = (3_600_000, KEEP_MS, 32 * KEEP_MS, 366 * KEEP_MS)
_NEW = SourceState(ready=(Ready(0, 1, 1),))
#: Bytes of a tick on the board besides its path.
_BYTES = 40


def next_tick(schedule: Schedule, after_ms: int, timetable: Timetable) -> int | None:
    """The first tick after a time; None: there is none, or this release cannot tell."""
    if schedule.every_s:
        step_ms = schedule.every_s * 1000
        return (after_ms // step_ms + 1) * step_ms
    try:
        return timetable(schedule.cron, schedule.tz, after_ms)
    except ValueError:
        return None


def last_tick(schedule: Schedule, after_ms: int, upto_ms: int, timetable: Timetable) -> int | None:
    """The last tick after the one time and not after the other."""
    if schedule.every_s:
        newest_ms = upto_ms // (schedule.every_s * 1000) * schedule.every_s * 1000
        return newest_ms if newest_ms > after_ms else None
    for back_ms in (*_LOOK_BACK_MS, upto_ms):
        found = None
        tick_ms = next_tick(schedule, max(after_ms, upto_ms - back_ms), timetable)
        while tick_ms is not None and tick_ms <= upto_ms:
            found, tick_ms = tick_ms, next_tick(schedule, tick_ms, timetable)
        if found is not None or upto_ms - back_ms <= after_ms:
            return found
    return None


def admit(planning: Planning, now_ms: int, *, is_held: bool, deleted: Collection[tuple[str, int]]) -> None:
    """Admit the ticks that are due.

    Args:
        now_ms: wall clock, before the survey.
        is_held: this leader's clock cannot be trusted: nothing ticks, and no schedule is new or gone.
        deleted: name and revision of objects that are deleted.
    """
    control = planning.control
    if control is None or not (control.schedules or planning.ticked):
        return
    unsettled = _unsettled(planning)
    _forget_old(planning, deleted)
    if is_held:
        return
    for name, schedule in control.schedules.items():
        if not schedule.is_known:
            continue
        ticked = _adopt(planning, name, schedule, now_ms)
        if schedule.is_paused(now_ms):
            if schedule.paused_ms:
                planning.comes([schedule.paused_ms])
            continue
        if planning.is_emptied(schedule.queue):
            continue  # after the purge, as after an outage
        room = MOST_UNSETTLED - unsettled.get(name, 0)
        last_ms, ran_ms = ticked.last_ms, ticked.ran_ms
        for tick_ms, runs in _due(planning, schedule, last_ms, now_ms, room):
            try:
                path = tick_path(schedule.queue, schedule.priority, tick_ms, name, ticked.revision)
            except ConfigError:  # a control that was written by hand
                break
            last_ms = tick_ms
            if runs:
                _admit(planning, path)
                ran_ms = tick_ms
        if last_ms != ticked.last_ms:
            _enter(planning, name, replace(ticked, last_ms=last_ms, gone_ms=0, ran_ms=ran_ms))
    for name in [name for name in planning.ticked if name not in control.schedules]:
        _remove(planning, name, now_ms)


def run_now(planning: Planning, path: str, request: Request) -> str | None:
    """Admit a message of a schedule beside its ticks. Returns the answer; None: not now."""
    if planning.control is None:
        return None
    if planning.bytes > planning.settings.max_board_bytes // 2:
        planning.full.add("board")
        return None
    name = request.message
    schedule = planning.control.schedules.get(name)
    if schedule is None:
        return "absent"
    ms, _, random = path.rpartition("/")[2].partition("-")
    try:
        _admit(planning, tick_path(schedule.queue, schedule.priority, int(ms), name, schedule.revision, random))
    except ConfigError:  # a control that was written by hand
        return "unknown"
    return "ready"


def _due(planning: Planning, schedule: Schedule, last_ms: int, now_ms: int, room: int) -> Iterator[tuple[int, bool]]:
    """The ticks by which the schedule moves on, and whether each runs."""
    timetable = planning.settings.timetable
    after_ms = max(last_ms, schedule.from_ms, schedule.paused_ms or 0)
    tick_ms = next_tick(schedule, after_ms, timetable)
    if tick_ms is not None and tick_ms <= now_ms:
        if planning.bytes > planning.settings.max_board_bytes // 2:
            planning.full.add("board")
            return
        if schedule.catch_up == "all":
            while room > 0 and tick_ms is not None and tick_ms <= now_ms:
                yield tick_ms, True
                room, tick_ms = room - 1, next_tick(schedule, tick_ms, timetable)
        elif room > 0:
            newest_ms = last_tick(schedule, tick_ms, now_ms, timetable) or tick_ms
            yield newest_ms, schedule.catch_up != "none" or now_ms - newest_ms <= LATE_MS
            tick_ms = next_tick(schedule, newest_ms, timetable)
    if tick_ms is not None and tick_ms > now_ms:  # one that waits for room comes when others are settled
        planning.comes([tick_ms])


def _admit(planning: Planning, path: str) -> None:
    if path not in planning.sources:
        planning.sources[path] = _NEW
        planning.bytes += len(path) + _BYTES
        planning.planned.changed = True


def _adopt(planning: Planning, name: str, schedule: Schedule, now_ms: int) -> Ticked:
    """What the board says of a schedule that the control names."""
    ticked = planning.ticked.get(name)
    if ticked is None:
        return _enter(planning, name, Ticked(schedule.revision, schedule.since_ms or now_ms))
    if ticked.revision != schedule.revision:
        old = tuple({*ticked.old, ticked.revision} - {schedule.revision})
        last_ms = schedule.since_ms or ticked.last_ms or now_ms
        ticked = _enter(planning, name, Ticked(schedule.revision, last_ms, 0, old, ticked.ran_ms))
    elif ticked.gone_ms:
        ticked = _enter(planning, name, replace(ticked, last_ms=ticked.last_ms or now_ms, gone_ms=0))
    return ticked


def _remove(planning: Planning, name: str, now_ms: int) -> None:
    """No control names it."""
    ticked = planning.ticked[name]
    if not ticked.gone_ms:
        ticked = _enter(planning, name, replace(ticked, gone_ms=now_ms))
    planning.comes([ticked.gone_ms + KEEP_MS])
    if now_ms < ticked.gone_ms + KEEP_MS or now_ms < ticked.last_ms:
        return
    if ticked.last_ms:
        old = tuple({*ticked.old, ticked.revision})
        _enter(planning, name, replace(ticked, last_ms=0, old=old))
    elif not ticked.old:
        del planning.ticked[name]
        planning.planned.changed = True


def _forget_old(planning: Planning, deleted: Collection[tuple[str, int]]) -> None:
    for name, revision in deleted:
        ticked = planning.ticked.get(name)
        if ticked is not None and revision in ticked.old:
            old = tuple(one for one in ticked.old if one != revision)
            _enter(planning, name, replace(ticked, old=old))


def _enter(planning: Planning, name: str, ticked: Ticked) -> Ticked:
    planning.ticked[name] = ticked
    planning.planned.changed = True
    return ticked


def _unsettled(planning: Planning) -> dict[str, int]:
    """By schedule, how many of its messages are on the board and not settled."""
    many: dict[str, int] = {}
    for path in planning.sources:
        if path.startswith(TICKS):
            name = schedule_in(path)
            many[name] = many.get(name, 0) + 1
    return many
