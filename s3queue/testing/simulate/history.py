"""What happened in a world, as seen from outside: what the store holds and held, what ran, what producers were told.

Checkers read this and nothing else. They ask no actor what it believes.
"""

from __future__ import annotations

from collections.abc import Iterable
from hashlib import sha256
from typing import NamedTuple, TypeAlias


class Wrote(NamedTuple):
    """A put took effect. ``who`` sent it, perhaps long ago; ``created``: there was no object before."""

    at: float
    who: str
    key: str
    body: bytes
    created: bool


class Deleted(NamedTuple):
    """These objects were there, and are gone."""

    at: float
    who: str
    keys: tuple[str, ...]


class Surveyed(NamedTuple):
    """The first page of the partition was listed."""

    at: float
    who: str


class Accepted(NamedTuple):
    """A producer was told that its batch is stored."""

    at: float
    who: str
    path: str
    body: bytes


class GaveUp(NamedTuple):
    """A producer was told that its batch may or may not be stored."""

    at: float
    who: str
    path: str


class Steered(NamedTuple):
    """An operator was told that every ticket from now on is assigned under a control of at least this turn."""

    at: float
    who: str
    turn: int


class Asked(NamedTuple):
    """An operator sends this request, about the message with this name now."""

    at: float
    who: str
    request: str
    kind: str
    path: str
    number: int


class Answered(NamedTuple):
    """An operator read the answer to a request."""

    at: float
    who: str
    request: str
    answer: str


class Calling(NamedTuple):
    """A caller begins to enqueue something only once."""

    at: float
    who: str
    gate: str


class Called(NamedTuple):
    """It was told that its message is this one, which is certainly stored, or was."""

    at: float
    who: str
    path: str
    is_new: bool


class Wondered(NamedTuple):
    """A reader asks for the result of a message."""

    at: float
    who: str
    path: str
    number: int


class Told(NamedTuple):
    """It was told this, by its wall clock then: ``done`` with the result of a ticket and when that expires, ``dead``,
    ``cancelled``, or ``nothing``."""

    at: float
    who: str
    verdict: str
    ticket: str
    expires_ms: int
    wall_ms: int


class Started(NamedTuple):
    """User code began to run on a message. ``host`` is the supervisor, ``who`` the slot, ``memo`` what it was given that
    earlier attempts had noted, ``payload`` its payload, ``task`` its task."""

    at: float
    who: str
    host: str
    session: str
    ticket: str
    offset: int
    path: str
    number: int
    attempt: int
    memo: str = ""
    payload: bytes = b""
    task: str = ""


class Noted(NamedTuple):
    """The user code that ``who`` runs has noted something, for its next attempt."""

    at: float
    who: str
    memo: str


class Ended(NamedTuple):
    """The user code that ``who`` ran is over: ``ok``, ``retry``, ``snooze``, ``dead``, or ``killed`` with its process."""

    at: float
    who: str
    outcome: str


class Overran(NamedTuple):
    """The user code that ``who`` runs is over its time limit. Its process is about to be killed for that."""

    at: float
    who: str


class ReadMarks(NamedTuple):
    """A host has read that these messages of its ticket, by offset, are cancelled, and has told its workers."""

    at: float
    session: str
    ticket: str
    offsets: tuple[int, ...]


class ReadHalts(NamedTuple):
    """A host has read that these tasks, by queue, are paused and no others, and has told its workers."""

    at: float
    session: str
    tasks: tuple[tuple[str, str], ...]


class Idled(NamedTuple):
    """An operator was told that no host runs a message of this task, which is paused."""

    at: float
    who: str
    queue: str
    task: str


class Joined(NamedTuple):
    """A session of this host begins to write its ledger."""

    at: float
    host: str
    session: str


class Gone(NamedTuple):
    """No process of these sessions exists any more: an agent or candidate (then ``host`` may live on) or the whole
    supervisor."""

    at: float
    host: str
    sessions: tuple[str, ...]
    whole: bool


class GivenUp(NamedTuple):
    """An agent ended its session, because it was told that it is fenced."""

    at: float
    session: str


class Meddled(NamedTuple):
    """Somebody removed or damaged this object by hand."""

    at: float
    key: str


class Refused(NamedTuple):
    """From now on the store refuses this key to everybody, for ever."""

    at: float
    key: str


class Marked(NamedTuple):
    """Something worth having happened sometimes."""

    at: float
    what: str


class Raised(NamedTuple):
    """An actor ended with an exception that no step is to raise. The world stops."""

    at: float
    why: str


class Calmed(NamedTuple):
    """From here on there are no faults. What was sent before may take effect until then."""

    at: float
    until: float


class Drained(NamedTuple):
    """Nothing is left to do (or, with ``why``, there still was when time was up).

    Attributes:
        stuck: paths of sources that cannot be finished, since the store refuses a key that they need.
    """

    at: float
    why: str
    keys: tuple[str, ...]
    stuck: tuple[str, ...] = ()


Event: TypeAlias = (
    Wrote
    | Deleted
    | Surveyed
    | Accepted
    | GaveUp
    | Steered
    | Calling
    | Called
    | Wondered
    | Told
    | Asked
    | Answered
    | Started
    | Noted
    | Ended
    | Overran
    | ReadMarks
    | ReadHalts
    | Idled
    | Joined
    | Gone
    | GivenUp
    | Meddled
    | Refused
    | Marked
    | Raised
    | Calmed
    | Drained
)


def digest(events: Iterable[Event]) -> str:
    """Equal for equal histories."""
    sha = sha256()
    for event in events:
        sha.update(repr((type(event).__name__, *event)).encode())
    return sha.hexdigest()
