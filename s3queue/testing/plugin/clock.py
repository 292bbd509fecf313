"""The clock of a test: runs like the real one, and jumps ahead where nothing but time is to pass."""

from __future__ import annotations

import asyncio
import importlib
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

from s3queue.io.clock import clock

#: Modules of this library that ask what time it is for whoever enqueues, looks and steers.
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
#: Those that ask by when a result expires, and when an attempt has failed, where a task runs. How long it runs is real.
_RUN = ("runtime.worker.results", "runtime.worker.outcomes", "runtime.worker.dealt")


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


class _Wall:
    """Stands for the module `time`, where the wall clock is asked for."""

    def __init__(self, of: VirtualClock) -> None:
        self._clock = of

    def time(self) -> float:
        return self._clock.wall()

    def time_ns(self) -> int:
        return int(self._clock.wall() * 1e9)

    def __getattr__(self, name: str) -> Any:
        return getattr(time, name)


class _Time(_Wall):
    """Also where somebody waits."""

    def __init__(self, of: VirtualClock, sleep: Callable[[float], None]) -> None:
        super().__init__(of)
        self.sleep = sleep

    def monotonic(self) -> float:
        return time.monotonic() + self._clock.ahead


class _Bell:
    """Stands for what rings when messages were settled: waiting for that runs them."""

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
    """Have delays, due times and states be counted by this clock. The user's own code sees the real time.

    Args:
        sleep: what waiting for a coordinator, or for a message to end, does instead.
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
