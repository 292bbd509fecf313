"""The journal: the work of each worker of a host, in shared memory that outlives the worker.

The supervisor makes one shared buffer. Workers write to it as they go; agent and supervisor read it, above all after the
death of a worker. There are no locks, since a process that dies with a lock would block the others. Instead each word has
one writer at a time, and words are written in an order that never misleads a reader between two writes.

A **row** holds the states of the messages that one `Deal` handed to one worker. It belongs to the agent, which opens
it before dealing and closes it only when every outcome in it is in the *stored* ledger. So at any moment journals and
stored ledger together know every outcome; the next agent reads them when this one dies. A replaced worker clears its
slots, never its rows. A slot is for the time limit and for people: the outcome of a message is its state.

States of a message, who writes them, and what a death of the worker means there::

    READY      agent, worker   not started                       goes to another worker
    READING    worker          its source is being read          it may be what killed the process
    RUNNING    worker          the user's code has begun         it may be what killed the process
    OK         worker          ended well                        counts
    FAILED     worker          kind "retry", or out of attempts  counts; the `FailedNote` told the rest
    REJECTED   worker          kind "dead": rejected or corrupt  as above
    SNOOZED    worker          kind "snooze": costs no attempt   as above
    UNFIT      worker          kind "unfit": not for this host   as above
    MOVED      agent           it went back to the agent         nothing: it is elsewhere

    READY → READING → READY → RUNNING → OK, FAILED, REJECTED, SNOOZED, UNFIT
    READY → FAILED, REJECTED, SNOOZED, UNFIT      it could not be started
    READY → MOVED                                 returned, or its worker died

Layout: native byte order, every field aligned to its size::

    header   trust_until f64 · agent_beat f64 · usage 10×u64 as coordinator · as host · 16 spare bytes
    worker   beat f64 · pid i64 · usage 10×u64 · 32 spare · slots · rows            (repeated)
    slot     row + 1 i64 (0: idle) · index i64 · started f64 · deadline f64 (0: none) · messages i64 · 8 spare
    row      ticket 32 bytes, zero padded · base u32 · count u32 (0: closed) · 1024 states
             `row_count` of them: more slots need more rows. Those that are never opened cost no memory.
"""

from __future__ import annotations

import re
from typing import Any, NamedTuple

from s3queue.core.records import Failed, Usage
from s3queue.io.clock import clock
from s3queue.io.meter import ROLES, WORDS, total

__all__ = [
    "FAILED",
    "MOVED",
    "OK",
    "READING",
    "READY",
    "REJECTED",
    "RUNNING",
    "SNOOZED",
    "STATES",
    "TOGETHER",
    "UNFIT",
    "Journal",
    "Row",
    "Running",
    "WorkerJournal",
    "ok_ranges",
    "row_count",
    "state_of",
]

#: States of a message, as in the table above.
READY, RUNNING, OK, FAILED, MOVED, REJECTED, SNOOZED, READING, UNFIT = range(9)
#: By `Failed.kind`. What is expired is given back where the note of it is lost: it is expired elsewhere, too.
STATES = {"retry": FAILED, "dead": REJECTED, "snooze": SNOOZED, "unfit": UNFIT, "expired": UNFIT}

#: Rows of a worker: so many, and so many more for each slot. A ticket of a group holds one message and takes a row, until
#: its outcome is stored; so each slot needs one for what it runs, one for what comes next, and some for what just ended.
_ROWS, _ROWS_PER_SLOT = 64, 4
#: States per row: room for a whole batch (`s3queue.core.keys.MAX_BATCH`).
ROW_STATES = 1024

#: In a slot, instead of the index of a message: several run together. A row has no such index.
TOGETHER = ROW_STATES

_HEADER = 192
_WORKER = 128
#: Bytes before the usage, and room for the usage: one word more than is counted now.
_USAGE_AT, _USAGE = 16, 80
_SLOT = 48
_TICKET = 32
_STATES = _TICKET + 8
_ROW = _STATES + ROW_STATES

_OK_RUN = re.compile(rb"\x02+")


class Row(NamedTuple):
    """An open row: its ``size`` states are those of the ticket's messages from offset ``base`` on."""

    ticket: str
    base: int
    size: int


class Running(NamedTuple):
    """A slot at work, on this message of this row; `TOGETHER`: on several, of any rows. ``started`` and ``deadline`` (0:
    none) are seconds by `s3queue.io.clock.clock`."""

    slot: int
    row: int
    message: int
    started: float
    deadline: float


def state_of(outcome: Failed) -> int:
    """The state of a message that did not end with ok. A message that is out of attempts is ``FAILED``, not ``REJECTED``:
    the count of its attempts shows that it is dead."""
    if outcome.kind == "dead" and (outcome.failure is None or outcome.failure.cause not in ("rejected", "corrupt")):
        return FAILED
    if outcome.token:  # not started, since its task is paused
        return UNFIT
    return STATES[outcome.kind]


def row_count(concurrency: int) -> int:
    """How many deals one worker may hold. Rows are numbered from 0."""
    return _ROWS + _ROWS_PER_SLOT * concurrency


def _usage(view: memoryview, at: int) -> memoryview:
    return view[at : at + 8 * WORDS].cast("Q")


def ok_ranges(states: bytes | memoryview) -> list[tuple[int, int]]:
    """Where the states are ``OK``, as half-open ranges. A thousand states cost some microseconds."""
    return [match.span() for match in _OK_RUN.finditer(states)]


class Journal:
    """The whole buffer.

    Args:
        buffer: of `Journal.size` bytes, all zero when new, 8-byte aligned: anything that `memoryview` accepts.
    """

    def __init__(self, buffer: Any, workers: int, concurrency: int) -> None:
        self.workers = workers
        self.concurrency = concurrency
        self.buffer = buffer
        self._bytes = memoryview(buffer).cast("B")
        if len(self._bytes) < self.size(workers, concurrency):
            raise ValueError("the journal's buffer is too small")
        header = self._bytes[:_HEADER]
        #: One float: until when (by `clock`) messages may be started. Hot: workers read it before every message.
        self.trust = header[:8].cast("d")
        self._agent_beat = header[8:16].cast("d")
        #: Store requests of the agents so far, by role, for `Meter`.
        self.coordinator_usage, self.host_usage = (_usage(header, at) for at in (_USAGE_AT, _USAGE_AT + _USAGE))

    @staticmethod
    def size(workers: int, concurrency: int) -> int:
        return _HEADER + workers * WorkerJournal.size(concurrency)

    def worker(self, number: int) -> WorkerJournal:
        stride = WorkerJournal.size(self.concurrency)
        start = _HEADER + number * stride
        return WorkerJournal(self._bytes[start : start + stride], self.concurrency)

    @property
    def trust_until(self) -> float:
        return self.trust[0]

    @trust_until.setter
    def trust_until(self, until: float) -> None:
        self.trust[0] = until

    @property
    def agent_beat(self) -> float:
        """When the agent last showed life; 0 before it ever did."""
        return self._agent_beat[0]

    def beat_agent(self) -> None:
        self._agent_beat[0] = clock()

    def reset_agent(self) -> None:
        """Called by the supervisor before it starts a new agent: no heartbeat yet, and no trust window."""
        self._agent_beat[0] = 0.0
        self.trust[0] = 0.0

    def usage(self) -> dict[str, Usage]:
        """Store requests of agents and workers since the buffer was made, by role."""
        workers = [Usage(*self.worker(number).usage) for number in range(self.workers)]
        each = Usage(*self.coordinator_usage), Usage(*self.host_usage), total(workers)
        return dict(zip(ROLES, each, strict=True))


class WorkerJournal:
    """One worker's part.

    Attributes:
        bytes: all of it, as bytes. ``bytes[states_at(row) + index]`` is a message's state: for the hot path.
        row_count: how many rows there are.
        usage: what this worker and its predecessors asked of the store, for `Meter`.
    """

    def __init__(self, view: memoryview, concurrency: int) -> None:
        self.concurrency = concurrency
        self.row_count = row_count(concurrency)
        self.bytes = view
        self._floats = view[:_WORKER].cast("d")
        self._words = view[:_WORKER].cast("q")
        self.usage = _usage(view, _USAGE_AT)
        slots = view[_WORKER : _WORKER + concurrency * _SLOT]
        #: The slots as integers and as floats, six to a slot.
        self.slot_words = slots.cast("q")
        self.slot_floats = slots.cast("d")
        self._rows_at = _WORKER + concurrency * _SLOT
        self._row_words = view[self._rows_at :].cast("I")

    @staticmethod
    def size(concurrency: int) -> int:
        return _WORKER + concurrency * _SLOT + row_count(concurrency) * _ROW

    # ---- the process ---------------------------------------------------------------------------------------

    def reset(self) -> None:
        """By the supervisor, before it starts a process here: no life yet, and no slot at work. Rows stay."""
        self._floats[0] = 0.0
        self._words[1] = 0
        for slot in range(self.concurrency):
            at = slot * 6
            self.slot_words[at] = 0
            self.slot_floats[at + 3] = 0.0

    def beat(self) -> None:
        self._floats[0] = clock()

    @property
    def last_beat(self) -> float:
        """When this worker last showed life, by `clock`; 0 before it ever did."""
        return self._floats[0]

    @property
    def pid(self) -> int:
        return self._words[1]

    @pid.setter
    def pid(self, pid: int) -> None:
        self._words[1] = pid

    @property
    def messages(self) -> int:
        """How many messages were started here, by this worker and its predecessors."""
        return sum(self.slot_words[slot * 6 + 4] for slot in range(self.concurrency))

    # ---- slots ---------------------------------------------------------------------------------------------

    def start(self, slot: int, row: int, index: int, started: float, deadline: float = 0.0) -> None:
        """Mark message ``index`` of the row as running, before the user's code runs."""
        at, words, floats = slot * 6, self.slot_words, self.slot_floats
        words[at + 1] = index
        floats[at + 2] = started
        floats[at + 3] = deadline
        words[at] = row + 1  # last: from here on the slot is valid
        words[at + 4] += 1
        self.bytes[self._rows_at + row * _ROW + _STATES + index] = RUNNING

    def share(self, slot: int) -> None:
        """The messages that were started in this slot run together: none of them is named by it."""
        self.slot_words[slot * 6 + 1] = TOGETHER

    def unlimit(self, slot: int) -> None:
        """The user's code in the slot has ended: the rest of the attempt has no deadline."""
        self.slot_floats[slot * 6 + 3] = 0.0

    def finish(self, slot: int, state: int | None) -> None:
        """The message in the slot has ended: ``OK``, or None where its state is written already or not ours any more."""
        at, words = slot * 6, self.slot_words
        if state is not None:
            self.bytes[self._rows_at + (words[at] - 1) * _ROW + _STATES + words[at + 1]] = state
        words[at] = 0

    def mark(self, row: int, index: int, state: int) -> None:
        """Set the state of one message."""
        self.bytes[self._rows_at + row * _ROW + _STATES + index] = state

    def running(self) -> list[Running]:
        """The slots at work."""
        words, floats = self.slot_words, self.slot_floats
        return [
            Running(at // 6, row - 1, words[at + 1], floats[at + 2], floats[at + 3])
            for at in range(0, self.concurrency * 6, 6)
            if (row := words[at])
        ]

    # ---- rows ----------------------------------------------------------------------------------------------

    def is_running(self, row: int, index: int) -> bool:
        """Whether this message of an open row has begun and has not ended; also one of several that run together."""
        return 0 <= row < self.row_count and index < self._count(row) and self.states(row)[index] == RUNNING

    def states_at(self, row: int) -> int:
        """Where the states of a row begin in `bytes`."""
        return self._rows_at + row * _ROW + _STATES

    def states(self, row: int) -> memoryview:
        """The states of an open row, to read and to write."""
        at = self.states_at(row)
        return self.bytes[at : at + self._count(row)]

    def _count(self, row: int) -> int:
        return self._row_words[(row * _ROW + _TICKET) // 4 + 1]

    def row(self, row: int) -> Row | None:
        """An open row; None for a closed one."""
        count = self._count(row)
        if not count:
            return None
        at = self._rows_at + row * _ROW
        ticket = bytes(self.bytes[at : at + _TICKET]).rstrip(b"\0").decode("ascii")
        return Row(ticket, self._row_words[(row * _ROW + _TICKET) // 4], count)

    def open_row(self, row: int, ticket: str, base: int, count: int) -> None:
        """By the agent, before it deals: ``count`` messages of a ticket from offset ``base`` on, none of them
        started."""
        name = ticket.encode("ascii")
        if len(name) > _TICKET or not 0 < count <= ROW_STATES:
            raise ValueError(f"does not fit a row: {ticket} {count}")
        at, word = self._rows_at + row * _ROW, (row * _ROW + _TICKET) // 4
        self._row_words[word + 1] = 0
        states_at = self.states_at(row)
        self.bytes[states_at : states_at + count] = bytes(count)
        self.bytes[at : at + _TICKET] = name.ljust(_TICKET, b"\0")
        self._row_words[word] = base
        self._row_words[word + 1] = count  # last: one aligned word decides whether the row is open

    def close_row(self, row: int) -> None:
        """By the agent, when the stored ledger has every outcome of the row."""
        self._row_words[(row * _ROW + _TICKET) // 4 + 1] = 0

    def rows(self) -> list[int]:
        """The open rows."""
        return [row for row in range(self.row_count) if self._count(row)]
