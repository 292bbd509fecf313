"""The host's side: claim, run, report, leave.

A host owns one object, its ledger. Each write of the ledger does everything that is due: it claims the tickets that the
board assigns, reports the outcomes of earlier messages, and is the heartbeat. It replaces exactly the version that this
session stored last. So a session that was fenced cannot change anything, and learns of the fence.

Rules, and where they are enforced:

- Only messages that a stored ledger claims may run: `Flushed.claimed` is the only source of work.
- An unanswered write is sent again unchanged, before any other: `Host.pending`.
- The first write is sent once and never again: `Host._join`.
- A task starts only within half the visibility timeout of the last stored write: `Host.trusted_until`.
- An outcome stays in the ledger until a board no longer lists its message in the ticket: `Host.see` and `Held.report`.
- An outcome never changes: `Held` keeps the first outcome of a message.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import NamedTuple

from msgspec.structs import replace

from s3queue.core import ranges
from s3queue.core.held import Held
from s3queue.core.keys import Layout, parse_source
from s3queue.core.ops import Overtaken, Step, Unknown, carries, contradiction, get, put, write
from s3queue.core.ranges import Ranges
from s3queue.core.records import (
    About,
    Allowed,
    Board,
    Dozing,
    Failed,
    Ledger,
    Limits,
    Mark,
    Memo,
    Offer,
    Place,
    Report,
    Ticket,
    Usage,
    decode,
    encode,
    is_known,
)
from s3queue.errors import CorruptRecord
from s3queue.store import Found, Missing, Stored, Unchanged

#: Seconds that a message may be told to wait at most: ten years. Tasks may ask for more, or for infinity, which JSON
#: lacks.
_MAX_DELAY_S = 10 * 365 * 86_400.0
#: Characters of failure texts in a ledger while the board has no room for them, and of each further text: every write of
#: the ledger carries them all.
_TEXTS, _ON_TOP = 500_000, 100


class Flushed(NamedTuple):
    """The ledger is stored.

    Attributes:
        ledger: the stored ledger.
        claimed: newly claimed tickets; their messages may run from now on.
    """

    ledger: Ledger
    claimed: tuple[str, ...]


class Refused(Enum):
    """FENCED: this session is over; cancel what runs, drop the results, start a new session. UNSURE: no answer and no
    trace yet; start nothing new, and flush again."""

    FENCED = "fenced"
    UNSURE = "unsure"


@dataclass
class Host:
    """One session, as the host knows it.

    Attributes:
        offers: by queue served.
        version: of the ledger stored last; "" before the first.
        pending: a ledger that was sent and not answered, and when it was first sent.
        trusted_from: steady time at which the last stored write was first sent; None before the first.
        tickets: those that the newest board assigns to this session.
        unknown: those with messages of a kind that this release does not know. They are neither claimed nor given back:
            whoever assigns next would give them here again. Others get them when this session is over.
        draining: claim nothing more; newly assigned messages are given back unseen.
        leaving: the next write is the last.
        over: fenced, or left. This session ended.
        awaited: count of outcomes that something waits for: failures to be planned again, messages of a group before its
            next, messages given back for another host.
        settled: messages done and dead, by queue, in tickets that the board has taken over.
        visibility_timeout, window_s: bounds for the coordinator, see `Ledger`.
        usage: store requests of this host, by role; stored with the next write, and causes none by itself.
        about: what it tells of itself.
        marked: by ticket, messages that operators have cancelled: those that have not begun do not begin.
        knock: where it listens for knocks.
        dozing: how rarely it writes after the next write; None: it is awake.
        clock_ms: wall clock, for a board with schedules; see `Ledger`.
        forced: by ticket and offset, those of them that end with their process if they still run so many seconds later.
        texts: characters of failures that the board has not taken over yet.
        halted: by queue, tasks that the newest board names as paused: their messages are given back, and not started.
        limits: by queue, what this host declares. allowed: its tickets of which not all messages may run at once.
    """

    layout: Layout
    session: str
    slots: int
    offers: dict[str, Offer]
    place: Place = field(default_factory=Place)
    version: str = ""
    stored: Ledger | None = None
    pending: tuple[Ledger, float, int] | None = None
    trusted_from: float | None = None
    tickets: dict[str, Held] = field(default_factory=dict)
    unknown: set[str] = field(default_factory=set)
    draining: bool = False
    leaving: bool = False
    over: bool = False
    changes: int = 1
    stored_changes: int = 0
    awaited: int = 0
    settled: dict[str, tuple[int, int]] = field(default_factory=dict)
    usage: dict[str, Usage] = field(default_factory=dict)
    about: About = field(default_factory=About)
    texts: int = 0
    marked: dict[str, Ranges] = field(default_factory=dict)
    forced: dict[str, dict[int, float]] = field(default_factory=dict)
    visibility_timeout: float = 0.0
    window_s: float = 0.0
    dozing: Dozing | None = None
    knock: str = ""
    clock_ms: int = 0
    limits: dict[str, Limits] = field(default_factory=dict)
    allowed: dict[str, Allowed] = field(default_factory=dict)
    halted: dict[str, tuple[str, ...]] = field(default_factory=dict)

    @property
    def key(self) -> str:
        return self.layout.host(self.session)

    @property
    def has_news(self) -> bool:
        """Whether there is anything to claim or to report."""
        return self.changes != self.stored_changes

    def trusted_until(self, visibility_timeout: float) -> float:
        """Steady time until which tasks may be started. Past it, write first: a host that was paused learns of its
        fence before it starts anything."""
        return 0.0 if self.trusted_from is None or self.over else self.trusted_from + visibility_timeout / 2

    @property
    def holds_limited(self) -> bool:
        """Whether it may run messages of which only so many may run at once: its stored ledger claims them. One that dozed
        reads of them when its last write is long past."""
        claims = self.stored.claims if self.allowed and self.stored is not None else ()
        return any(name in self.allowed and name in self.tickets and self.tickets[name].left for name in claims)

    # ---- tickets and outcomes ------------------------------------------------------------------------------

    def see(self, board: Board) -> None:
        """Enter a newer board: tickets assigned to this session, outcomes taken over."""
        mine = {name: ticket for name, ticket in board.tickets.items() if ticket.session == self.session}
        before, unknown = self.changes, set[str]()
        for name in self.tickets.keys() - mine.keys():
            over = self.tickets.pop(name)
            self.settled[over.ticket.queue] = self._tally(over, self.settled)
            self.changes += 1
        for name, ticket in mine.items():
            held = self.tickets.get(name)
            if held is None:
                if not is_known(ticket):
                    unknown.add(name)
                    continue
                self.tickets[name] = Held.assigned(ticket, board)
                self.changes += 1
                if self.draining:
                    self.release(name, (0, ticket.size))
            elif held.ticket.taken != ticket.taken:
                held.ticket = ticket
                self.changes += 1
        self.unknown, self.halted = unknown, board.halted
        if self.texts and self.changes != before:
            self.texts = sum(held.texts for held in self.tickets.values())
        if board.allowed or self.allowed:
            self.allowed = {name: board.allowed[name] for name in mine if name in board.allowed}
        if board.marks or self.marked:
            marks = {name: marked for name, ticket in mine.items() if (marked := _marked(ticket, board.marks))}
            self.marked = {name: ranges.of(marked) for name, marked in marks.items()}
            self.forced = {
                name: forced
                for name, marked in marks.items()
                if (forced := {at: mark.force_s for at, mark in marked.items() if mark.force_s is not None})
            }

    def succeed(self, name: str, offsets: Ranges) -> None:
        """These messages ran and ended with ok."""
        held = self.tickets.get(name)
        if held is not None and held.succeed(offsets):
            self.changes += 1
            if parse_source(held.ticket.parts[0].source).group is not None:  # then it is the ticket's only message
                self.awaited += 1

    def fail(self, name: str, offset: int, outcome: Failed) -> None:
        """This message ran and did not end with ok, or can never run."""
        delay_s = min(max(0.0, outcome.delay_s), _MAX_DELAY_S)  # NaN: 0.0
        held = self.tickets.get(name)
        if self.texts > _TEXTS and outcome.failure is not None:
            outcome = replace(outcome, failure=replace(outcome.failure, text=outcome.failure.text[-_ON_TOP:]))
        if held is not None and held.fail(offset, replace(outcome, delay_s=delay_s)):
            self.texts += len(outcome.failure.text) if outcome.failure is not None else 0
            self.changes += 1
            self.awaited += 1

    def note(self, name: str, offset: int, memo: Memo) -> None:
        """The attempt of this message has noted this. It is stored with the next write, and causes none."""
        held = self.tickets.get(name)
        if held is not None:
            held.note(offset, memo)

    def release(self, name: str, offsets: Ranges) -> None:
        """These messages were not started and will not be. Costs them no attempt."""
        held = self.tickets.get(name)
        if held is not None and held.release(offsets):
            self.changes += 1
            self.awaited += 1

    def resize(self, slots: int) -> None:
        """Set how many messages can run at once from now on."""
        if slots != self.slots:
            self.slots = slots
            self.changes += 1

    def drain(self) -> None:
        """Claim nothing more."""
        self.draining = True
        self.changes += 1

    def leave(self) -> None:
        """The next write is the last."""
        self.leaving = True
        self.changes += 1

    def tally(self) -> dict[str, tuple[int, int]]:
        """Messages done and dead so far, by queue; for people."""
        counts = dict(self.settled)
        for held in self.tickets.values():
            counts[held.ticket.queue] = self._tally(held, counts)
        return counts

    def _tally(self, held: Held, before: dict[str, tuple[int, int]]) -> tuple[int, int]:
        done, dead = before.get(held.ticket.queue, (0, 0))
        offer = self.offers.get(held.ticket.queue, Offer())
        return done + ranges.size(held.ok), dead + held.count_dead(offer.max_attempts)

    @property
    def is_done(self) -> bool:
        """Whether every message of every ticket has an outcome."""
        return not any(held.left for held in self.tickets.values())

    # ---- flush ---------------------------------------------------------------------------------------------

    def flush(self, now: float, nonce: str) -> Step[Flushed | Refused]:
        """Make what this host claims and reports durable, in one write. The first one joins.

        The session is not over.

        Args:
            now: steady time, taken before this step was started.

        Returns:
            Flushed: what it claims may run.
            Refused: see there.

        Raises:
            StoreUnsupported: the ledger that was stored last is not there, and its session is not over.

        Asks: one Put; after an unanswered Put or a Conflict, one Get; at most three of both, of a join at most one.
        """
        assert not self.over, "the id of a session is never used again"
        ledger, sent_at, changes = self.pending or (self._draft(nonce), now, self.changes)
        if self.version:
            self.pending = ledger, sent_at, changes
            outcome = yield from write(self.key, encode(ledger), nonce=ledger.nonce, if_version=self.version)
        else:
            outcome = yield from self._join(ledger, sent_at, changes)
        match outcome:
            case Unknown():
                return Refused.UNSURE
            case Overtaken(now_there):
                if self.version and _is_of_a_twin(self.key, now_there):
                    raise contradiction(self.key)
                # Only one body of ours is ever on its way, so this is not an earlier write of ours: the session was
                # fenced, or fenced and its ledger deleted, or its join left no trace.
                self.over, self.pending = True, None
                return Refused.FENCED
            case Stored(version):
                before = frozenset(self.stored.claims) if self.stored is not None else frozenset()
                self.version, self.stored, self.pending = version, ledger, None
                self.trusted_from, self.stored_changes, self.over = sent_at, changes, ledger.left
                claimed = (name for name in ledger.claims if name not in before and name in self.tickets)
                return Flushed(ledger, tuple(claimed))

    def _join(self, ledger: Ledger, sent_at: float, changes: int) -> Step[Stored | Overtaken]:
        """Create the ledger with exactly one Put, even if it is not answered.

        A second Put could undo a fence. If the ledger was fenced and deleted while the answer was outstanding, the second
        Put would create it again, unfenced, and this session could run a ticket that another host has by now. So a
        session whose first write leaves no trace is given up, and the next one has another id.

        Asks: one Put; after an unanswered Put or a Conflict, one Get.
        """
        if self.pending is None:
            outcome = yield from put(self.key, encode(ledger), None)
            if isinstance(outcome, Stored):
                return outcome
            self.pending = ledger, sent_at, changes
        found = yield from get(self.key)
        assert not isinstance(found, Unchanged)
        if isinstance(found, Found) and carries(found, ledger.nonce):
            return Stored(found.version)
        return Overtaken(found)

    def _draft(self, nonce: str) -> Ledger:
        reports = {name: held.report() for name, held in self.tickets.items()}
        return Ledger(
            nonce,
            self.session,
            left=self.leaving,
            slots=0 if self.draining else self.slots,
            offers=self.offers,
            place=self.place,
            claims=tuple(self.tickets),
            reports={name: report for name, report in reports.items() if report != Report()},
            usage=self.usage,
            about=self.about,
            visibility_timeout=self.visibility_timeout,
            window_s=self.window_s,
            dozing=self.dozing,
            knock=self.knock,
            clock_ms=self.clock_ms,
            limits=self.limits,
        )


def _marked(ticket: Ticket, marks: Mapping[str, Mapping[int, Mark]]) -> dict[int, Mark]:
    """By offset, the messages of a ticket that are marked."""
    found: dict[int, Mark] = {}
    base = 0
    for part in ticket.parts:
        for at, mark in marks.get(part.source, {}).items():
            if part.start <= at < part.stop:
                found[base + at - part.start] = mark
        base += part.stop - part.start
    return found


def _is_of_a_twin(key: str, found: Found | Missing) -> bool:
    """Whether another writer stored a ledger here that is not over: only this session may."""
    try:
        return isinstance(found, Found) and not decode(Ledger, key, found.body).over
    except CorruptRecord:
        return False
