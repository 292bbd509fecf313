"""What callers say of how long they wait, and how much they want to see.

Checked before anything is asked of the store, so that a call that is refused has changed nothing.
"""

from __future__ import annotations

import math

from s3queue.errors import ConfigError

__all__ = ["check_force", "check_limit", "check_timeout"]

#: Seconds: the longest that a record can hold.
_LONGEST_S = 100 * 86_400.0


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
