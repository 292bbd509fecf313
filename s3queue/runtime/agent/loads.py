"""Messages dealt to one worker, and their outcomes: its open journal rows."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from s3queue.core import ranges
from s3queue.core.halts import is_given_back
from s3queue.core.ledger import Host
from s3queue.core.records import Failed
from s3queue.runtime.agent.pool import Piece
from s3queue.runtime.local.journal import MOVED, OK, WorkerJournal, ok_ranges
from s3queue.runtime.local.wire import Note, Recall

#: A worker whose slots have all been at the same messages for so long, in seconds, is given nothing more, and gives back
#: what it has not started.
STUCK_S = 0.2


@dataclass(slots=True)
class Row:
    """An open journal row: which messages of which ticket it is about.

    Attributes:
        base: offset in the ticket of the row's first message.
        left: how many of its messages have no outcome, and were not given back.
        ok: how many of its states were OK when last looked at.
        told: indexes of the messages that did not end with ok, and whose outcome is known.
        halted: how many of them were not started, since their task is paused.
        ended_at: `Host.changes` when its last outcome was entered; the row is closed when that is stored.
        finished: the worker has said its last word about it.
    """

    ticket: str
    queue: str
    base: int
    size: int
    left: int
    ok: int = 0
    told: set[int] = field(default_factory=set)
    halted: int = 0
    ended_at: int | None = None
    finished: bool = False


class Load:
    """
    Attributes:
        send: to its process; None while nothing can be sent, or need be.
        leaving: it takes no more.
        recalled: a `Recall` was not answered yet.
        rows: by number.
        unfinished: messages without an outcome.
        suspect: it runs a message that may kill it, and nothing else. had_suspect: its last deal was one.
        clearing: it takes nothing until it has ended what it has; then it gets a suspect.
    """

    def __init__(self, host: Host, journal: WorkerJournal, concurrency: int, max_messages: int | None) -> None:
        self.journal = journal
        self.send: Callable[[Note], None] | None = None
        self.leaving = self.recalled = self.suspect = self.had_suspect = self.clearing = False
        self.rows: dict[int, Row] = {}
        self.unfinished = 0
        self._host, self._concurrency, self._max_messages = host, concurrency, max_messages
        self._given = self._started = 0
        self._free = list(reversed(range(journal.row_count)))

    # ---- the process ---------------------------------------------------------------------------------------

    def begin(self, send: Callable[[Note], None]) -> None:
        """A process is there."""
        self.send = send
        self.leaving = self.recalled = self.suspect = self.clearing = False
        self._given, self._started = 0, self.journal.messages

    def end(self) -> None:
        """It is dead."""
        self.send = None
        self.leaving = self.recalled = self.suspect = self.clearing = False

    @property
    def is_able(self) -> bool:
        """Whether it may be given anything, now or soon."""
        return self.send is not None and not self.leaving and (self._max_messages is None or self.quota != 0)

    @property
    def takes(self) -> bool:
        """Whether it may be given messages that are no suspects now."""
        return self.is_able and not (self.recalled or self.suspect or self.clearing)

    @property
    def quota(self) -> int | None:
        """Messages that its process may yet be given; None: any number."""
        return None if self._max_messages is None else max(0, self._max_messages - self._given)

    def is_stuck(self, now: float) -> bool:
        """Whether every slot that may be at work has been at the same message for a while."""
        running = self.journal.running()
        most = 1 if self.suspect or self.clearing else self._concurrency
        return len(running) >= most and all(now - one.started > STUCK_S for one in running)

    def recall(self) -> None:
        """Ask the worker to give back messages not started, if it has any."""
        if self.send is not None and not self.recalled and self.unfinished > len(self.journal.running()):
            self.recalled = True
            self.send(Recall())

    # ---- rows ----------------------------------------------------------------------------------------------

    @property
    def has_room(self) -> bool:
        """Whether there is a row for another deal."""
        return bool(self._free)

    def open(self, piece: Piece, queue: str) -> int:
        """Open a row for these messages, where there is room; its number."""
        number = self._free.pop()
        self.journal.open_row(number, piece.ticket, piece.start, piece.size)
        self.rows[number] = Row(piece.ticket, queue, piece.start, piece.size, piece.size)
        self.unfinished += piece.size
        self._given += piece.size
        return number

    def look(self) -> None:
        """Enter messages that have ended with ok since the last call."""
        for number, row in self.rows.items():
            if row.ended_at is None:
                self.look_at(number, row)

    def look_at(self, number: int, row: Row) -> None:
        states = bytes(self.journal.states(number))
        ok = states.count(OK)
        if ok != row.ok:
            done = ranges.union((row.base + start, row.base + stop) for start, stop in ok_ranges(states))
            self._host.succeed(row.ticket, done)
            self._less(row, ok - row.ok)
            row.ok = ok

    def is_over(self, number: int, index: int) -> bool:
        """Whether a message ended well, or was given back."""
        return self.journal.bytes[self.journal.states_at(number) + index] in (OK, MOVED)

    def fail(self, row: Row, index: int, outcome: Failed) -> None:
        """This message did not end with ok."""
        row.told.add(index)
        row.halted += is_given_back(outcome)
        self._host.fail(row.ticket, row.base + index, outcome)
        self._less(row, 1)

    def release(self, row: Row, index: int) -> None:
        """This message is for another host."""
        row.told.add(index)
        self._host.release(row.ticket, (row.base + index, row.base + index + 1))
        self._less(row, 1)

    def finish(self, row: Row) -> None:
        """The worker has sent its last note about a row."""
        row.finished = True
        if self._max_messages is not None and all(row.finished for row in self.rows.values()):
            # Messages that could not be started do not count towards the limit of its process.
            self._given = min(self._max_messages - 1, self.journal.messages - self._started)

    def move(self, row: Row, many: int) -> None:
        """So many messages were given back."""
        self._given -= many
        self._less(row, many)

    def close_stored(self) -> None:
        """Close the rows whose outcomes are all in the stored ledger."""
        stored = self._host.stored_changes
        for number, row in list(self.rows.items()):
            if row.finished and row.ended_at is not None and row.ended_at <= stored:
                self.journal.close_row(number)
                del self.rows[number]
                self._free.append(number)

    def _less(self, row: Row, many: int) -> None:
        row.left -= many
        self.unfinished -= many
        if row.left == 0 and row.ended_at is None:
            row.ended_at = self._host.changes
        if not self.unfinished:
            self.suspect = False
