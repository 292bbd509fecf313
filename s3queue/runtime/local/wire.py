"""Notes between agent, workers and supervisor: small tagged records, MessagePack, length-prefixed.

Agent and worker talk over a stream socket that the worker opens (`RUNDIR/agent.sock`). Supervisor and children talk over
a `multiprocess` pipe, one per child, with the same records.
"""

from __future__ import annotations

import struct
from typing import TypeAlias

import msgspec
from msgspec import Struct

from s3queue.core.records import Failed, Memo, Part

#: Exit status of an agent whose session was fenced. The supervisor kills the workers, since other hosts may run their
#: messages by now, and starts a new session.
FENCED = 75
#: Exit status of a worker whose agent or supervisor is gone.
ORPHANED = 76
#: Exit status of a child whose import of the program's main module came to the call that had started it.
UNGUARDED = 77


class Hello(Struct, frozen=True, tag=True, array_like=True):
    """Worker → agent, first: which worker this is."""

    worker: int
    pid: int


class Deal(Struct, frozen=True, tag=True, array_like=True):
    """Agent → worker: run these messages and write their states to journal row ``row``, from state 0 on. ``spared``: how
    many of the attempts so far do not count towards `max_attempts`; only where the deal is of one message. ``memos``: by
    index, what earlier attempts have noted. ``begun``: it must not expire. ``alone``: nothing else runs there until it
    has ended."""

    row: int
    ticket: str
    queue: str
    parts: tuple[Part, ...]
    spared: int = 0
    memos: dict[int, Memo] = {}
    begun: bool = False
    alone: bool = False


class Recall(Struct, frozen=True, tag=True, array_like=True):
    """Agent → worker: give back what you have not started. Answered by one `Returned`."""


class Trust(Struct, frozen=True, tag=True, array_like=True):
    """Agent → worker: the trust window in the journal was extended; look again."""


class Cancel(Struct, frozen=True, tag=True, array_like=True):
    """Agent → worker: this session was fenced. Cancel all that runs, drop all that waits, report nothing."""


class Interrupt(Struct, frozen=True, tag=True, array_like=True):
    """Agent → worker: these messages of row ``row`` are cancelled; tell those that run. What had not begun was asked for by
    a `Recall` before."""

    row: int
    messages: tuple[int, ...]


class Halted(Struct, frozen=True, tag=True, array_like=True):
    """Agent → worker: these tasks are paused, by queue, and no others: give back their messages that have not begun, as
    failed with `s3queue.core.halts.give_back`."""

    tasks: dict[str, tuple[str, ...]]


class Stop(Struct, frozen=True, tag=True, array_like=True):
    """Agent → worker: end with exit status 0. Nothing is running or waiting there."""


class FailedNote(Struct, frozen=True, tag=True, array_like=True):
    """Worker → agent: message ``index`` of row ``row`` did not end with ok. Sent before its state is written; a worker
    that dies in between leaves it ``READY`` or ``RUNNING``, and the note counts."""

    row: int
    index: int
    outcome: Failed


class Noted(Struct, frozen=True, tag=True, array_like=True):
    """Worker → agent: running message ``index`` of row ``row`` has noted this. The last note counts."""

    row: int
    index: int
    memo: Memo


class Finished(Struct, frozen=True, tag=True, array_like=True):
    """Worker → agent: every message of the row has ended.

    Attributes:
        busy_s: slot time that they took together, in seconds, with what slots waited for their sources: what a host can
            do is measured by it.
        run_s: the part of it that was spent in tasks: what a worker is dealt at once is measured by it, since sources are
            read ahead.
    """

    row: int
    busy_s: float
    run_s: float = 0.0


class Unreadable(Struct, frozen=True, tag=True, array_like=True):
    """Worker → agent: this source could not be read ``tries`` times in a row; ``next_s`` is how long its messages wait
    now.
    For people: the messages themselves come as `FailedNote`, kind ``snooze``, cause ``unreadable``."""

    source: str
    why: str
    tries: int
    next_s: float


class Returned(Struct, frozen=True, tag=True, array_like=True):
    """Worker → agent: these (row, index) were not started and will not be."""

    messages: tuple[tuple[int, int], ...]


class Leaving(Struct, frozen=True, tag=True, array_like=True):
    """Worker → agent: deal me no more (``why``: recycled for age or memory); `Stop` me when my rows have ended."""

    why: str


class Started(Struct, frozen=True, tag=True, array_like=True):
    """Child → supervisor: it is up and serving."""


class Waiting(Struct, frozen=True, tag=True, array_like=True):
    """Agent → supervisor: the store does not answer, and it is waited for; `Started` follows when it does."""


class CannotStart(Struct, frozen=True, tag=True, array_like=True):
    """Child → supervisor: it never will be, for this class of `s3queue.errors` with these arguments. The child exits."""

    error: str
    args: tuple[str, ...]


class Died(Struct, frozen=True, tag=True, array_like=True):
    """Supervisor → agent: the process ``pid`` of this worker was reaped. ``cause`` as in `Failure.cause`; ``text`` for
    people. ``overran``: where it was killed for a time limit, the (row, index) of the messages that were over theirs."""

    worker: int
    pid: int
    cause: str
    text: str
    overran: tuple[tuple[int, int], ...] = ()


class Read(Struct, frozen=True, tag=True, array_like=True):
    """Agent → supervisor: the journal of the dead worker was read; it may be replaced."""

    worker: int


class Drain(Struct, frozen=True, tag=True, array_like=True):
    """Supervisor → agent: stop taking, finish what runs, release the rest, stop the workers, leave."""


class Empty(Struct, frozen=True, tag=True, array_like=True):
    """Agent → supervisor: the served queues hold no message (only asked for with ``until_empty``)."""


class EndWorker(Struct, frozen=True, tag=True, array_like=True):
    """Agent → supervisor: end the process of this worker, if one of these (row, index) still runs there: they are
    cancelled, and did not end in time."""

    worker: int
    messages: tuple[tuple[int, int], ...]


class Left(Struct, frozen=True, tag=True, array_like=True):
    """Agent → supervisor: the ledger says ``left``; the agent exits with status 0 now. ``settled``: by queue, how many
    messages were done and died under this agent."""

    settled: dict[str, tuple[int, int]] = {}


Note: TypeAlias = (
    Hello
    | Deal
    | Recall
    | Trust
    | Cancel
    | Interrupt
    | Halted
    | Stop
    | FailedNote
    | Noted
    | Finished
    | Unreadable
    | Returned
    | Leaving
    | Started
    | Waiting
    | CannotStart
    | Died
    | Read
    | Drain
    | Empty
    | EndWorker
    | Left
)

_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(Note).decode
_LENGTH = struct.Struct("<I")


def pack(note: Note) -> bytes:
    return _encode(note)


def unpack(body: bytes) -> Note:
    note: Note = _decode(body)
    return note


def frame(note: Note) -> bytes:
    """For a stream: four bytes of length (little-endian), then the note."""
    body = _encode(note)
    return _LENGTH.pack(len(body)) + body


class Deframer:
    """Cuts a stream into notes."""

    def __init__(self) -> None:
        self._rest = bytearray()

    def feed(self, data: bytes) -> list[Note]:
        """The notes that are complete with this data."""
        rest = self._rest
        rest += data
        notes: list[Note] = []
        at = 0
        while len(rest) - at >= 4:
            (length,) = _LENGTH.unpack_from(rest, at)
            if len(rest) - at - 4 < length:
                break
            notes.append(_decode(bytes(rest[at + 4 : at + 4 + length])))
            at += 4 + length
        del rest[:at]
        return notes
