"""A history, made readable: boards and ledgers decoded and in order, who ran what, and where each message went.

Numbers of events are their order: ``n < m`` means that it happened before.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import NamedTuple, TypeAlias

from s3queue.core import ranges
from s3queue.core.keys import Layout, is_about_letters, parse_message_id, parse_source
from s3queue.core.plan import Settings
from s3queue.core.records import (
    CANCEL,
    NOTHING_FOREIGN,
    PURGE,
    RUN_NOW,
    Answer,
    Board,
    Control,
    DeadLetter,
    Failed,
    Foreign,
    Gate,
    Ledger,
    LetterRequest,
    Result,
    RetiredPage,
    SourceState,
    Ticket,
    Totals,
    decode,
    decode_result,
    divide,
)
from s3queue.errors import CorruptRecord
from s3queue.testing.simulate import history
from s3queue.testing.simulate.history import Drained, Ended, Event, Started
from s3queue.testing.simulate.world import EPOCH_MS, SKEW_MS

#: Path and index.
Message: TypeAlias = tuple[str, int]
Offset: TypeAlias = tuple[str, int]


#: Marked where surveys read so little that they leave things out.
SHORT_SURVEYS = "surveys are short"


class Post(NamedTuple):
    """Where a board has a message.

    Attributes:
        kind: ``ticket``, ``ready``, ``waiting``, ``dying``, ``editing``, ``moving``, ``settled``.
        attempt: 0 where the board does not say.
        ticket: its ticket, and its offset there.
        target: the source that it moves to.
    """

    kind: str
    attempt: int = 0
    ticket: str = ""
    offset: int = 0
    target: str = ""


SETTLED = Post("settled")
DYING = Post("dying")
#: Its letter gets another payload before it may run.
EDITING = Post("editing")


class Move(NamedTuple):
    """A board has a message elsewhere than the one before. None: the source is not on it."""

    n: int
    message: Message
    old: Post | None
    new: Post | None


@dataclass
class BoardAt:
    n: int
    at: float
    who: str
    board: Board
    foreign: Foreign = NOTHING_FOREIGN


@dataclass
class LedgerAt:
    """One stored state of a session's ledger; None: it was deleted (or is not readable)."""

    n: int
    at: float
    who: str
    ledger: Ledger | None


@dataclass
class Run:
    n: int
    started: Started
    ended_n: int | None = None
    outcome: str = ""
    overran: bool = False
    memos: list[str] = field(default_factory=list)

    @property
    def message(self) -> Message:
        return self.started.path, self.started.number


class Outcome(NamedTuple):
    """What a stored ledger said first of a message in a ticket."""

    n: int
    kind: str
    failed: Failed | None


@dataclass
class Story:
    """
    Attributes:
        sources: by path, when an object of that name appeared (True) or was gone (False).
        maimed: batches that were accepted, and when, and stood there otherwise than they were sent.
        letters: keys of dead letters, when each was stored first, and whether it is about all that comes after its message.
        letter_states: by key, each letter that was stored there, and when.
        forgotten: keys of letters that were deleted, and when.
        letter_requests: by path, what was asked about dead letters, and when that was stored first.
        pages: by key, when a retired page was stored, and what is on it.
        marks_read: by ticket and offset, when a host has read that it is cancelled.
        controls: what operators have set, and when. steered: when one was told that a turn holds.
        asked: by request, when it was first sent, its kind and its message. answers: that were stored, or read.
        results: by key, what was stored as a result, and when; None: it was deleted.
        calls: when somebody began to enqueue something only once, behind which gate, when it was, and where.
        gates: when a gate was written, its key, and how.
        told: what readers were told: when they asked and when they were told, and about which message.
        doubled: messages that a board has in two places.
        surveys: when each process listed the partition.
        dead: sessions whose processes all ended, and when; ``reaped``: where only the agent did.
        damaged: keys that somebody removed by hand, or that the store refuses.
        short_surveys: whether surveys read less than there is.
        illegal: see `s3queue.testing.simulate.moves`; None: nobody has asked.
        calm: the time from which on every request is answered; infinity: not yet.
    """

    events: Sequence[Event]
    settings: Settings
    layout: Layout = field(default_factory=Layout)
    boards: list[BoardAt] = field(default_factory=list)
    controls: list[tuple[int, Control]] = field(default_factory=list)
    marks_read: dict[tuple[str, int], int] = field(default_factory=dict)
    steered: list[tuple[int, int]] = field(default_factory=list)
    asked: dict[str, tuple[int, str, Message]] = field(default_factory=dict)
    answers: list[tuple[int, str, str]] = field(default_factory=list)
    ledgers: dict[str, list[LedgerAt]] = field(default_factory=dict)
    sources: dict[str, list[tuple[int, str, bool]]] = field(default_factory=dict)
    bodies: dict[str, bytes] = field(default_factory=dict)
    maimed: dict[str, int] = field(default_factory=dict)
    letters: dict[str, tuple[int, bool]] = field(default_factory=dict)
    letter_states: dict[str, list[tuple[int, DeadLetter]]] = field(default_factory=dict)
    forgotten: list[tuple[int, float, str]] = field(default_factory=list)
    letter_requests: dict[str, tuple[int, LetterRequest]] = field(default_factory=dict)
    pages: dict[str, tuple[int, RetiredPage]] = field(default_factory=dict)
    results: dict[str, list[tuple[int, Result | None]]] = field(default_factory=dict)
    told: list[tuple[int, int, Message, history.Told]] = field(default_factory=list)
    calls: list[tuple[int, str, int, str]] = field(default_factory=list)
    gates: list[tuple[int, str, Gate]] = field(default_factory=list)
    runs: list[Run] = field(default_factory=list)
    surveys: dict[str, list[int]] = field(default_factory=dict)
    accepted: dict[str, int] = field(default_factory=dict)
    hosts: dict[str, str] = field(default_factory=dict)
    dead: dict[str, int] = field(default_factory=dict)
    reaped: dict[str, int] = field(default_factory=dict)
    given_up: list[tuple[int, str]] = field(default_factory=list)
    damaged: dict[str, int] = field(default_factory=dict)
    raised: list[str] = field(default_factory=list)
    calm: float = math.inf
    drained: Drained | None = None
    short_surveys: bool = False
    illegal: list[tuple[str, str]] | None = None

    def __post_init__(self) -> None:
        running: dict[str, Run] = {}
        calling: dict[str, tuple[int, str]] = {}
        wondering: dict[str, tuple[int, Message]] = {}
        for n, event in enumerate(self.events):
            match event:
                case history.Wrote():
                    self._wrote(n, event)
                case history.Deleted(at, who, keys):
                    for key in keys:
                        self._deleted(n, at, who, key)
                case history.Surveyed(_, who):
                    self.surveys.setdefault(process(who), []).append(n)
                case Started():
                    run = running[event.who] = Run(n, event)
                    self.runs.append(run)
                case history.Noted(_, who, memo):
                    running[who].memos.append(memo)
                case Ended(_, who, outcome):
                    run = running.pop(who)
                    run.ended_n, run.outcome = n, outcome
                case history.Overran(_, who):
                    running[who].overran = True
                case history.Accepted(_, _, path, body):
                    self.accepted[path] = n
                    if self.bodies.get(path) != body:
                        self.maimed[path] = n
                case history.ReadMarks(_, _, ticket, offsets):
                    for offset in offsets:
                        self.marks_read.setdefault((ticket, offset), n)
                case history.Steered(_, _, turn):
                    self.steered.append((n, turn))
                case history.Asked(_, _, request, kind, path, number):
                    self.asked[request] = n, kind, (path, number)
                case history.Answered(_, _, request, told):
                    self.answers.append((n, request, told))
                case history.Calling(_, who, gate):
                    calling[who] = n, gate
                case history.Called(_, who, path, _):
                    self.calls.append((*calling[who], n, path))
                case history.Wondered(_, who, path, number):
                    wondering[who] = n, (path, number)
                case history.Told(_, who):
                    self.told.append((*wondering[who][:1], n, wondering[who][1], event))
                case history.Joined(_, host, session):
                    self.hosts[session] = host
                case history.Gone(_, _, sessions, whole):
                    for session in sessions:
                        (self.dead if whole else self.reaped).setdefault(session, n)
                case history.GivenUp(_, session):
                    self.given_up.append((n, session))
                case history.Meddled(_, key):
                    self.damaged.setdefault(key, n)
                case history.Refused(_, key):
                    self.damaged.setdefault(key, n)
                case history.Marked(_, what):
                    self.short_surveys |= what == SHORT_SURVEYS
                case history.Raised(_, why):
                    self.raised.append(f"event {n}: {why}")
                case history.Calmed(_, until):
                    self.calm = until
                case Drained():
                    self.drained = event
                case _:
                    pass

    def _wrote(self, n: int, event: history.Wrote) -> None:
        layout, key = self.layout, event.key
        if key == layout.board:
            self.boards.append(BoardAt(n, event.at, event.who, *divide(decode(Board, key, event.body))))
        elif key.startswith(layout.hosts):
            ledger = decode(Ledger, key, event.body)
            self.ledgers.setdefault(layout.session(key), []).append(LedgerAt(n, event.at, event.who, ledger))
        elif key == layout.control:
            self.controls.append((n, decode(Control, key, event.body)))
        elif key.startswith(layout.requests):
            if is_about_letters(key) and event.body:
                self.letter_requests.setdefault(layout.path(key), (n, decode(LetterRequest, key, event.body)))
        elif key.startswith(layout.answers):
            answer = decode(Answer, key, event.body)
            self.answers.append((n, answer.request, answer.answer))
        elif key.startswith(layout.home):
            if not event.body:
                return  # cut short: no batch yet
            self.sources.setdefault(layout.path(key), []).append((n, event.who, True))
            self.bodies[layout.path(key)] = event.body
        elif key.startswith(layout.retired):
            self.pages.setdefault(key, (n, decode(RetiredPage, key, event.body)))
        elif key.startswith(f"{layout.root}/dead/"):
            letter = decode(DeadLetter, key, event.body)
            rest = letter.raw and self.bodies.get(parse_message_id(letter.message).path) == letter.payload
            self.letters.setdefault(key, (n, rest))
            self.letter_states.setdefault(key, []).append((n, letter))
        elif key.startswith(layout.gates):
            self.gates.append((n, key, decode(Gate, key, event.body)))
        elif key.startswith(f"{layout.root}/results/"):
            self.results.setdefault(key, []).append((n, decode_result(key, event.body)))

    def _deleted(self, n: int, at: float, who: str, key: str) -> None:
        layout = self.layout
        if key in self.results:
            self.results[key].append((n, None))
        if key.startswith(layout.hosts):
            self.ledgers.setdefault(layout.session(key), []).append(LedgerAt(n, at, who, None))
        elif key.startswith(f"{layout.root}/dead/"):
            self.forgotten.append((n, at, key))
        elif key.startswith((layout.inbox, layout.later)):
            self.sources.setdefault(layout.path(key), []).append((n, who, False))

    # ---- by time -------------------------------------------------------------------------------------------

    def ledger_before(self, session: str, n: int) -> LedgerAt | None:
        states = self.ledgers.get(session, [])
        at = bisect_left(states, n, key=lambda state: state.n)
        return states[at - 1] if at else None

    def board_before(self, n: int) -> Board | None:
        at = bisect_left(self.boards, n, key=lambda state: state.n)
        return self.boards[at - 1].board if at else None

    def board_at(self, n: int) -> Board:
        """The board that was stored then."""
        return self.boards[bisect_left(self.boards, n, key=lambda state: state.n)].board

    def ending(self, move: Move) -> str:
        """How it has ended, of a message that is dying then."""
        path, index = move.message
        endings = self.board_at(move.n).sources[path].endings
        return endings[index].kind if index in endings else "dead"

    def letter_before(self, message: str, n: int) -> DeadLetter | None:
        """The letter of the message with this id, as it was then."""
        key = self.layout.dead(parse_source(parse_message_id(message).path).queue, message)
        states = self.letter_states.get(key, [])
        at = bisect_left(states, n, key=lambda state: state[0])
        return states[at - 1][1] if at else None

    def born(self, message: Message) -> Message:
        """What it was called in its first life."""
        if not message[0].startswith("dead/"):
            return self.first(message)
        ref = parse_message_id(parse_source(message[0]).message)
        return ref.path, ref.index

    @cached_property
    def lives(self) -> dict[Message, list[Message]]:
        """Further lives of messages, by what they were called first; in the order in which boards named them."""
        found: dict[Message, list[Message]] = {}
        for move in self.moves:
            if move.old is None and move.message[0].startswith("dead/"):
                found.setdefault(self.born(move.message), []).append(move.message)
        return found

    def is_called_off(self, message: Message, n: int) -> bool:
        """Whether somebody had asked before to cancel it."""
        return self._was_asked(CANCEL, message, n) or self.is_purged(parse_source(message[0]).queue, n)

    def is_hastened(self, message: Message, n: int) -> bool:
        """Whether somebody had asked before to run it now."""
        return self._was_asked(RUN_NOW, message, n)

    def _was_asked(self, kind: str, message: Message, n: int) -> bool:
        names = {message, self.first(message), self.born(message)}
        return any(at < n and kind == one and about in names for at, one, about in self.asked.values())

    def is_purged(self, queue: str, n: int) -> bool:
        """Whether the board of this time, or the one before it, names a purge of this queue that somebody asked for."""
        boards = self.board_before(n), self.board_before(n + 1)
        named = {board.purges[queue].request for board in boards if board is not None and queue in board.purges}
        return any(self.asked[one][0] < n and self.asked[one][1:] == (PURGE, (queue, 0)) for one in named)

    def may_expire(self, move: Move) -> bool:
        """Whether it ends without a run, of a batch of which it may be time, by some clock."""
        expires_ms = parse_source(move.message[0]).expires_ms
        if expires_ms is None or (move.old is not None and move.old.attempt > 1):
            return False
        return self.wall_ms(move.n) + SKEW_MS >= expires_ms

    def wall_ms(self, n: int) -> int:
        """The true time when the board was stored that is this event, in milliseconds."""
        return EPOCH_MS + int(self.at(n) * 1000)

    def at(self, n: int) -> float:
        """When the board was stored that is this event."""
        return self.boards[bisect_left(self.boards, n, key=lambda state: state.n)].at

    def _called_off(self, move: Move) -> str:
        queue = parse_source(move.message[0]).queue
        if self.may_expire(move):
            counted = self._counted(queue, move.n)
            if counted == {"expired"} or not self.is_called_off(move.message, move.n):
                return "expired"
            if "expired" in counted and not self._is_told(move):
                return "expired"
        return "purged" if self.is_purged(queue, move.n) else "cancelled"

    def _counted(self, queue: str, n: int) -> set[str]:
        """As what the board that was stored then has ended messages of a queue that did not run to their end."""
        before = self.board_before(n)
        old = Totals() if before is None else before.totals.get(queue, Totals())
        new = self.board_at(n).totals.get(queue, Totals())
        return {how for how in ("expired", "cancelled", "purged") if getattr(new, how) > getattr(old, how)}

    def _is_told(self, move: Move) -> bool:
        """Whether the board tells somebody with that commit that this message is cancelled, or its mark ends."""
        before, board = self.board_before(move.n), self.board_at(move.n)
        path, index = move.message
        if before is not None and index in before.marks.get(path, ()):
            return True
        told = board.answers.keys() - (() if before is None else before.answers.keys())
        return any(
            board.answers[one] == "cancelled" and self.asked[one][1:] == (CANCEL, move.message)
            for one in told & self.asked.keys()
        )

    def survey_before(self, who: str, n: int) -> int | None:
        """When this process last listed the partition before."""
        seen = self.surveys.get(process(who), [])
        at = bisect_left(seen, n)
        return seen[at - 1] if at else None

    def is_unheard(self, page: str) -> bool:
        """Whether a retired page landed when its coordinator had been replaced: only the next one learns of it."""
        n = self.pages[page][0]
        epoch = int(page.removeprefix(self.layout.retired).partition("-")[0])
        board = self.board_before(n)
        return board is not None and board.epoch > epoch and board.epoch == self.boards[-1].board.epoch

    # ---- messages ------------------------------------------------------------------------------------------

    @cached_property
    def landed(self) -> dict[str, int]:
        """Paths of batches that were stored, and when first."""
        batches = {}
        for path, states in self.sources.items():
            try:
                parse_source(path)
            except CorruptRecord:
                continue
            batches[path] = states[0][0]
        return batches

    @cached_property
    def outcomes(self) -> dict[Offset, Outcome]:
        return self._outcomes[0]

    @cached_property
    def changed_outcomes(self) -> list[str]:
        """Outcomes that a later ledger contradicts."""
        return self._outcomes[1]

    @cached_property
    def _outcomes(self) -> tuple[dict[Offset, Outcome], list[str]]:
        first: dict[Offset, Outcome] = {}
        changed: list[str] = []

        def enter(ticket: str, offset: int, n: int, kind: str, failed: Failed | None) -> None:
            known = first.setdefault((ticket, offset), Outcome(n, kind, failed))
            if known.kind != kind or known.failed != failed:
                changed.append(f"offset {offset} of ticket {ticket}: {known.kind}, then {kind}")

        for states in self.ledgers.values():
            for state in states:
                for ticket, report in state.ledger.reports.items() if state.ledger is not None else ():
                    for offset in ranges.members(report.ok):
                        enter(ticket, offset, state.n, "ok", None)
                    for offset in ranges.members(report.released):
                        enter(ticket, offset, state.n, "released", None)
                    for offset, failed in report.failed.items():
                        enter(ticket, offset, state.n, failed.kind, failed)
        return first, changed

    @cached_property
    def ended(self) -> dict[str, LedgerAt]:
        """The ledgers of sessions that are over, as they were when that became so."""
        over: dict[str, LedgerAt] = {}
        for session, states in self.ledgers.items():
            for state in states:
                if state.ledger is not None and state.ledger.over:
                    over.setdefault(session, state)
        return over

    @cached_property
    def tickets(self) -> dict[str, tuple[int, Ticket]]:
        """Every ticket that was ever on a board, and since when."""
        known: dict[str, tuple[int, Ticket]] = {}
        for state in self.boards:
            for name, ticket in state.board.tickets.items():
                known.setdefault(name, (state.n, ticket))
        return known

    @cached_property
    def targets(self) -> dict[str, tuple[Message, ...]]:
        """Every source that a board had messages moved to, and where each of them came from."""
        return {path: members for state in self.boards for path, members in state.board.moves.items()}

    def first(self, message: Message) -> Message:
        """What this message was called when it was enqueued."""
        while message[0] in self.targets:
            message = self.targets[message[0]][message[1]]
        return message

    @cached_property
    def moved_off(self) -> dict[Message, int]:
        """Messages that were settled because another source holds them, by their name before, and when."""
        return {
            move.message: move.n
            for move in self.moves
            if move.new == SETTLED and move.old is not None and move.old.kind == "moving"
        }

    def is_moved_in(self, message: Message, n: int) -> bool:
        """Whether a board up to then took it to be where it was moved to, and not where it came from."""
        return self.moved_off.get(self.targets[message[0]][message[1]], n + 1) <= n

    @cached_property
    def by_message(self) -> dict[Message, list[Run]]:
        runs: dict[Message, list[Run]] = {}
        for run in self.runs:
            runs.setdefault(self.first(run.message), []).append(run)
        return runs

    @cached_property
    def by_offset(self) -> dict[Offset, list[Run]]:
        runs: dict[Offset, list[Run]] = {}
        for run in self.runs:
            runs.setdefault((run.started.ticket, run.started.offset), []).append(run)
        return runs

    @cached_property
    def interruptions(self) -> dict[Message, list[tuple[int, str]]]:
        """When ledgers said that a message was only interrupted, and of which sessions."""
        found: dict[Message, list[tuple[int, str]]] = {}
        for (name, offset), outcome in self.outcomes.items():
            if outcome.kind == "interrupted" and name in self.tickets:
                ticket = self.tickets[name][1]
                part = next(ticket.spans((offset, offset + 1)))
                found.setdefault((part.source, part.start), []).append((outcome.n, ticket.session))
        return found

    def spared(self, message: Message, n: int) -> int:
        """How many attempts of the message before do not count."""
        return sum(at < n for at, _ in self.interruptions.get(message, ()))

    def is_spared_for_certain(self, message: Message, n: int) -> bool:
        """Whether no ledger that spared it was removed by hand."""
        return not any(damaged(self, session, n) for at, session in self.interruptions.get(message, ()) if at < n)

    def company(self, run: Run) -> list[Run]:
        """What else was running in the same process when it died."""
        return [other for other in self.killed.get(process(run.started.who), ()) if other is not run]

    def overran_in(self, run: Run) -> bool:
        """Whether its process was killed for a time limit, of whichever message."""
        return any(one.overran for one in self.killed.get(process(run.started.who), ()))

    def beside(self, run: Run) -> Iterator[Run]:
        """What else was running in the same process meanwhile."""
        for other in self.by_process[process(run.started.who)]:
            if other is run:
                continue
            earlier, later = sorted((run, other), key=lambda one: one.n)
            if earlier.ended_n is None or earlier.ended_n > later.n:
                yield other

    @cached_property
    def by_process(self) -> dict[str, list[Run]]:
        runs: dict[str, list[Run]] = {}
        for run in self.runs:
            runs.setdefault(process(run.started.who), []).append(run)
        return runs

    @cached_property
    def killed(self) -> dict[str, list[Run]]:
        """By process, what was running when it died. A process dies once."""
        found: dict[str, list[Run]] = {}
        for run in self.runs:
            if run.outcome == "killed":
                found.setdefault(process(run.started.who), []).append(run)
        return found

    def is_bequeathed(self, session: str, over: LedgerAt) -> bool:
        """Whether the next agent of the same host ended it, and not as a coordinator."""
        heir = process(over.who)
        return over.who.endswith("/host") and heir != session and self.hosts.get(heir) == self.hosts[session]

    def is_will(self, ticket: str, n: int) -> bool:
        """Whether what was stored then is how another agent ended this ticket's session."""
        session = self.tickets[ticket][1].session
        over = self.ended.get(session)
        return over is not None and over.n == n and self.is_bequeathed(session, over)

    # ---- moves ---------------------------------------------------------------------------------------------

    @cached_property
    def moves(self) -> list[Move]:
        return self._moves[0]

    @cached_property
    def doubled(self) -> list[str]:
        return self._moves[1]

    @cached_property
    def _moves(self) -> tuple[list[Move], list[str]]:
        moves: list[Move] = []
        doubled: list[str] = []
        before: dict[str, dict[int, Post]] = {}
        last: Board | None = None
        for state in self.boards:
            if (
                last is not None
                and last.tickets == state.board.tickets
                and last.sources == state.board.sources
                and (last.moves == state.board.moves)
            ):
                continue
            now = posts(state.board, doubled)
            last = state.board
            for path in {**before, **now}:
                old, new = before.get(path), now.get(path)
                if old == new:
                    continue
                source = parse_source(path)
                for index in range(source.count):
                    was, comes = old and old.get(index), new and new.get(index)
                    if comes is None and source.is_borrowed:
                        comes = SETTLED  # it leaves the board with that commit
                    if was != comes:
                        moves.append(Move(state.n, (path, index), was or None, comes or None))
            before = now
        return moves, doubled

    @cached_property
    def committed(self) -> dict[Message, list[tuple[int, str]]]:
        """When a board counted a message as done or dead. One that is dying is dead."""
        commits: dict[Message, list[tuple[int, str]]] = {}
        for move in self.moves:
            path, _ = move.message
            if move.new == DYING:
                how = self.ending(move)
            elif move.new != SETTLED or (move.old is not None and move.old.kind in ("dying", "moving")):
                continue
            elif move.old is None:
                if path in self.targets and not self.is_moved_in(move.message, move.n):
                    continue  # nothing came of that move
                absent = (one for one, what in self.board_at(move.n).answers.items() if what == "absent")
                is_absent = parse_source(path).count == 1 and any(
                    one in self.asked and self.asked[one][1:] == (CANCEL, move.message) for one in absent
                )
                if is_absent and self.first(move.message) in commits:
                    continue  # it has ended and was forgotten
                how = "absent" if is_absent else self._called_off(move)
            else:
                outcome = self.outcomes.get((move.old.ticket, move.old.offset))
                how = "done" if outcome is not None and outcome.kind == "ok" else self._called_off(move)
            commits.setdefault(self.first(move.message), []).append((move.n, how))
        return commits


def damaged(story: Story, session: str, n: int) -> bool:
    """Whether somebody removed the ledger of this session by hand before."""
    return story.damaged.get(story.layout.host(session), n) < n


def process(who: str) -> str:
    """The process of an actor."""
    return who.rpartition("/")[0] or who


def posts(board: Board, doubled: list[str]) -> dict[str, dict[int, Post]]:
    """Where each message of each admitted source is. Those that are nowhere are settled."""
    found: dict[str, dict[int, Post]] = {path: {} for path in board.sources}

    def put(path: str, index: int, post: Post) -> None:
        place = found.setdefault(path, {})
        if index in place:
            doubled.append(f"turn {board.turn}: message {index} of {path} is in {place[index]} and in {post}")
        place[index] = post

    for path, state in board.sources.items():
        for index, post in _listed(state):
            put(path, index, post)
    for target, members in board.moves.items():
        for path, index in members:
            put(path, index, Post("moving", parse_source(target).attempt, target=target))
    for name, ticket in board.tickets.items():
        taken = ticket.taken
        offset = 0
        for part in ticket.parts:
            for index in range(part.start, part.stop):
                if not taken or not ranges.contains(taken, offset):
                    put(part.source, index, Post("ticket", part.attempt, name, offset))
                offset += 1
    for path, place in found.items():
        count = parse_source(path).count
        listed = board.sources.get(path)
        if listed is None:
            doubled.append(f"turn {board.turn}: tickets name {path}, which is not on the board")
        elif listed.settled + len(place) != count or any(not 0 <= index < count for index in place):
            doubled.append(f"turn {board.turn}: {path} has {listed.settled} settled and {len(place)} listed of {count}")
        for index in range(count):
            place.setdefault(index, SETTLED)
    return found


def _listed(state: SourceState) -> Iterator[tuple[int, Post]]:
    for ready in state.ready:
        for index in range(ready.start, ready.stop):
            yield index, Post("ready", ready.attempt)
    for waiting in state.waiting:
        yield waiting.index, Post("waiting", waiting.attempt)
    for index in state.dying:
        yield index, EDITING if index in state.endings and state.endings[index].kind == "edited" else DYING
