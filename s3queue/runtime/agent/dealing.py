"""Deals what the stored ledger claims to the workers of this host, and gathers what comes of it.

Messages lie in a pool until a slot is about to be free for them. A worker gets so many at a time that it is busy for some
tens of milliseconds, and one for each free slot where they take longer, so that no message waits in one worker behind a
long task while another is idle. What got stuck behind one nevertheless is recalled.

Whatever happens to a message is entered in the `Host`; each message of the pool and of the open journal rows is in exactly
one place. The dealer knows no store and no socket: notes go out through the function it is given.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from s3queue.core import ranges
from s3queue.core.ledger import Host
from s3queue.core.ranges import Ranges
from s3queue.core.records import Failed, Failure, Report
from s3queue.runtime.local.journal import (
    MOVED,
    OK,
    READING,
    READY,
    REJECTED,
    ROW_STATES,
    RUNNING,
    SNOOZED,
    STATES,
    UNFIT,
    WorkerJournal,
    ok_ranges,
)
from s3queue.runtime.local.wire import Deal, Note, Recall

#: Seconds of work handed to a worker in one deal: long against a round trip between processes (0.2 ms), short against
#: what a person notices.
PORTION_S = 0.05
#: A worker whose slots have all been at the same messages for so long, in seconds, is given nothing more, and gives back
#: what it has not started.
STUCK_S = 0.2
#: What was begun, and did not end well.
_NOT_OK = frozenset({RUNNING, READING, *STATES.values()})
#: What may have ended its worker.
_AT_WORK = frozenset({RUNNING, READING})
#: States from which a message goes to another host, at no cost, when the agent died, too.
_UNTOUCHED = frozenset({READING, UNFIT})
#: How long a message waits that asked to be put off, and of which nobody heard until when, in seconds.
_SNOOZE_S = 1.0
#: Weight of the newest measurement in the mean time of a queue's messages.
_NEWEST = 0.3


@dataclass
class Row:
    """An open journal row: which messages of which ticket it is about.

    Attributes:
        base: offset in the ticket of the row's first message.
        ok: how many of its states were OK when last looked at.
        failed: messages whose outcome came as a note.
        moved: messages that were given back, by index.
        ended_at: `Host.changes` when its last outcome was entered; the row is closed when that is stored.
        finished: the worker has said its last word about it.
    """

    ticket: str
    queue: str
    base: int
    size: int
    ok: int = 0
    failed: int = 0
    moved: int = 0
    ended_at: int | None = None
    finished: bool = False

    @property
    def unfinished(self) -> int:
        return self.size - self.ok - self.failed - self.moved


@dataclass
class Seat:
    """One worker, as the dealer sees it.

    Attributes:
        send: None while no process is connected.
        leaving: it takes no more.
        quota: messages that its process may yet be given; None: any number. ``started``: how many its journal had counted
            when it came.
        recalled: a `Recall` was not answered yet.
    """

    journal: WorkerJournal
    send: Callable[[Note], None] | None = None
    leaving: bool = False
    recalled: bool = False
    quota: int | None = None
    started: int = 0
    rows: dict[int, Row] = field(default_factory=dict)

    @property
    def unfinished(self) -> int:
        return sum(row.unfinished for row in self.rows.values())

    def free_row(self) -> int | None:
        return next((row for row in range(self.journal.row_count) if row not in self.rows), None)


class Dealer:
    """
    Args:
        max_messages: that a worker process starts before it leaves. None: any number.
    """

    def __init__(
        self, host: Host, journals: Iterable[WorkerJournal], concurrency: int, max_messages: int | None = None
    ) -> None:
        self.host = host
        self.concurrency = concurrency
        self._max_messages = max_messages
        self.seats = [Seat(journal) for journal in journals]
        self._pools: dict[str, deque[tuple[str, int, int]]] = {}
        self._means: dict[str, float] = {}
        self._turn = 0

    # ---- workers -------------------------------------------------------------------------------------------

    def comes(self, worker: int, send: Callable[[Note], None]) -> None:
        """A worker process is there."""
        seat = self.seats[worker]
        seat.send, seat.leaving, seat.recalled, seat.quota = send, False, False, self._max_messages
        seat.started = seat.journal.messages

    def leaves(self, worker: int) -> None:
        """It takes no more, and gives back what it has not started."""
        self.seats[worker].leaving = True
        self._recall(self.seats[worker])

    # ---- what there is to deal -----------------------------------------------------------------------------

    def claimed(self, names: Iterable[str]) -> None:
        """A stored ledger claims these tickets now. What was tried before goes first: it has waited longest."""
        for name in names:
            held = self.host.tickets.get(name)
            if held is None:
                continue
            pool = self._pools.setdefault(held.ticket.queue, deque())
            pieces = [(name, start, stop) for start, stop in ranges.pairs(held.open)]
            if held.ticket.parts[0].attempt > 1:
                pool.extendleft(reversed(pieces))
            else:
                pool.extend(pieces)

    @property
    def pooled(self) -> int:
        return sum(stop - start for pool in self._pools.values() for _, start, stop in pool)

    @property
    def unfinished(self) -> int:
        """Messages with a worker that have no outcome yet."""
        return sum(seat.unfinished for seat in self.seats)

    def release_pool(self) -> None:
        """Give back what no worker has."""
        for pool in self._pools.values():
            for name, start, stop in pool:
                self.host.release(name, (start, stop))
            pool.clear()

    # ---- dealing -------------------------------------------------------------------------------------------

    def deal(self, now: float) -> None:
        """Hand out what can be started soon."""
        queues = [queue for queue, pool in self._pools.items() if pool]
        if not queues:
            return
        self._turn += 1
        first = self._turn % len(queues)
        for queue in queues[first:] + queues[:first]:
            self._deal_queue(queue, now)

    def _deal_queue(self, queue: str, now: float) -> None:
        pool, mean = self._pools[queue], self._means.get(queue, 0.0)
        able = [seat for seat in self.seats if seat.send is not None and not seat.leaving and not seat.recalled]
        able.sort(key=lambda seat: seat.unfinished)
        for place, seat in enumerate(able):
            most = self._wants(seat, mean, now)
            if most > self.concurrency and len(pool) < 64:
                # Towards the end everybody gets a share of what is left.
                left = sum(stop - start for _, start, stop in pool)
                most = min(most, max(self.concurrency, -(-left // (len(able) - place))))
            while most > 0 and pool:
                dealt = self._deal_one(queue, pool, seat, most)
                if dealt is None:
                    break
                most -= dealt

    def _wants(self, seat: Seat, mean: float, now: float) -> int:
        """How many messages to give this worker: one for each free slot; more where they are over in no time; never more
        than its process may run."""
        wants = self._wants_now(seat, mean, now)
        if seat.quota is None:
            return wants
        if self._max_messages is not None and all(row.finished for row in seat.rows.values()):
            # Those that could not be started, whatever the reason, are none of its share: it has not left.
            seat.quota = max(1, self._max_messages - (seat.journal.messages - seat.started))
        return min(wants, seat.quota)

    def _wants_now(self, seat: Seat, mean: float, now: float) -> int:
        unfinished = seat.unfinished
        free = self.concurrency - unfinished
        if mean <= 0.0 or mean >= PORTION_S:
            return max(0, free)
        portion = min(ROW_STATES, max(1, int(PORTION_S / mean) * self.concurrency))
        if unfinished >= 2 * portion or self._is_stuck(seat, now):
            return 0
        return max(free, portion if unfinished <= portion else 0)

    def _is_stuck(self, seat: Seat, now: float) -> bool:
        running = seat.journal.running()
        return len(running) >= self.concurrency and all(now - one.started > STUCK_S for one in running)

    def _deal_one(self, queue: str, pool: deque[tuple[str, int, int]], seat: Seat, most: int) -> int | None:
        """Open one row and send one deal. None where there is nothing to deal, or no row for it."""
        number = seat.free_row()
        if number is None or seat.send is None:
            return None
        name, start, stop = pool.popleft()
        held = self.host.tickets.get(name)
        if held is None:  # taken from us; the next flush tells
            return 0
        cut = min(stop, start + min(most, ROW_STATES))
        parts = tuple(held.ticket.spans((start, cut)))
        tail = parts[-1].stop - parts[-1].start
        if len(parts) > 1 and 2 * tail <= cut - start and len(tuple(held.ticket.spans((cut - 1, cut + 1)))) == 1:
            # The cut goes through a batch, and it would not cost much to leave that whole to one worker.
            cut, parts = cut - tail, parts[:-1]
        if cut < stop:
            pool.appendleft((name, cut, stop))
        seat.journal.open_row(number, name, start, cut - start)
        seat.rows[number] = Row(name, queue, start, cut - start)
        if seat.quota is not None:
            seat.quota -= cut - start
        seat.send(Deal(number, name, queue, parts))
        return cut - start

    # ---- what comes of it ----------------------------------------------------------------------------------

    def look(self) -> None:
        """Enter what the workers have finished since the last look."""
        for seat in self.seats:
            for number, row in seat.rows.items():
                if row.ended_at is None:
                    self._look_at(seat, number, row)

    def _look_at(self, seat: Seat, number: int, row: Row) -> None:
        states = bytes(seat.journal.states(number))
        ok = states.count(OK)
        if ok != row.ok:
            row.ok = ok
            done = ranges.union((row.base + start, row.base + stop) for start, stop in ok_ranges(states))
            self.host.succeed(row.ticket, done)
        if row.unfinished == 0 and row.ended_at is None:
            row.ended_at = self.host.changes

    def failed(self, worker: int, number: int, index: int, outcome: Failed) -> None:
        """A note came: this message did not end with ok."""
        row = self.seats[worker].rows.get(number)
        if row is not None:
            row.failed += 1
            self.host.fail(row.ticket, row.base + index, outcome)

    def finished(self, worker: int, number: int, busy_s: float) -> None:
        """A note came: all messages of the row have ended."""
        seat = self.seats[worker]
        row = seat.rows.get(number)
        if row is None:
            return
        self._look_at(seat, number, row)
        row.finished = True
        if (ran := row.ok + row.failed) > 0:
            before = self._means.get(row.queue)
            mean = max(busy_s / ran, 1e-7)
            self._means[row.queue] = mean if before is None else before + _NEWEST * (mean - before)

    def returned(self, worker: int, messages: Iterable[tuple[int, int]]) -> None:
        """A note came: the worker has not started these, and will not."""
        seat = self.seats[worker]
        seat.recalled = False
        given: dict[int, list[int]] = {}
        for number, index in messages:
            given.setdefault(number, []).append(index)
        for number in sorted(given, reverse=True):
            row = seat.rows.get(number)
            if row is not None:
                states = seat.journal.states(number)  # what went to somebody else when the worker died stays there
                self._move(seat, number, row, ranges.of(at for at in given[number] if states[at] == READY))

    def _move(self, seat: Seat, number: int, row: Row, indexes: Ranges) -> None:
        """Back into the pool, before everything that was never dealt."""
        states = seat.journal.states(number)
        for index in ranges.members(indexes):
            states[index] = MOVED
        row.moved += ranges.size(indexes)
        if seat.quota is not None:
            seat.quota += ranges.size(indexes)
        pool = self._pools.setdefault(row.queue, deque())
        pool.extendleft((row.ticket, row.base + a, row.base + b) for a, b in reversed(list(ranges.pairs(indexes))))
        if row.unfinished == 0 and row.ended_at is None:
            row.ended_at = self.host.changes

    def died(self, worker: int, cause: str, text: str, now_ms: int) -> None:
        """The process of this worker was reaped. What it finished counts; what it was running failed with it; the rest
        goes to somebody else."""
        seat = self.seats[worker]
        seat.send, seat.leaving, seat.recalled = None, False, False
        for number, row in sorted(seat.rows.items(), reverse=True):
            row.finished = True
            if row.ended_at is not None:
                continue
            states = bytes(seat.journal.states(number))
            attempts = self._attempts(row)
            for index, state in enumerate(states):
                if state in _NOT_OK:  # of one that ended the note has come before, and counts
                    failure = Failure(attempts[index], cause if state in _AT_WORK else "error", text, now_ms)
                    self.host.fail(row.ticket, row.base + index, Failed("retry", 0.0, failure))
            row.failed = sum(state in _NOT_OK for state in states)
            self._look_at(seat, number, row)
            self._move(seat, number, row, ranges.of(at for at, state in enumerate(states) if state == READY))

    def _attempts(self, row: Row) -> list[int]:
        held = self.host.tickets.get(row.ticket)
        if held is None:
            return [0] * row.size
        parts = held.ticket.spans((row.base, row.base + row.size))
        return [part.attempt for part in parts for _ in range(part.start, part.stop)]

    def stored(self) -> None:
        """The ledger was stored: close the rows whose outcomes are all in it."""
        for seat in self.seats:
            ended = [
                number
                for number, row in seat.rows.items()
                if row.finished and row.ended_at is not None and row.ended_at <= self.host.stored_changes
            ]
            for number in ended:
                seat.journal.close_row(number)
                del seat.rows[number]

    # ---- long tasks ----------------------------------------------------------------------------------------

    def recall(self, now: float, *, everything: bool = False) -> bool:
        """Ask workers to give back what is stuck behind long tasks, or everything that they have not started. Returns
        whether messages are stuck in the pool, too, since every slot of the host has been busy for a while."""
        present = [seat for seat in self.seats if seat.send is not None]
        stuck = [seat for seat in present if self._is_stuck(seat, now)]
        for seat in present if everything else stuck:
            self._recall(seat)
        able = [seat for seat in present if not seat.leaving and (seat.quota is None or seat.quota > 0)]
        return bool(present) and self.pooled > 0 and all(seat in stuck for seat in able)

    @staticmethod
    def _recall(seat: Seat) -> None:
        if seat.send is not None and not seat.recalled and seat.unfinished > len(seat.journal.running()):
            seat.recalled = True
            seat.send(Recall())

    def mean_s(self, queue: str, now: float) -> float:
        """Measured time of one message of the queue in a slot; 0 until known. While every slot is at a long task, at
        least as long as the youngest of them has been running."""
        mean = self._means.get(queue, 0.0)
        running = [one for seat in self.seats for one in seat.journal.running()]
        if mean and len(running) >= self.concurrency * len(self.seats):
            mean = max(mean, min(now - one.started for one in running))
        return mean


def testament(journals: Iterable[WorkerJournal], now_ms: int) -> dict[str, Report]:
    """What the journals of a dead agent's workers say, by ticket: the outcomes that its ledger may lack."""
    ok: dict[str, list[tuple[int, int]]] = {}
    failed: dict[str, dict[int, Failed]] = {}
    for journal in journals:
        for number in journal.rows():
            row = journal.row(number)
            if row is None:
                continue
            states = bytes(journal.states(number))
            ok.setdefault(row.ticket, []).extend((row.base + a, row.base + b) for a, b in ok_ranges(states))
            for index, state in enumerate(states):
                if state in _NOT_OK and state not in _UNTOUCHED:
                    failed.setdefault(row.ticket, {})[row.base + index] = _last_word(state, now_ms)
    return {
        name: Report(ok=ranges.union(ok.get(name, ())), failed=failed.get(name, {}))
        for name in ok.keys() | failed.keys()
    }


def _last_word(state: int, now_ms: int) -> Failed:
    """The outcome of a message that nobody heard more of than its state."""
    if state == SNOOZED:
        return Failed("snooze", _SNOOZE_S)
    if state == RUNNING:
        text = "its worker was ended, since the agent of this host died"
        return Failed("retry", 0.0, Failure(0, "killed", text, now_ms))
    text = "it failed; what it said was lost with the agent of this host"
    return Failed("dead" if state == REJECTED else "retry", 0.0, Failure(0, "error", text, now_ms))
