"""How much of a queue may run, as tasks declare it and operators set it.

::

    @s3queue.task(queue="mail", max_running=50, rate="100/s", fair=True, per_key=Limit(max_running=2))
    def send(user_id: int) -> None: ...

    send.options(key=f"tenant-{tenant}").enqueue(7)
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from msgspec import Struct

from s3queue.core import records
from s3queue.core.keys import key_name
from s3queue.errors import ConfigError
from s3queue.options.times import seconds_of

__all__ = ["DECLARED", "Breaker", "Limit", "declare", "declared", "rate_of"]

_RATE = re.compile(r"(\d+(?:\.\d+)?)\s*/\s*(s|sec|second|m|min|minute|h|hour|d|day)")
_UNITS = {"s": 1.0, "m": 60.0, "h": 3600.0, "d": 86_400.0}
_MOST_RUNNING, _MOST_RATE = 10**9, 1e6


class Limit(Struct, frozen=True):
    """How many messages may run at once, and how many may start per second. None: this limit stays as it is.

    Args:
        max_running: messages at once; 0: any number.
        rate: messages started per second, on average: a number, or ``"100/s"``, ``"20/min"``, ``"5/h"``; 0: any number.
    """

    max_running: int | None = None
    rate: float | str | None = None

    def record(self, what: str) -> records.Limit:
        """The record of it. ``what`` begins the text of an error. Raises `ConfigError`: a value is out of range."""
        most = self.max_running
        if most is not None and (type(most) is not int or not 0 <= most <= _MOST_RUNNING):
            raise ConfigError(f"{what}: max_running is {most!r}", "a number of messages; 0 for any number")
        return records.Limit(most, None if self.rate is None else rate_of(self.rate, what))


class Breaker(Struct, frozen=True):
    """When to hold a queue whose messages fail, and when to try again.

    After ``failures`` failed attempts within ``window`` seconds no message of the queue starts for ``pause`` seconds. Then
    one message at a time is tried. The first success lets the queue run again; a failure begins another pause.

    Args:
        failures: failed attempts, from 1 to 1,000,000.
        window: seconds, at most a day.
        pause: seconds, at most a day.
    """

    failures: int
    window: float = 60.0
    pause: float = 30.0

    def record(self, what: str) -> records.Breaker:
        """The record of it. ``what`` begins the text of an error. Raises `ConfigError`: a value is out of range."""
        if type(self.failures) is not int or not 1 <= self.failures <= 1_000_000:
            raise ConfigError(f"{what}: a breaker opens after {self.failures!r} failures", "a number above 0")
        for name, seconds in (("window", self.window), ("pause", self.pause)):
            if isinstance(seconds, bool) or not isinstance(seconds, int | float) or not 0 < seconds <= 86_400:
                raise ConfigError(f"{what}: the breaker's {name} is {seconds!r}", "seconds, at most a day")
        return records.Breaker(self.failures, float(self.window), float(self.pause))


def rate_of(rate: float | str, what: str = "limit") -> float:
    """Messages a second. Raises `ConfigError` where that is no rate."""
    if isinstance(rate, str) and (found := _RATE.fullmatch(rate.strip())):
        rate = float(found[1]) / _UNITS[found[2][0]]
    if isinstance(rate, bool | str) or not isinstance(rate, int | float) or not 0 <= rate <= _MOST_RATE:
        raise ConfigError(f"{what}: the rate is {rate!r}", "for example 100/s, 20/min, 5/h, or a number a second")
    return float(rate)


def declare(
    what: str,
    *,
    max_running: int | None = None,
    rate: float | str | None = None,
    per_key: Limit | None = None,
    keys: Mapping[str, Limit] | None = None,
    fair: bool | None = None,
    weights: Mapping[str, int] | None = None,
    ageing: float | timedelta | None = None,
    breaker: Breaker | None = None,
) -> records.Limits:
    """The record of these limits of a queue. Raises: ConfigError: a value makes no sense."""
    given = {key_name(key): weight for key, weight in (weights or {}).items()}
    if any(type(weight) is not int or not 1 <= weight <= 1000 for weight in given.values()):
        raise ConfigError(f"{what}: weights are {dict(weights or {})!r}", "for each key a number from 1 to 1000")
    if fair is not None and type(fair) is not bool:
        raise ConfigError(f"{what}: fair is {fair!r}", "True or False")
    ageing_s = None
    if ageing is not None:
        ageing_s = 0.0 if ageing == 0 else seconds_of(ageing, f"{what}: ageing")
    return records.Limits(
        Limit(max_running, rate).record(what),
        (per_key or Limit()).record(f"{what}: per_key"),
        {key_name(key): limit.record(f"{what}: key {key!r}") for key, limit in (keys or {}).items()},
        True if fair is None and given else fair,
        given,
        None if ageing_s is None or math.isinf(ageing_s) else ageing_s,
        None if breaker is None else breaker.record(what),
    )


#: Options of a task that limit its queue.
DECLARED = ("max_running", "rate", "per_key", "fair", "ageing", "breaker")


def declared(what: str, **said: Any) -> records.Limits | None:
    """As `declare`; None if no limit is given, which costs nothing."""
    return None if all(one is None for one in said.values()) else declare(what, **said)
