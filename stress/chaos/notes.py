"""The records of parties: one JSON line per event, in one write, each process in a file of its own."""

from __future__ import annotations

import contextlib
import mmap
import os
import struct
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
from msgspec import Struct

_encode = msgspec.json.Encoder().encode
_KINDS = ("put", "get", "list", "delete")
_COUNTS = struct.Struct("<4Q")


class Note(Struct, frozen=True, tag_field="note", tag=True):
    """One line of somebody's account."""


class Start(Note, frozen=True):
    """A task was started.

    Attributes:
        at: seconds by `s3queue.io.clock.clock`.
        party: name of the host, with the number of its life: ``a.1``.
        pid: of the worker, as the whole machine sees it; local_pid: as its own process space does.
        call: the same for all messages of one call of a task that takes several; else empty.
        slot: of the worker, which runs one call at a time.
    """

    at: float
    party: str
    pid: int
    local_pid: int
    session: str
    message: str
    number: int
    attempt: int
    token: int
    call: str = ""
    slot: int = 0


class End(Note, frozen=True):
    """A run that this process has started is about to end, so.

    Attributes:
        how: ``ok``, or what it asks for: ``retry``, ``error``, ``snooze``, ``reject``, ``poison`` (its process dies now).
    """

    at: float
    how: str
    message: str
    token: int


class Beat(Note, frozen=True):
    """A tick of a schedule has run."""

    at: float
    message: str
    tick_ms: int


class Claimed(Note, frozen=True):
    """A ledger was sent that claims tickets which the one stored before did not.

    Attributes:
        stored: whether that was answered; if it was not, a read may have shown it since.
    """

    at: float
    party: str
    local_pid: int
    session: str
    claims: tuple[str, ...]
    stored: bool


class Flushed(Note, frozen=True):
    """A ledger of this session was stored. ``at``: when it was sent; what it says is from before."""

    at: float
    session: str


class Ending(Note, frozen=True):
    """Somebody is about to end a session that is not its own: a coordinator (``fence``), or the next agent of the same
    host, which knows what the dead one left (``bequest``).

    Attributes:
        outcome: empty before the request is sent; then ``stored``, ``conflict``, ``unknown``, ``unavailable``.
    """

    at: float
    party: str
    session: str
    how: str
    outcome: str


class Ruled(Note, frozen=True):
    """A board is about to be stored, or was."""

    at: float
    party: str
    epoch: int
    turn: int
    nonce: str
    outcome: str
    settled: int


class Assigned(Note, frozen=True):
    """A board is about to be stored with tickets that none before it had, of queues that show something.

    Attributes:
        turn, nonce: of that board.
        tickets: by ticket, its parts: source, first message, end, attempt.
    """

    at: float
    turn: int
    nonce: str
    tickets: dict[str, list[tuple[str, int, int, int]]]


class Uncertain(Note, frozen=True):
    """A producer heard no answer; these messages may exist. ``began``: when it began to send them."""

    at: float
    ids: tuple[str, ...]
    numbers: tuple[int, ...]
    began: float = 0.0


class Sent(Note, frozen=True):
    """A producer was answered: these messages exist. ``began``: when it began to send them."""

    at: float
    ids: tuple[str, ...]
    numbers: tuple[int, ...]
    began: float = 0.0


class Done(Note, frozen=True):
    """Something was done to a party.

    Attributes:
        kind: of the fault. pids: those that were killed or stopped. begins: False where it is put right again.
    """

    at: float
    kind: str
    what: str
    party: str = ""
    pids: tuple[int, ...] = ()
    begins: bool = True


class Asked(Note, frozen=True):
    """An operator is about to ask for something: ``cancel`` of a message, ``cancel_many``, ``pause``, ``resume`` or
    ``purge`` of a queue, ``redrive`` or ``purge_letters`` of its dead letters."""

    at: float
    kind: str
    queue: str
    ids: tuple[str, ...] = ()


class Answered(Note, frozen=True):
    """An operator was told what came of that. ``asked_at``: when it began to ask."""

    at: float
    asked_at: float
    kind: str
    queue: str
    ids: tuple[str, ...]
    answer: str


class Notebook:
    """Appends records to one file per process. May be made before a fork and used on both sides."""

    def __init__(self, directory: Path, name: str) -> None:
        self._directory, self._name = directory, name
        self._pid = self._fd = -1

    def write(self, record: Note) -> None:
        os.write(self._file(), _encode(record) + b"\n")

    def _file(self) -> int:
        if self._pid != os.getpid():
            self._directory.mkdir(parents=True, exist_ok=True)
            path = self._directory / f"{self._name}-{os.getpid()}.jsonl"
            self._fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o644)
            self._pid = os.getpid()
        return self._fd


class Bell:
    """A pipe with a name, on which parties tell that something happened. Ringing never waits and never fails."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._pid = self._fd = -1

    def ring(self, what: bytes) -> None:
        if self._pid != os.getpid():
            try:
                self._fd = os.open(self._path, os.O_WRONLY | os.O_NONBLOCK | os.O_CLOEXEC)
            except OSError:
                return
            self._pid = os.getpid()
        with contextlib.suppress(OSError):
            os.write(self._fd, what)


class Counter:
    """Requests of each process, in a file that outlives it."""

    def __init__(self, directory: Path, name: str) -> None:
        self._directory, self._name = directory, name
        self._pid = -1
        self._lock = threading.Lock()
        self._words: Any = None

    def count(self, kind: int) -> None:
        if self._pid != os.getpid():
            self._lock = threading.Lock()  # another thread may have held it when this process was forked
        with self._lock:
            if self._pid != os.getpid():
                self._words = self._map()
                self._pid = os.getpid()
            self._words[kind] += 1

    def _map(self) -> Any:
        self._directory.mkdir(parents=True, exist_ok=True)
        with open(self._directory / f"{self._name}-{os.getpid()}.requests", "w+b") as file:
            file.write(bytes(_COUNTS.size))
            file.flush()
            return memoryview(mmap.mmap(file.fileno(), _COUNTS.size)).cast("Q")


def requests(directory: Path) -> dict[str, int]:
    """The sum of what all processes have counted."""
    totals = dict.fromkeys(_KINDS, 0)
    for file in directory.rglob("*.requests"):
        counts = file.read_bytes()
        if len(counts) == _COUNTS.size:  # else its process was killed before it counted anything
            for kind, count in zip(_KINDS, _COUNTS.unpack(counts), strict=True):
                totals[kind] += count
    return totals


def lines(file: Path) -> Iterator[bytes]:
    """Complete lines: the last one of a process that was killed while it wrote is no line."""
    data = file.read_bytes()
    yield from data[: data.rfind(b"\n") + 1].splitlines()


_decode = msgspec.json.Decoder(
    Start | End | Beat | Claimed | Flushed | Ending | Ruled | Assigned | Uncertain | Sent | Done | Asked | Answered
).decode


def read(file: Path) -> Iterator[Note]:
    yield from read_on(file, 0)[0]


def read_on(file: Path, after: int) -> tuple[list[Note], int]:
    """The records of a growing file behind an offset, and the offset behind them."""
    with file.open("rb") as growing:
        growing.seek(after)
        data = growing.read()
    end = data.rfind(b"\n") + 1
    return [_decode(line) for line in data[:end].splitlines()], after + end
