"""The clock of a test: runs like the real one, and jumps ahead where nothing but time is to pass."""

from __future__ import annotations

import importlib
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

from s3queue.runtime.local.clock import clock

#: Modules of this library that ask what time it is for whoever enqueues, looks and steers.
_ASK = (
    "queue",
    "enqueue.sending",
    "messages",
    "operate.operation",
    "operate.schedules",
    "operate.inspection",
    "options.timing",
)


class VirtualClock:
    """
    Attributes:
        ahead: seconds by which it has jumped ahead of the real one.
    """

    def __init__(self) -> None:
        self.ahead = 0.0

    def now(self) -> datetime:
        """The time that tasks are due by."""
        return datetime.fromtimestamp(self.wall(), UTC)

    def wall(self) -> float:
        return time.time() + self.ahead

    def wall_ms(self) -> int:
        return int(self.wall() * 1000)

    def steady(self) -> float:
        return clock() + self.ahead

    def jump(self, seconds: float) -> None:
        """Let so much time have passed."""
        self.ahead += max(0.0, seconds)


class _Time:
    """Stands for the module `time`."""

    def __init__(self, of: VirtualClock, sleep: Callable[[float], None]) -> None:
        self._clock, self.sleep = of, sleep

    def time(self) -> float:
        return self._clock.wall()

    def time_ns(self) -> int:
        return int(self._clock.wall() * 1e9)

    def monotonic(self) -> float:
        return time.monotonic() + self._clock.ahead

    def __getattr__(self, name: str) -> Any:
        return getattr(time, name)


@contextmanager
def shown_to_producers(of: VirtualClock, sleep: Callable[[float], None]) -> Iterator[None]:
    """Have delays, due times and states be counted by this clock. The user's own code sees the real time.

    Args:
        sleep: what waiting for a coordinator does instead.
    """
    modules = [importlib.import_module(f"s3queue.{name}") for name in _ASK]
    for module in modules:
        vars(module)["time"] = _Time(of, sleep)
    try:
        yield
    finally:
        for module in modules:
            vars(module)["time"] = time
