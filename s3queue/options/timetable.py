"""When a schedule ticks: cron expressions in a time zone.

Expressions are those of Debian's cron, evaluated by cronsim: five fields, or six where the first is seconds; also ``L``,
``LW`` and ``MON#1``. At a change of the clock this is what Debian's ``cron(8)`` says:

- An expression that names its hours and minutes runs once on each of its days: a time that the clock skips runs as soon as
  it has been skipped, one that the clock shows twice runs the first time.
- One whose hours or minutes begin with ``*``, or that has seconds, follows the clock: it does not run at times that are
  skipped, and runs twice at those that come twice.

The core knows nothing of this: it gets `next_tick` as a setting of the plan.
"""

from __future__ import annotations

from datetime import UTC, datetime
from functools import lru_cache
from zoneinfo import ZoneInfo

from s3queue.errors import ConfigError

__all__ = ["check_timetable", "next_tick"]

#: Names of the usual ones.
_NICKNAMES = {
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
    "@monthly": "0 0 1 * *",
    "@weekly": "0 0 * * 0",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@hourly": "0 * * * *",
}


def check_timetable(cron: str, tz: str, what: str) -> None:
    """Raise `ConfigError` if there is no such expression or time zone, or if it never ticks."""
    try:
        _zone(tz)
    except (KeyError, ValueError, OSError, TypeError):
        raise ConfigError(
            f"{what}: no time zone {tz!r}", "a name of the IANA database, such as Europe/Berlin"
        ) from None
    try:
        tick = next_tick(cron, tz, int(datetime.now(UTC).timestamp() * 1000))
    except (ValueError, TypeError, AttributeError) as wrong:
        raise ConfigError(
            f"{what}: not a cron expression: {cron!r}: {wrong}", "minute hour day month weekday, such as '30 2 * * *'"
        ) from None
    if tick is None:
        raise ConfigError(f"{what}: {cron!r} never ticks", "look at its day and month")


@lru_cache(maxsize=8192)
def next_tick(cron: str, tz: str, after_ms: int) -> int | None:
    """The first tick after a time. None: there is none within 50 years.

    What it says depends on the expression and the time zone alone, not on when and how often it is asked.

    Args:
        after_ms: wall clock in milliseconds.

    Raises:
        ValueError: not a cron expression, or no such time zone.
    """
    from cronsim import CronSim, CronSimError

    try:
        zone = _zone(tz)
    except (KeyError, OSError) as wrong:
        raise ValueError(f"no time zone {tz!r} here") from wrong
    start = datetime.fromtimestamp(after_ms // 1000, UTC).astimezone(zone)
    # Where the clock shows a time twice, begin at the first: what runs once a day has run then.
    if not _follows_the_clock(cron):
        start = start.replace(fold=0)
    try:
        for tick in CronSim(_NICKNAMES.get(cron, cron), start):
            tick_ms = int(tick.timestamp()) * 1000
            if tick_ms > after_ms:
                return tick_ms
    except CronSimError as wrong:
        raise ValueError(str(wrong)) from wrong
    except OverflowError:
        pass
    return None


def _follows_the_clock(cron: str) -> bool:
    fields = _NICKNAMES.get(cron, cron).split()
    return len(fields) != 5 or fields[0].startswith("*") or fields[1].startswith("*")


@lru_cache(maxsize=64)
def _zone(tz: str) -> ZoneInfo:
    return ZoneInfo(tz)
