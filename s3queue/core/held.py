"""A ticket as its host knows it: each message has no outcome yet, or keeps the first one that was reported."""

from __future__ import annotations

from dataclasses import dataclass, field

from s3queue.core import ranges
from s3queue.core.histories import is_suspect
from s3queue.core.keys import parse_source
from s3queue.core.ranges import EMPTY, Ranges
from s3queue.core.records import Board, Failed, Memo, Part, Report, Ticket


@dataclass
class Held:
    """A ticket of this session with the outcomes of its messages so far, by offset.

    Attributes:
        left: number of its messages without an outcome.
        spared: attempts of its only message that do not count; 0 if it has several messages.
        suspect: its only message must run in a process of its own.
        begun: its only message has begun before, though this is its first attempt: it must not expire.
        given: what earlier attempts have noted. memos: what these have.
    """

    ticket: Ticket
    ok: Ranges = EMPTY
    released: Ranges = EMPTY
    failed: dict[int, Failed] = field(default_factory=dict)
    spared: int = 0
    suspect: bool = False
    begun: bool = False
    given: dict[int, Memo] = field(default_factory=dict)
    memos: dict[int, Memo] = field(default_factory=dict)
    left: int = field(init=False)

    @classmethod
    def assigned(cls, ticket: Ticket, board: Board) -> Held:
        part = ticket.parts[0]
        given = _given(ticket, board) if board.memos else {}
        state = board.sources.get(part.source) if part.attempt > 1 and ticket.size == 1 else None
        if state is None:
            return cls(ticket, given=given, begun=part.attempt == 1 and _has_begun(part, board))
        suspect = parse_source(part.source).alone or is_suspect(state.failures, state.spared, part.start)
        return cls(ticket, spared=state.spared.get(part.start, 0), suspect=suspect, given=given)

    def __post_init__(self) -> None:
        self.left = self.ticket.size - ranges.size(self.decided)

    @property
    def decided(self) -> Ranges:
        return ranges.union(*map(ranges.pairs, (self.ok, self.released, ranges.of(self.failed))))

    @property
    def open(self) -> Ranges:
        """Messages without an outcome."""
        return ranges.minus((0, self.ticket.size), self.decided)

    def count_dead(self, max_attempts: int) -> int:
        """How many of its messages the coordinator will find dead."""
        if not self.failed:
            return 0
        count = first = 0
        for part in self.ticket.parts:
            last = first + part.stop - part.start
            is_last_try = part.attempt - self.spared >= max_attempts
            outcomes = [it for offset, it in self.failed.items() if first <= offset < last]
            count += sum(it.kind == "dead" or (it.kind == "retry" and is_last_try) for it in outcomes)
            first = last
        return count

    def has_decided(self, offset: int) -> bool:
        return offset in self.failed or ranges.contains(self.ok, offset) or ranges.contains(self.released, offset)

    def succeed(self, offsets: Ranges) -> bool:
        """Returns whether any of them had no outcome yet."""
        new = self._undecided(offsets)
        self.ok = ranges.union(ranges.pairs(self.ok), ranges.pairs(new))
        self.left -= ranges.size(new)
        return bool(new)

    def release(self, offsets: Ranges) -> bool:
        """Returns whether any of them had no outcome yet."""
        new = self._undecided(offsets)
        self.released = ranges.union(ranges.pairs(self.released), ranges.pairs(new))
        self.left -= ranges.size(new)
        return bool(new)

    def fail(self, offset: int, outcome: Failed) -> bool:
        """Returns whether it had no outcome yet. Constant time, however many others failed."""
        if self.has_decided(offset):
            return False
        self.failed[offset] = outcome
        self.left -= 1
        return True

    def note(self, offset: int, memo: Memo) -> None:
        """Take over a note of its attempt. Notes of a message that has ended are dropped."""
        if not self.has_decided(offset):
            self.memos[offset] = memo

    @property
    def texts(self) -> int:
        """Characters of the failures that the board has not taken over yet."""
        return sum(len(one.failure.text) for one in self.report().failed.values() if one.failure is not None)

    def _undecided(self, offsets: Ranges) -> Ranges:
        new = ranges.minus(ranges.minus(offsets, self.ok), self.released)
        if self.failed and any(offset in self.failed for offset in ranges.members(new)):
            new = ranges.minus(new, ranges.of(self.failed))
        return new

    def report(self) -> Report:
        """Outcomes that the board has not taken over yet."""
        taken = self.ticket.taken
        return Report(
            ranges.minus(self.ok, taken),
            ranges.minus(self.released, taken),
            {at: one for at, one in self.failed.items() if not ranges.contains(taken, at)},
            self._noted(taken) if self.memos else {},
        )

    def _noted(self, taken: Ranges) -> dict[int, Memo]:
        over = ranges.union(*map(ranges.pairs, (taken, self.ok, self.released)))
        self.memos = {at: memo for at, memo in self.memos.items() if not ranges.contains(over, at)}
        return self.memos.copy()


def _given(ticket: Ticket, board: Board) -> dict[int, Memo]:
    """By offset, what earlier attempts of its messages have noted."""
    found: dict[int, Memo] = {}
    base = 0
    for part in ticket.parts:
        for index, memo in board.memos.get(part.source, {}).items():
            if part.start <= index < part.stop:
                found[base + index - part.start] = memo
        base += part.stop - part.start
    return found


def _has_begun(part: Part, board: Board) -> bool:
    """Whether the one message of a ticket was snoozed in its first attempt, of a batch that expires."""
    state = board.sources.get(part.source)
    return state is not None and bool(state.begun) and part.start in state.begun
