"""The surroundings of an agent, and the state shared by its host and coordinator."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from enum import Enum
from typing import NamedTuple, Protocol

from s3queue.core.declare import Declared
from s3queue.core.elect import View
from s3queue.core.keys import Layout
from s3queue.core.pacing import Pace
from s3queue.core.plan import Settings
from s3queue.core.records import About, Leader, Place, Usage

#: Seconds between polls of the workers while any of them is busy.
TICK_S = 0.1
#: Share of the lease, or of the visibility timeout: the longest pause after an error.
LONGEST_PAUSE = 1 / 6


class Ending(Enum):
    """FENCED: the session is over, and other hosts may run its messages: exit at once. LEFT: drained."""

    FENCED = "fenced"
    LEFT = "left"


class Environment(Protocol):
    """The surroundings of an agent: clocks, randomness, machine, workers and log."""

    def now(self) -> float:
        """Steady time in seconds, on a clock that counts suspension."""

    def now_ms(self) -> int:
        """Wall clock in milliseconds."""

    def nonce(self) -> str:
        """Fresh, for one write."""

    def is_gone(self, session: str, place: Place) -> bool:
        """Whether it is certain from here that all processes of this session have ended."""

    def is_local(self, place: Place) -> bool:
        """Whether that is this machine, where wake-ups are heard."""

    def wake_machine(self) -> None:
        """Wake the other agents of this machine: the board or a ledger has news."""

    def knock(self, addresses: Collection[str]) -> None:
        """Wake agents of other machines that listen there."""

    def wake_waiters(self) -> None:
        """Wake callers on this machine that wait for messages to end: some may have ended."""

    def trust(self, until: float) -> None:
        """Allow tasks to start until this steady time."""

    def usage(self) -> dict[str, Usage]:
        """Store requests of this host, by role."""

    def about(self) -> About:
        """What this host states about itself."""

    def queues_are_empty(self) -> None:
        """The served queues hold no message. Called once, and only with `Terms.until_empty`."""

    def wants(self, kind: str) -> bool:
        """Whether anybody listens to events of this kind: asked where there is one for each message."""

    def emit(self, kind: str, **fields: object) -> None:
        """Record an event."""

    def warn(self, key: str, text: str) -> None:
        """Warn of a fault of this object, or of the store."""

    def fault(self, what: str, fault: Exception) -> None:
        """Log an unexpected error of our own code with its traceback."""

    def mark(self, what: str) -> None:
        """Record a rare event, so that the simulator can tell whether it was ever reached."""


class Crew(Protocol):
    """The workers of this host: messages dealt to them, and outcomes from them."""

    @property
    def pooled(self) -> int:
        """Claimed messages that no worker has."""

    @property
    def unfinished(self) -> int:
        """Messages that workers have and that have not ended."""

    def look(self) -> None: ...
    def interrupt(self, now: float) -> None: ...
    def deal(self, now: float) -> None: ...
    def recall(self, now: float, *, everything: bool = False) -> bool: ...
    def release_pool(self) -> None: ...
    def claimed(self, names: Iterable[str]) -> None: ...
    def stored(self) -> None: ...
    def mean_s(self, queue: str, now: float) -> float: ...


@dataclass
class Post:
    """The state shared by host and coordinator of one session.

    Attributes:
        me: the leader that a board names if this session is elected.
        view: of the board; the host sees the boards of its own coordinator without a request.
        woken: the version of the board when a process of this machine last told of news.
    """

    layout: Layout
    pace: Pace
    settings: Settings
    env: Environment
    me: Leader
    view: View = field(default_factory=View)
    woken: str | None = None

    @property
    def knows_more(self) -> bool:
        """Whether a process of this machine has enqueued something that no board shows yet."""
        return self.woken is not None and self.woken == self.view.version

    @property
    def is_led_here(self) -> bool:
        """Whether the leader runs on this machine, and so hears and sends wake-ups."""
        board = self.view.board
        return board is not None and board.leader is not None and self.env.is_local(board.leader.place)


class Terms(NamedTuple):
    """Settings of an agent besides those of the plan.

    Attributes:
        until_empty: report once that the served queues hold no message.
        stands: whether it stands for election.
        declared: the schedules that the code of this host declares.
    """

    until_empty: bool = False
    stands: bool = True
    declared: tuple[Declared, ...] = ()
