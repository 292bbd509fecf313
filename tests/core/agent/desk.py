"""An agent whose world is a test: clocks that only it moves, a store in memory, workers that do nothing by themselves."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterable
from typing import Any

from s3queue_backends.memory import MemoryStore

from s3queue.core import agent as core
from s3queue.core.ledger import Host
from s3queue.core.ops import Get, Op, Program, Put, Wait
from s3queue.core.pacing import Pace
from s3queue.core.plan import Settings
from s3queue.core.records import About, Leader, Offer, Place, Usage
from s3queue.store import Capabilities
from tests.core.hands import perform
from tests.core.world import LAYOUT, NOW_MS


class Pacing:
    pacing, overhead, ack_interval, leader_lease, visibility_timeout = "balanced", 0.5, 0.2, 15.0, 30.0
    doze_interval = 300.0


class Idle:
    """Workers that take nothing."""

    pooled = unfinished = 0

    def look(self) -> None: ...
    def deal(self, now: float) -> None: ...
    def recall(self, now: float, *, everything: bool = False) -> bool:
        return False

    def release_pool(self) -> None: ...
    def claimed(self, names: Iterable[str]) -> None: ...
    def stored(self) -> None: ...
    def mean_s(self, queue: str, now: float) -> float:
        return 0.0


class Desk:
    """
    Attributes:
        told: what the agent said: kind, and key or text.
        asked: every operation on the store.
        refuse: says which operations fail, and how.
    """

    def __init__(self, *, session: str = "h1", store: MemoryStore | None = None, billed: bool = False) -> None:
        self.store = store or MemoryStore()
        self.time, self.numbers = 1000.0, 0
        self.told: list[tuple[str, str]] = []
        self.asked: list[Op] = []
        self.lanes: list[_Lane] = []
        self.refuse: Callable[[Op], Exception | None] = lambda op: None
        self.takes_s: Callable[[Op], float] = lambda op: 0.001
        self.host = Host(LAYOUT, session, 4, {"q": Offer(max_attempts=3)})
        pace = Pace(Pacing(), Capabilities("test", requests_cost=billed))
        self.agent = core.Agent(LAYOUT, self.host, Idle(), pace, Settings(), self, Leader(session))

    # ---- its environment -----------------------------------------------------------------------------------

    def now(self) -> float:
        return self.time

    def now_ms(self) -> int:
        return NOW_MS + int((self.time - 1000) * 1000)

    def nonce(self) -> str:
        self.numbers += 1
        return f"{self.host.session}{self.numbers}"

    def is_gone(self, session: str, place: Place) -> bool:
        return False

    def is_local(self, place: Place) -> bool:
        return False

    def wake_machine(self) -> None: ...
    def knock(self, addresses: Collection[str]) -> None:
        self.told.append(("knock", " ".join(sorted(addresses))))

    def wake_waiters(self) -> None: ...
    def trust(self, until: float) -> None: ...
    def usage(self) -> dict[str, Usage]:
        return {}

    def about(self) -> About:
        return About()

    def queues_are_empty(self) -> None:
        self.told.append(("empty", ""))

    def wants(self, kind: str) -> bool:
        return True

    def emit(self, kind: str, **fields: object) -> None:
        self.told.append((kind, str(fields)))

    def warn(self, key: str, text: str) -> None:
        self.told.append(("warn", key))

    def fault(self, what: str, fault: Exception) -> None:
        self.told.append(("fault", what))

    def mark(self, what: str) -> None: ...

    # ---- its programs --------------------------------------------------------------------------------------

    def start(self, *programs: Program[Any]) -> None:
        """These run side by side on this clock from now on."""
        self.lanes = [_Lane(program) for program in programs]

    def go(self, until: float) -> list[Any]:
        """Go on, always with the one whose time has come first, until a time or until the first ends. Returns what that
        returned, if it did."""
        while True:
            lane = min(self.lanes, key=lambda one: one.due(self.time))
            if (at := lane.due(self.time)) > until:
                self.time = until
                return []
            self.time = max(self.time, at)
            try:
                lane.move(self)
            except StopIteration as end:
                return [end.value]

    def count(self, kind: type[Op], key: str = "") -> int:
        return sum(isinstance(op, kind) and isinstance(op, (Get, Put)) and op.key.startswith(key) for op in self.asked)


class _Lane:
    def __init__(self, program: Program[Any]) -> None:
        self.program, self.wish, self.at = program, None, -math.inf
        self.begun = False
        self.wish: Any

    def due(self, now: float) -> float:
        if isinstance(self.wish, Wait):
            return now if self.wish.wake_on.is_set else max(now, self.wish.until)
        return max(now, self.at)

    def move(self, desk: Desk) -> None:
        if not self.begun:
            self.begun, self.wish = True, next(self.program)
        elif isinstance(self.wish, Wait):
            self.wish = self.program.send(self.wish.wake_on.take())
        else:
            op = self.wish
            desk.asked.append(op)
            fault = desk.refuse(op)
            if fault is not None:
                self.wish = self.program.throw(fault)
            else:
                self.wish = self.program.send(perform(desk.store, op))
        self.at = desk.time + (0.0 if isinstance(self.wish, Wait) else desk.takes_s(self.wish))
