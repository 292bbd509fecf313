"""What surrounds an agent, and what its host and its coordinator share."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import Enum
from typing import NamedTuple, Protocol

from s3queue.core.elect import View
from s3queue.core.keys import Layout
from s3queue.core.pacing import Pace
from s3queue.core.plan import Settings
from s3queue.core.records import Leader, Place, Usage

#: Seconds between two looks at what the workers do, while they do something.
TICK_S = 0.1
#: Share of the lease, or of the visibility timeout, that a pause after an error takes at most.
LONGEST_PAUSE = 1 / 6


class Ending(Enum):
    """FENCED: the session is over, and somebody else may run what it claimed: exit at once. LEFT: drained, and gone."""

    FENCED = "fenced"
    LEFT = "left"


class Environment(Protocol):
    """What surrounds an agent: its clocks, its randomness, its machine, and whoever wants to know."""

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
        """Wake the other agents of this machine: there is something new."""

    def trust(self, until: float) -> None:
        """Tasks may be started until then."""

    def usage(self) -> dict[str, Usage]:
        """What this host has asked of the store, by role."""

    def queues_are_empty(self) -> None:
        """The served queues hold no message. Told once, and only where it was asked for."""

    def wants(self, kind: str) -> bool:
        """Whether anybody listens to events of this kind: asked where there is one for each message."""

    def emit(self, kind: str, **fields: object) -> None:
        """Something happened."""

    def warn(self, key: str, text: str) -> None:
        """Something is wrong with this object, or with the store."""

    def fault(self, what: str, fault: Exception) -> None:
        """Something failed that should not, in our own code: tell it with its traceback."""

    def mark(self, what: str) -> None:
        """Something happened that does not happen in every run."""


class Crew(Protocol):
    """The workers of this host: what is dealt to them, and what they made of it."""

    @property
    def pooled(self) -> int:
        """Claimed messages that no worker has."""

    @property
    def unfinished(self) -> int:
        """Messages that workers have and that have not ended."""

    def look(self) -> None: ...
    def deal(self, now: float) -> None: ...
    def recall(self, now: float, *, everything: bool = False) -> bool: ...
    def release_pool(self) -> None: ...
    def claimed(self, names: Iterable[str]) -> None: ...
    def stored(self) -> None: ...
    def mean_s(self, queue: str, now: float) -> float: ...


@dataclass
class Post:
    """What host and coordinator of one session share.

    Attributes:
        me: who leads if this session is elected.
        view: of the board; what this process commits as coordinator, its host sees without a request.
    """

    layout: Layout
    pace: Pace
    settings: Settings
    env: Environment
    me: Leader
    view: View = field(default_factory=View)

    @property
    def is_led_here(self) -> bool:
        """Whether the leader runs on this machine, and so hears and sends wake-ups."""
        board = self.view.board
        return board is not None and board.leader is not None and self.env.is_local(board.leader.place)


class Terms(NamedTuple):
    """What an agent lives by besides the plan's settings.

    Attributes:
        until_empty: say so once the served queues hold no message.
        stands: whether it stands for election.
    """

    until_empty: bool = False
    stands: bool = True
