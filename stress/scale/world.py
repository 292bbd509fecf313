"""Virtual time, and processes in it.

A process is a generator. It may ``yield`` a `Sleep`, or any operation of `s3queue.core.ops`: a production step that is
delegated to with ``yield from`` therefore runs as it is. Time jumps from one event to the next.
"""

from __future__ import annotations

import heapq
import random
import time
from collections.abc import Callable, Generator
from typing import Any, NamedTuple, Protocol, TypeAlias

Process: TypeAlias = Generator[Any, Any, None]


class Bell:
    """Like `s3queue.runtime.agent.station.Bell`: waited for with a time-out, forgotten once it was heard."""

    __slots__ = ("_sleeper", "rang")

    def __init__(self) -> None:
        self.rang = False
        self._sleeper: tuple[Running, int] | None = None

    def ring(self) -> None:
        self.rang = True
        if self._sleeper is not None:
            (running, timer), self._sleeper = self._sleeper, None
            running.world.after(0.0, running.expired, timer)

    def heard(self, within_s: float) -> Generator[Any, Any, bool]:
        if not self.rang and within_s > 0:
            yield Sleep(within_s, self)
        rang, self.rang = self.rang, False
        return rang


class Sleep(NamedTuple):
    for_s: float
    bell: Bell | None = None


class Store(Protocol):
    def ask(self, running: Running, op: Any) -> None:
        """Perform an operation for a process, and resume it with the outcome some time later."""


class World:
    """The clock and what is going to happen."""

    def __init__(self, seed: int) -> None:
        self.now = 0.0
        self.random = random.Random(seed)
        self._events: list[tuple[float, int, Callable[[Any], None], Any]] = []
        self._sequence = 0
        self.events = 0
        self.stopped = False

    def at(self, when: float, act: Callable[[Any], None], what: Any = None) -> None:
        self._sequence += 1
        heapq.heappush(self._events, (when, self._sequence, act, what))

    def after(self, delay_s: float, act: Callable[[Any], None], what: Any = None) -> None:
        self.at(self.now + delay_s, act, what)

    def run(self, until: float) -> None:
        events = self._events
        while events and events[0][0] <= until and not self.stopped:
            self.now, _, act, what = heapq.heappop(events)
            self.events += 1
            act(what)
        if not self.stopped:
            self.now = until


class Running:
    """A process under way.

    Args:
        cpu: of this process's own computing, so much of the real time it takes is added to virtual time. 0: none, and
            runs are reproducible to the last digit.
    """

    def __init__(self, world: World, store: Store, process: Process, *, role: str, cpu: float = 0.0) -> None:
        self.world, self.store, self.role = world, store, role
        self._process, self._cpu = process, cpu
        self._timer = 0
        self.computed_s = 0.0
        self.dead = False

    def start(self) -> Running:
        self.world.after(0.0, self.resume)
        return self

    def resume(self, outcome: Any = None) -> None:
        self._go(self._process.send, outcome)

    def throw(self, fault: Exception) -> None:
        self._go(self._process.throw, fault)

    def _go(self, how: Callable[[Any], Any], what: Any) -> None:
        if self.dead:
            return
        began = time.thread_time() if self._cpu else 0.0
        try:
            asked = how(what)
        except StopIteration:
            self.dead = True
            return
        if self._cpu:
            spent = (time.thread_time() - began) * self._cpu
            self.computed_s += spent
            self.world.after(spent, self._ask, asked)
        else:
            self._ask(asked)

    def _ask(self, asked: Any) -> None:
        if isinstance(asked, Sleep):
            self._timer += 1
            if asked.bell is not None:
                if asked.bell.rang:  # while this process was computing
                    self.world.after(0.0, self.expired, self._timer)
                    return
                asked.bell._sleeper = self, self._timer
            self.world.after(max(0.0, asked.for_s), self.expired, self._timer)
        else:
            self.store.ask(self, asked)

    def expired(self, timer: int) -> None:
        """The sleep with this number is over, unless it was before."""
        if timer == self._timer:
            self._timer += 1
            self.resume()
