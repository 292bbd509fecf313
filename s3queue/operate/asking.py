"""Checks of arguments that many calls take: time-outs, numbers of rows, times in the past.

Checked before anything is asked of the store, so that a call that is refused has changed nothing.
"""

from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta

from s3queue.errors import ConfigError

__all__ = ["check_force", "check_limit", "check_timeout", "parse_since"]

#: Seconds: the longest that a record can hold.
_LONGEST_S = 100 * 86_400.0
#: Seconds of each unit.
_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86_400}


def check_timeout(timeout: float) -> None:
    """Raise `ConfigError` unless this is a number of seconds, from 0."""
    if isinstance(timeout, bool) or not isinstance(timeout, int | float) or not 0 <= timeout < math.inf:
        raise ConfigError(f"timeout is {timeout!r}", "seconds, at least 0; there is no endless waiting")


def check_limit(limit: int | None) -> None:
    """Raise `ConfigError` unless this is a number of rows, from 1, or None for all."""
    if limit is not None and (isinstance(limit, bool) or not isinstance(limit, int) or limit < 1):
        raise ConfigError(f"limit is {limit!r}", "a number from 1, or None for all")


def check_force(force_after: float | None) -> float | None:
    """Raises `ConfigError` where this is no number of seconds."""
    if force_after is None:
        return None
    if isinstance(force_after, bool) or not isinstance(force_after, int | float) or not 0 <= force_after <= _LONGEST_S:
        raise ConfigError(f"force_after is {force_after!r}", "seconds, from 0 to a hundred days")
    return float(force_after)


def parse_since(text: str) -> datetime:
    """A time in the past, as a length of time (``90s``, ``30m``, ``2h``, ``1d``) or in ISO 8601; in this machine's time
    zone if it names none.

    Raises:
        ConfigError: it is neither.
    """
    try:
        if text[-1:] in _UNITS and text[:-1].isdecimal():
            return datetime.now(UTC) - timedelta(seconds=int(text[:-1]) * _UNITS[text[-1]])
        return datetime.fromisoformat(text).astimezone()
    except (ValueError, OverflowError):
        raise ConfigError(f"not a time: {text!r}", "for example 30m, 2h, 1d, or 2030-01-31T08:00") from None
