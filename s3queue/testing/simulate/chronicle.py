"""A history, decoded: boards, ledgers and other objects in order, who ran what, and what each object was at any time.

Numbers of events are their order: ``n < m`` means that it happened before.
"""

from __future__ import annotations

import contextlib
import math
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass, field

from s3queue.core.keys import Layout, is_about_letters, parse_message_id, parse_source
from s3queue.core.plan import Settings
from s3queue.core.records import (
    NOTHING_FOREIGN,
    Answer,
    Board,
    Control,
    DeadLetter,
    Foreign,
    Gate,
    Ledger,
    LetterRequest,
    Result,
    RetiredPage,
    decode,
    decode_result,
    divide,
)
from s3queue.errors import CorruptRecord
from s3queue.testing.simulate import history
from s3queue.testing.simulate.history import Drained, Ended, Event, Started
from s3queue.testing.simulate.posts import Message
from s3queue.testing.simulate.world import EPOCH_MS

#: Marked where surveys read so little that they leave things out.
SHORT_SURVEYS = "surveys are short"


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


@dataclass
class Chronicle:
    """What a history holds, decoded, and what each object was at any time.

    Attributes:
        sources: by path, when an object of that name appeared (True) or was gone (False).
        maimed: batches that were accepted, and when, and stood there otherwise than they were sent.
        letters: keys of dead letters, when each was stored first, and whether it is about all that comes after its message.
        letter_states: by key, each letter that was stored there, and when.
        forgotten: keys of letters that were deleted, and when.
        letter_requests: by path, what was asked about dead letters, and when that was stored first.
        pages: by key, when a retired page was stored, and what is on it.
        marks_read: by ticket and offset, when a host has read that it is cancelled.
        halts_read: when a host has read which tasks are paused, its session, and which. idled: when an operator was told
            that a paused task is idle, when before that its pause was in force, and which task.
        controls: what operators have set, and when. steered: when one was told that a turn holds.
        asked: by request, when it was first sent, its kind and its message. answers: that were stored, or read.
        results: by key, what was stored as a result, and when; None: it was deleted.
        calls: when somebody began to enqueue something only once, behind which gate, when it was, and where.
        gates: when a gate was written, its key, and how.
        told: what readers were told: when they asked and when they were told, and about which message.
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
    halts_read: list[tuple[int, str, frozenset[tuple[str, str]]]] = field(default_factory=list)
    idled: list[tuple[int, int, str, str]] = field(default_factory=list)
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
        steered: dict[str, int] = {}
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
                case history.ReadHalts(_, session, tasks):
                    self.halts_read.append((n, session, frozenset(tasks)))
                case history.Steered(_, who, turn):
                    self.steered.append((n, turn))
                    steered[who] = n
                case history.Idled(_, who, queue, task):
                    self.idled.append((n, steered[who], queue, task))
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
                with contextlib.suppress(CorruptRecord):
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

    def letter_before(self, message: str, n: int) -> DeadLetter | None:
        """The letter of the message with this id, as it was then."""
        key = self.layout.dead(parse_source(parse_message_id(message).path).queue, message)
        states = self.letter_states.get(key, [])
        at = bisect_left(states, n, key=lambda state: state[0])
        return states[at - 1][1] if at else None

    def wall_ms(self, n: int) -> int:
        """The true time when the board was stored that is this event, in milliseconds."""
        return EPOCH_MS + int(self.at(n) * 1000)

    def at(self, n: int) -> float:
        """When the board was stored that is this event."""
        return self.boards[bisect_left(self.boards, n, key=lambda state: state.n)].at

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


def process(who: str) -> str:
    """The process of an actor."""
    return who.rpartition("/")[0] or who
