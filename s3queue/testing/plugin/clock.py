"""The clock of a test. It runs like the real clock, and jumps ahead where a program would only wait."""

from __future__ import annotations

import asyncio
import importlib
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

from s3queue.io.clock import clock

#: Modules of this library that read the time for producers, readers and operators.
_ASK = (
    "queue",
    "enqueue.sending",
    "messages",
    "operate.details",
    "operate.operation",
    "operate.schedules",
    "operate.inspection",
    "operate.status",
    "operate.waiting",
    "options.timing",
)
#: Modules that read the time at which a result expires, or an attempt failed. The duration of a task is real time.
_RUN = ("runtime.worker.results", "runtime.worker.outcomes", "runtime.worker.dealt")


class VirtualClock:
    """A clock that can jump ahead.

    Attributes:
        ahead: seconds by which it is ahead of the real clock.
    """

    def __init__(self) -> None:
        self.ahead = 0.0

    def now(self) -> datetime:
        """The time of the queue: messages are due by it."""
        return datetime.fromtimestamp(self.wall(), UTC)

    def wall(self) -> float:
        """Seconds since 1970."""
        return time.time() + self.ahead

    def wall_ms(self) -> int:
        """Milliseconds since 1970."""
        return int(self.wall() * 1000)

    def steady(self) -> float:
        """Seconds of a clock that never goes back."""
        return clock() + self.ahead

    def jump(self, seconds: float) -> None:
        """Go ahead by this many seconds."""
        self.ahead += max(0.0, seconds)


class _Wall:
    """Takes the place of the module `time` in modules that read the wall clock."""

    def __init__(self, of: VirtualClock) -> None:
        self._clock = of

    def time(self) -> float:
        return self._clock.wall()

    def time_ns(self) -> int:
        return int(self._clock.wall() * 1e9)

    def __getattr__(self, name: str) -> Any:
        return getattr(time, name)


class _Time(_Wall):
    """The same for modules that also wait."""

    def __init__(self, of: VirtualClock, sleep: Callable[[float], None]) -> None:
        super().__init__(of)
        self.sleep = sleep

    def monotonic(self) -> float:
        return time.monotonic() + self._clock.ahead


class _Bell:
    """Takes the place of the socket on which agents report settled messages: waiting for it runs messages."""

    def __init__(self, sleep: Callable[[float], None]) -> None:
        self._sleep = sleep

    def wait(self, seconds: float) -> bool:
        self._sleep(seconds)
        return False

    async def hear(self, seconds: float) -> bool:
        await asyncio.to_thread(self._sleep, seconds)
        return False

    def close(self) -> None:
        pass


@contextmanager
def shown_to_producers(of: VirtualClock, sleep: Callable[[float], None]) -> Iterator[None]:
    """In the block delays, due times and states go by this clock. Code of the user sees the real time.

    Args:
        sleep: called instead of waiting for a coordinator, or for the end of a message.
    """
    stand_ins = {name: _Time(of, sleep) for name in _ASK} | dict.fromkeys(_RUN, _Wall(of))
    modules = {importlib.import_module(f"s3queue.{name}"): one for name, one in stand_ins.items()}
    for module, one in modules.items():
        vars(module)["time"] = one
    waiting = vars(importlib.import_module("s3queue.operate.waiting"))
    bell, waiting["_Bell"] = waiting["_Bell"], lambda url, root: _Bell(sleep)
    try:
        yield
    finally:
        waiting["_Bell"] = bell
        for module in modules:
            vars(module)["time"] = time
