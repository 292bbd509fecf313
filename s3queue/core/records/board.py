"""The coordinator's one object: where each message is, and who leads.

A process may hold tens of thousands of some of these, and none can refer to itself: the garbage collector need not track
them (``gc=False``).
"""

from __future__ import annotations

from collections.abc import Iterator

from msgspec import Struct, field

from s3queue.core import ranges
from s3queue.core.keys import parse_source
from s3queue.core.ranges import EMPTY, Ranges
from s3queue.core.records.failures import Failure
from s3queue.core.records.format import FORMAT, Attempt, Count, Index, Number, Patience, Term
from s3queue.core.records.limits import Allowed, Bucket, Fuse
from s3queue.core.records.memos import Memo
from s3queue.core.records.schedules import Ticked


class Part(Struct, frozen=True, gc=False, array_like=True):
    """Messages ``start`` to ``stop`` (excluded) of one source, all at the same attempt."""

    source: str
    start: Index
    stop: Index
    attempt: Attempt


class Ticket(Struct, frozen=True, gc=False, array_like=True):
    """Messages assigned to one session for as long as the ticket exists.

    Its messages are numbered from 0 through its parts: an **offset**. Parts never change; messages that were taken over
    are listed in ``taken`` and are no longer in the ticket.
    """

    session: str
    parts: tuple[Part, ...]
    taken: Ranges = EMPTY

    def __post_init__(self) -> None:
        if self.taken and not (ranges.is_proper(self.taken) and self.taken[-1] <= self.size):
            raise ValueError("what was taken over is no part of the ticket")

    @property
    def size(self) -> int:
        return sum([part.stop - part.start for part in self.parts])  # no generator: asked often, of up to 500 parts

    @property
    def left(self) -> int:
        """How many messages are still in it."""
        return self.size - ranges.size(self.taken)

    @property
    def left_ranges(self) -> Ranges:
        """Offsets of the messages that are still in it."""
        return ranges.minus((0, self.size), self.taken)

    @property
    def queue(self) -> str:
        """A ticket serves one queue."""
        return parse_source(self.parts[0].source).queue

    def offset_of(self, path: str, index: int) -> int:
        """Where this message stands in the ticket; -1 where it is not in it."""
        base = 0
        for part in self.parts:
            if part.source == path and part.start <= index < part.stop:
                return base + index - part.start
            base += part.stop - part.start
        return -1

    def spans(self, offsets: Ranges) -> Iterator[Part]:
        """The messages at these offsets, as parts."""
        base, at, last = 0, 0, len(offsets)
        for part in self.parts:
            end = base + part.stop - part.start
            while at < last and offsets[at] < end:
                start, stop = offsets[at], offsets[at + 1]
                if start <= base and stop >= end:
                    yield part
                elif stop > base:
                    first = part.start - base
                    yield Part(part.source, first + max(start, base), first + min(stop, end), part.attempt)
                if stop > end:
                    break  # it goes on in the next part
                at += 2
            if at >= last:
                return
            base = end


class Ready(Struct, frozen=True, gc=False, array_like=True):
    """Messages that wait for a ticket."""

    start: Index
    stop: Index
    attempt: Attempt


class Unfit(Struct, frozen=True, gc=False, array_like=True):
    """Messages that hosts gave back because they do not know the task, or know one that takes other arguments; or because
    the task is paused.

    Attributes:
        token: ``task@digests``: what the hosts that have given them back know under that name, see `Failed.token`. ``=``
            among the digests: the task is paused, see `s3queue.core.halts`.
        since_ms: wall clock of the first time. Of those whose task is paused the greatest number there is: they never wait
            too long, also where an earlier release leads.
    """

    start: Index
    stop: Index
    token: str
    since_ms: Count


class Waiting(Struct, frozen=True, gc=False, array_like=True):
    """One message that is not to run before ``due_ms`` (wall clock)."""

    index: Index
    attempt: Attempt
    due_ms: Count


class Ending(Struct, frozen=True, gc=False, array_like=True):
    """How a message ended, if it ended without a new dead letter.

    Attributes:
        kind: ``cancelled``, ``expired``, ``purged``, or, of a life after the first, ``done``. ``edited``: it does not end,
            but its letter gets another payload before it is ready.
        by: of ``done``, the ticket; of ``edited``, the request.
    """

    kind: str
    by: str = ""


class SourceState(Struct, frozen=True, gc=False, omit_defaults=True):
    """Where the messages of one admitted source are. Those in tickets are listed there and not here.

    A message is in exactly one of: a ticket, ``ready``, ``waiting``, ``dying``, a move (`Board.moves`), settled. Settled
    ones are only counted; a source with ``settled`` equal to its count is finished.

    Attributes:
        dying: they have ended, and are committed as such; the letters that say so are not yet known to be stored.
        failures: by index, for the messages that are not settled, newest last, bounded.
        unfit: messages that were given back, wherever they are; those that are ready wait for a host that they fit.
        spared: by index, how many of its attempts do not count, since it was only interrupted.
        endings: by index, how those of ``dying`` end that are not dead: their letters are tombstones.
        letter: of a further life, the version of the letter that it was admitted with; "": not known.
        begun: those whose first attempt was snoozed: it comes again, and they have begun.
    """

    settled: Index = 0
    ready: tuple[Ready, ...] = ()
    waiting: tuple[Waiting, ...] = ()
    dying: tuple[Index, ...] = ()
    failures: dict[Index, tuple[Failure, ...]] = {}
    spared: dict[Index, Count] = {}
    unfit: tuple[Unfit, ...] = ()
    endings: dict[Index, Ending] = {}
    letter: str = ""
    begun: tuple[Index, ...] = ()

    @property
    def tokens(self) -> Iterator[str]:
        """Those of its unfit messages."""
        return (one.token for one in self.unfit)


class Mark(Struct, frozen=True, gc=False, array_like=True):
    """One message that is to be cancelled, where only its host, or its batch, can tell whether it has begun.

    Attributes:
        requests: those that are answered when it ends. None: they are answered already.
        reason: for people, 200 characters at most.
        purge: it ends as ``purged``, and not as ``cancelled``.
        force_s: seconds after which what runs ends with its process, from when its host reads this; None: never.
    """

    requests: tuple[str, ...] = ()
    reason: str = ""
    force_s: Patience | None = None
    purge: bool = False

    @property
    def how(self) -> str:
        return "purged" if self.purge else "cancelled"


class Purge(Struct, frozen=True, gc=False, omit_defaults=True):
    """A queue that is being emptied.

    Attributes:
        request: answered when it is over.
        after: a walk through what is stored has come up to this path.
        is_walked: it has come to the end.
        is_open: only marked messages in tickets are left, and the queue is no longer held.
        count: messages that it has ended.
        reason, force_s: as of a `Mark`.
    """

    request: str
    after: str = ""
    is_walked: bool = False
    is_open: bool = False
    count: Count = 0
    reason: str = ""
    force_s: Patience | None = None


class Totals(Struct, frozen=True, omit_defaults=True):
    """Outcomes committed since the namespace began, of one queue.

    Attributes:
        redriven, letters_purged: dead letters that were.
        moved: messages that are in sources that were moved off the board, and not over.
    """

    done: Count = 0
    dead: Count = 0
    failed: Count = 0
    cancelled: Count = 0
    moved: Count = 0
    expired: Count = 0
    purged: Count = 0
    redriven: Count = 0
    letters_purged: Count = 0

    @property
    def dead_now(self) -> int:
        """Dead messages that were neither redriven nor purged since. A letter that stands for a whole unreadable batch
        counts as one when it is purged."""
        return max(0, self.dead - self.redriven - self.letters_purged)


class Place(Struct, frozen=True, omit_defaults=True):
    """Where a host runs.

    Attributes:
        machine: names the running kernel and its process space; equal only where local checks make sense.
        life: name of the run directory whose lock is held while any process of this supervisor lives.
        name: for people: host name and process id.
    """

    machine: str = ""
    life: str = ""
    name: str = ""


class Leader(Struct, frozen=True, omit_defaults=True):
    """Who may write the board.

    Attributes:
        knock: where it listens for knocks, see `s3queue.io.knocks`. Empty: nowhere.
    """

    session: str
    place: Place = Place()
    knock: str = ""


class Board(Struct, frozen=True, omit_defaults=True):
    """The coordinator's one object, and the leadership lease.

    Attributes:
        nonce: fresh for every write.
        epoch: the term; rises by one with every election.
        turn: rises by one with every write: a reader never goes back.
        leader: who may write; None after a resignation.
        uptime_ms: how long this namespace has been led, by the leaders' own steady clocks: a lower bound of the time
            that really passed, so that windows expire without trusting a wall clock.
        sequence: next ticket number of this epoch; moves are numbered with them.
        moves: messages on their way off the board: the path of their new source, and the origin of each (path, index), in
            order. They are settled in their old source once the new one is known to be stored; it is not admitted before.
        full: bounds that hold back work; for people.
        leader_lease: seconds of silence after which its writer may be replaced. A candidate with another setting waits
            for the longer of both. 0: not stated.
        window_s: seconds for which its writer keeps the ids of finished sources.
        answers: by request, what came of it; until the request is known to be gone, and its id to be remembered.
        marks: messages that are to be cancelled, by source and index.
        edits: redrive requests whose letters get new payloads, with the answers that they get then.
        purges: queues that are being emptied, by name.
        control: turn of the `Control` that it was planned with.
        memos: what earlier attempts have noted, of messages that are not over, by source and index.
        schedules: how far each schedule has come.
        allowed: tickets of which not all messages may run at once.
        buckets: by queue and key ("": the queue), what a rate allows; of those that are not full.
        fuses: by queue, circuit breakers that have seen failures.
        halted: by queue, tasks that are paused: a host that has read this starts no message of them, and gives them back.
    """

    nonce: str
    epoch: Term
    turn: Count = 0
    leader: Leader | None = None
    uptime_ms: Count = 0
    sequence: Number = 0
    tickets: dict[str, Ticket] = {}
    sources: dict[str, SourceState] = {}
    totals: dict[str, Totals] = {}
    format: int = field(default_factory=lambda: FORMAT)
    leader_lease: Patience = 0.0
    window_s: Patience = 0.0
    moves: dict[str, tuple[tuple[str, Index], ...]] = {}
    full: tuple[str, ...] = ()
    control: Count = 0
    answers: dict[str, str] = {}
    marks: dict[str, dict[Index, Mark]] = {}
    edits: dict[str, str] = {}
    purges: dict[str, Purge] = {}
    memos: dict[str, dict[Index, Memo]] = {}
    schedules: dict[str, Ticked] = {}
    allowed: dict[str, Allowed] = {}
    buckets: dict[str, dict[str, Bucket]] = {}
    fuses: dict[str, Fuse] = {}
    halted: dict[str, tuple[str, ...]] = {}

    @property
    def is_busy(self) -> bool:
        """Whether it lists work: tickets, or sources that are not finished and retired."""
        return bool(self.tickets or self.sources)
