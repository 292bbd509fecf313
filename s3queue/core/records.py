"""What the objects hold. Every record is frozen and says which format it is in.

Batches are MessagePack, with each payload untouched between producer and task. What a person may want to read in a
bucket browser (board, ledgers, dead letters, retired pages, settings) is JSON.

How a format may change, since records outlive every release:

1. A field may be added at the end, with a default that means what its absence meant. Readers skip fields they do not
   know. ``format`` stays.
2. A field is never renamed, retyped or given another meaning, and in an array-like record never moved or removed.
3. Anything else is a new ``format``. Readers support every format ever released; a writer uses the newest that all
   readers of the namespace know.
4. A record of an unknown format, or one that does not decode, is `CorruptRecord`: it is left as it is and reported, and
   everything else goes on.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, TypeVar

import msgspec
from msgspec import Raw, Struct, field

from s3queue.core import ranges
from s3queue.core.keys import parse_source
from s3queue.core.ranges import EMPTY, Ranges
from s3queue.errors import CorruptRecord

#: The newest format of every record that this release reads and writes.
FORMAT = 1

# ---- messages ------------------------------------------------------------------------------------------------


class Message(Struct, frozen=True, array_like=True):
    """One message of a batch.

    Attributes:
        task: the name of the task; empty for a queue without tasks.
        payload: MessagePack, as the producer encoded it.
        headers: for tracing and the like; not looked at by the queue.
    """

    task: str
    payload: Raw
    headers: dict[str, str] = {}


class Batch(Struct, frozen=True):
    """1 to 1,000 messages, stored in one object. Each stays encoded until somebody runs it."""

    messages: list[Raw]
    sent_ms: int
    format: int = field(default_factory=lambda: FORMAT)


# Of these there are tens of thousands in one process, and none can refer to itself: the garbage collector need not look at
# them (``gc=False``).

# ---- the board -----------------------------------------------------------------------------------------------


class Failure(Struct, frozen=True, gc=False, array_like=True):
    """Why one attempt of a message did not end well.

    Attributes:
        attempt: the attempt that ended, counted from 1.
        cause: ``error`` (the task raised), ``killed``, ``exited``, ``oom``, ``time_limit`` (its process died),
            ``lost`` (its host fell silent), ``shutdown``, ``rejected``, ``corrupt``, ``unknown_task``.
        text: for people; bounded.
        at_ms: wall clock of whoever noticed.
    """

    attempt: int
    cause: str
    text: str = ""
    at_ms: int = 0


#: After one of these a message is ticketed alone: if it is poison, it takes no neighbour with it.
FATAL_CAUSES = frozenset({"killed", "exited", "oom", "time_limit", "lost"})


class Part(Struct, frozen=True, gc=False, array_like=True):
    """Messages ``start`` to ``stop`` (excluded) of one source, all at the same attempt."""

    source: str
    start: int
    stop: int
    attempt: int


class Ticket(Struct, frozen=True, gc=False, array_like=True):
    """Messages assigned to one session for as long as the ticket exists.

    Its messages are numbered from 0 through its parts: an **offset**. Parts never change; messages that were taken over
    are listed in ``taken`` and are no longer in the ticket.
    """

    session: str
    parts: tuple[Part, ...]
    taken: Ranges = EMPTY

    @property
    def size(self) -> int:
        return sum(part.stop - part.start for part in self.parts)

    @property
    def left(self) -> int:
        """How many messages are still in it."""
        return self.size - ranges.size(self.taken)

    @property
    def queue(self) -> str:
        """A ticket serves one queue."""
        return parse_source(self.parts[0].source).queue

    def spans(self, offsets: Ranges) -> Iterator[Part]:
        """The messages at these offsets, as parts."""
        base = 0
        for part in self.parts:
            size = part.stop - part.start
            for start, stop in ranges.pairs(offsets):
                lower, upper = max(start, base), min(stop, base + size)
                if lower < upper:
                    yield Part(part.source, part.start + lower - base, part.start + upper - base, part.attempt)
            base += size


class Ready(Struct, frozen=True, gc=False, array_like=True):
    """Messages that wait for a ticket."""

    start: int
    stop: int
    attempt: int


class Waiting(Struct, frozen=True, gc=False, array_like=True):
    """One message that is not to run before ``due_ms`` (wall clock)."""

    index: int
    attempt: int
    due_ms: int


class SourceState(Struct, frozen=True, gc=False, omit_defaults=True):
    """Where the messages of one admitted source are. Those in tickets are listed there and not here.

    A message is in exactly one of: a ticket, ``ready``, ``waiting``, ``dying``, settled. Settled ones are only counted; a
    source with ``settled`` equal to its count is finished.

    Attributes:
        dying: out of attempts or rejected, and committed as such; its dead letter is not yet known to be stored.
        failures: by index, for the messages that are not settled, newest last, bounded.
    """

    settled: int = 0
    ready: tuple[Ready, ...] = ()
    waiting: tuple[Waiting, ...] = ()
    dying: tuple[int, ...] = ()
    failures: dict[int, tuple[Failure, ...]] = {}


class Totals(Struct, frozen=True, omit_defaults=True):
    """Outcomes committed since the namespace began, of one queue."""

    done: int = 0
    dead: int = 0
    failed: int = 0


class Place(Struct, frozen=True, omit_defaults=True):
    """Where a host runs.

    Attributes:
        machine: names the running kernel and its process space; equal only where local checks make sense.
        life: path of a file that some process of this supervisor keeps locked for as long as any of them lives.
        name: for people: host name and process id.
    """

    machine: str = ""
    life: str = ""
    name: str = ""


class Leader(Struct, frozen=True, omit_defaults=True):
    session: str
    place: Place = Place()


class Board(Struct, frozen=True, omit_defaults=True):
    """The coordinator's one object, and the leadership lease.

    Attributes:
        nonce: fresh for every write.
        epoch: the term; rises by one with every election.
        turn: rises by one with every write: a reader never goes back.
        leader: who may write; None after a resignation.
        uptime_ms: how long this namespace has been led, by the leaders' own steady clocks: a lower bound of the time
            that really passed, so that windows expire without trusting anybody's wall clock.
        sequence: next ticket number of this epoch.
    """

    nonce: str
    epoch: int
    turn: int = 0
    leader: Leader | None = None
    uptime_ms: int = 0
    sequence: int = 0
    tickets: dict[str, Ticket] = {}
    sources: dict[str, SourceState] = {}
    totals: dict[str, Totals] = {}
    format: int = field(default_factory=lambda: FORMAT)

    @property
    def is_busy(self) -> bool:
        """Whether it tells of work: tickets, or sources that are not over and forgotten."""
        return bool(self.tickets or self.sources)


# ---- the ledger ----------------------------------------------------------------------------------------------


class Offer(Struct, frozen=True, omit_defaults=True):
    """What a host says of one queue that it serves.

    Attributes:
        max_attempts: the most that any task of the queue allows.
        mean_s: measured time of one message in a slot, in seconds; 0 until known.
    """

    max_attempts: int = 3
    mean_s: float = 0.0


class Failed(Struct, frozen=True, gc=False, array_like=True):
    """The outcome of one message that did not end with ``ok``.

    Attributes:
        kind: ``retry`` (counts an attempt), ``snooze`` (costs none), ``dead``.
        delay_s: how long to wait before the next attempt.
    """

    kind: str
    delay_s: float = 0.0
    failure: Failure | None = None


class Report(Struct, frozen=True, gc=False, omit_defaults=True):
    """What came of the messages of one ticket, by offset. An outcome never changes once it is stored."""

    ok: Ranges = EMPTY
    released: Ranges = EMPTY
    failed: dict[int, Failed] = {}

    def __post_init__(self) -> None:
        if not (ranges.is_proper(self.ok) and ranges.is_proper(self.released)):
            raise ValueError("offsets are not in ascending ranges")


class Usage(Struct, frozen=True, array_like=True):
    """What one role of a host has asked of the store since its supervisor started.

    Attributes:
        put, get, list, delete: requests, those that were sent again included.
        sent, received: bytes of objects, without headers and listings.
        retries: of requests that the store did not apply.
        conflicts: puts whose condition did not hold.
        unanswered: puts of which nobody knows at once whether they were applied.
    """

    put: int = 0
    get: int = 0
    list: int = 0
    delete: int = 0
    sent: int = 0
    received: int = 0
    retries: int = 0
    conflicts: int = 0
    unanswered: int = 0

    def requests(self) -> dict[str, int]:
        """By kind."""
        return {"put": self.put, "get": self.get, "list": self.list, "delete": self.delete}

    def as_dict(self) -> dict[str, int]:
        return {name: getattr(self, name) for name in self.__struct_fields__}


class Ledger(Struct, frozen=True, omit_defaults=True):
    """A host's one object: what it may run, what came of it, and its sign of life.

    Attributes:
        fenced: this session is over; nothing changes this object any more.
        left: the session ended by itself; nothing changes this object any more.
        slots: how many messages can run at once; 0 while draining.
        unread: it was fenced by somebody who could not read it, and may not know all that it claimed: every ticket of the
            session counts as claimed, whatever ``claims`` says.
        claims: the tickets that this session may run.
        reports: outcomes that the board has not taken over yet.
        usage: by role, for people; some requests behind.
    """

    nonce: str
    session: str
    fenced: bool = False
    left: bool = False
    slots: int = 0
    offers: dict[str, Offer] = {}
    place: Place = Place()
    claims: tuple[str, ...] = ()
    reports: dict[str, Report] = {}
    unread: bool = False
    format: int = field(default_factory=lambda: FORMAT)
    usage: dict[str, Usage] = {}

    @property
    def over(self) -> bool:
        return self.fenced or self.left


# ---- the rest ------------------------------------------------------------------------------------------------


class RetiredPage(Struct, frozen=True):
    """Ids of finished sources whose objects are gone. They are refused until the page leaves the window.

    Attributes:
        uptime_ms: `Board.uptime_ms` when the page was written.
    """

    sources: tuple[str, ...]
    uptime_ms: int
    format: int = field(default_factory=lambda: FORMAT)


class DeadLetter(Struct, frozen=True, omit_defaults=True):
    """A message out of attempts, kept for people.

    Attributes:
        message: its id. For a source that cannot be decoded: the id of its first message.
        payload: MessagePack as enqueued (base64 in JSON). Where ``raw`` is true, what could not be decoded, as it is: the
            whole object, or the one message.
        preview: the payload as JSON, for reading; empty where it has no such form.
        failures: its history, oldest first.
        tombstone: it was redriven or purged; the record stays so that the decision is remembered.
    """

    nonce: str
    message: str
    queue: str
    task: str = ""
    attempt: int = 0
    failures: tuple[Failure, ...] = ()
    payload: bytes = b""
    preview: str = ""
    raw: bool = False
    headers: dict[str, str] = {}
    sent_ms: int = 0
    died_ms: int = 0
    tombstone: bool = False
    format: int = field(default_factory=lambda: FORMAT)


class QueueMeta(Struct, frozen=True, omit_defaults=True):
    """Settings of a queue that all its clients must agree on.

    Attributes:
        order: ``fifo`` or ``lifo``.
        partitions: how many; 1 today.
    """

    nonce: str
    order: str = "fifo"
    partitions: int = 1
    format: int = field(default_factory=lambda: FORMAT)


# ---- encode and decode ---------------------------------------------------------------------------------------

R = TypeVar("R", bound=Struct)


class _Head(Struct):
    format: int = 0


_to_json = msgspec.json.Encoder().encode
_to_msgpack = msgspec.msgpack.Encoder().encode
_json_head = msgspec.json.Decoder(_Head).decode
_json: dict[type[Struct], Any] = {
    kind: msgspec.json.Decoder(kind).decode for kind in (Board, Ledger, RetiredPage, DeadLetter, QueueMeta)
}
_batch = msgspec.msgpack.Decoder(Batch).decode
_batch_head = msgspec.msgpack.Decoder(_Head).decode
_message = msgspec.msgpack.Decoder(Message).decode
#: What decoders raise; UnicodeDecodeError, for a string that is not UTF-8, is no DecodeError.
_UNREADABLE = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)


def encode(record: Struct) -> bytes:
    """The JSON form. Defaults that a reader would supply are left out; ``format``, having a factory, never is."""
    return _to_json(record)


def decode(kind: type[R], key: str, body: bytes) -> R:
    """Raises `CorruptRecord`: not JSON, not this kind of record, or of a format that this release does not know."""
    try:
        version = _json_head(body).format
        if version != FORMAT:
            raise CorruptRecord(key, f"format {version}; this release knows {FORMAT}")
        record: R = _json[kind](body)
    except _UNREADABLE as wrong:
        raise CorruptRecord(key, f"not a {kind.__name__}: {wrong}") from wrong
    return record


def encode_batch(messages: list[Raw], sent_ms: int) -> bytes:
    return _to_msgpack(Batch(messages, sent_ms))


def encode_message(message: Message) -> Raw:
    return Raw(_to_msgpack(message))


def decode_batch(key: str, body: bytes) -> Batch:
    """The batch with its messages still encoded. Raises `CorruptRecord`."""
    try:
        version = _batch_head(body).format
        if version != FORMAT:
            raise CorruptRecord(key, f"format {version}; this release knows {FORMAT}")
        return _batch(body)
    except _UNREADABLE as wrong:
        raise CorruptRecord(key, f"not a batch: {wrong}") from wrong


def decode_message(key: str, raw: Raw) -> Message:
    """Raises `CorruptRecord`."""
    try:
        return _message(raw)
    except _UNREADABLE as wrong:
        raise CorruptRecord(key, f"not a message: {wrong}") from wrong
