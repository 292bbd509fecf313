"""Virtual time, and programs in it.

A program is a generator that yields operations and waits of `s3queue.core.ops`: the loops of `s3queue.core.agent` run as
they are. Time jumps from one event to the next.
"""

from __future__ import annotations

import heapq
import math
import random
import time
from collections.abc import Callable
from functools import partial
from typing import Any, Protocol

from s3queue.core.ops import Program, Signal, Wait


class Store(Protocol):
    def ask(self, running: Running, op: Any) -> None:
        """Perform an operation for a program, and resume it with the outcome some time later."""


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


class Processor:
    """What the programs of one process share: while one of them computes, none of the others moves.

    Args:
        weight: so much of the real time that a measured program computes is added to virtual time. 0: none, and runs are
            reproducible to the last digit.

    Attributes:
        computed_s: what was added.
    """

    __slots__ = ("computed_s", "free_at", "weight")

    def __init__(self, weight: float) -> None:
        self.weight = weight
        self.free_at = self.computed_s = 0.0


class Running:
    """A program under way.

    Args:
        role: whose requests these are, for the bill.
        measured: its computing takes virtual time.
    """

    __slots__ = ("_processor", "_program", "_signal", "_timer", "_weight", "dead", "role", "store", "world")

    def __init__(
        self,
        world: World,
        store: Store,
        program: Program[Any],
        processor: Processor,
        *,
        role: str,
        measured: bool = False,
        after_s: float = 0.0,
    ) -> None:
        self.world, self.store, self.role = world, store, role
        self._program, self._processor = program, processor
        self._weight = processor.weight if measured else 0.0
        self._timer = 0
        self._signal: Signal | None = None
        self.dead = False
        world.after(after_s, self.resume)

    def resume(self, outcome: Any = None) -> None:
        self._go(self._program.send, outcome)

    def throw(self, fault: Exception) -> None:
        self._go(self._program.throw, fault)

    def _go(self, how: Callable[[Any], Any], what: Any) -> None:
        if self.dead:
            return
        world, processor = self.world, self._processor
        if processor.free_at > world.now:
            world.at(processor.free_at, partial(self._go, how), what)
            return
        began = time.thread_time() if self._weight else 0.0
        try:
            asked = how(what)
        except StopIteration:
            self.dead = True
            return
        if self._weight:
            spent = (time.thread_time() - began) * self._weight
            processor.computed_s += spent
            processor.free_at = world.now + spent
            world.at(processor.free_at, self._ask, asked)
        else:
            self._ask(asked)

    def _ask(self, asked: Any) -> None:
        if not isinstance(asked, Wait):
            self.store.ask(self, asked)
            return
        world, signal = self.world, asked.wake_on
        self._timer += 1
        self._signal = signal
        if signal.is_set or asked.until <= world.now:
            world.after(0.0, self._over, self._timer)
            return
        signal.notify = partial(world.after, 0.0, self._over, self._timer)
        if asked.until < math.inf:
            world.at(asked.until, self._over, self._timer)

    def _over(self, timer: int) -> None:
        """The wait with this number is over, unless it was before."""
        signal = self._signal
        if timer == self._timer and signal is not None:
            self._signal = signal.notify = None
            self.resume(signal.take())
