"""Times that callers give: how long, and when."""

from __future__ import annotations

import time
from datetime import datetime, timedelta

from s3queue.errors import ConfigError

__all__ = ["due_ms_of", "seconds_of"]


def seconds_of(length: float | timedelta, what: str) -> float:
    """Raises `ConfigError`: not a length of time above 0."""
    seconds = length.total_seconds() if isinstance(length, timedelta) else length
    if isinstance(seconds, bool) or not isinstance(seconds, int | float) or not 0 < seconds < 1e9:
        raise ConfigError(f"{what} is {length!r}", "seconds above 0, or a timedelta")
    return float(seconds)


def due_ms_of(delay: float | timedelta | None, at: datetime | None) -> int | None:
    """Wall clock in milliseconds before which a message is not to run; None where that is now.

    Raises:
        ConfigError: both are given, ``delay`` is no length of time from 0 on, or ``at`` has no time zone.
    """
    if delay is not None and at is not None:
        raise ConfigError("delay and at were both given", "one of them says when")
    if at is not None:
        if not isinstance(at, datetime) or at.tzinfo is None or at.year > 2200:
            raise ConfigError(f"at is {at!r}", "a datetime with a time zone, for example datetime.now(UTC)")
        due_s = at.timestamp()
    elif delay is not None:
        if isinstance(delay, timedelta):
            delay = delay.total_seconds()
        if isinstance(delay, bool) or not isinstance(delay, int | float) or not 0 <= delay < 1e9:
            raise ConfigError(f"delay is {delay!r}", "seconds from now or a timedelta, at least 0")
        if delay == 0:
            return None
        due_s = time.time() + delay
    else:
        return None
    return int(due_s * 1000) if due_s > time.time() else None
