"""The measured tasks, and the stamps by which a parent process sees them run.

Each thread that runs a task owns one small file, mapped into memory: how many messages it ran, when the first began and
the last ended, by CLOCK_MONOTONIC, which all processes of a machine share. A stamp costs about 0.3 µs, the same for
every compared queue, and no request.
"""

from __future__ import annotations

import mmap
import os
import threading
import time
from itertools import count
from pathlib import Path
from typing import NamedTuple

#: Names the directory of the stamps, for processes that are started.
STAMPS = "S3STRESS_STAMPS"
#: Marks for the latency mode: more samples than anybody waits for.
MARKS = 100_000

_mine = threading.local()
#: A thread's own number is given to another one when it has ended.
_numbers = count()


def _own_stamp() -> memoryview[float]:
    path = Path(os.environ[STAMPS]) / f"{os.getpid()}-{next(_numbers)}.stamp"
    path.write_bytes(bytes(32))
    stamp = _map(path).cast("d")
    _mine.stamp, _mine.pid = stamp, os.getpid()
    stamp[1] = time.monotonic()
    return stamp


def _map(path: Path) -> memoryview[int]:
    with path.open("r+b") as file:
        return memoryview(mmap.mmap(file.fileno(), 0))


def stamp(task_s: float = 0.0) -> None:
    """The body of every measured task: sleep for ``task_s`` seconds, and count the message."""
    try:
        mine = _mine.stamp
    except AttributeError:
        mine = _own_stamp()
    if task_s:
        time.sleep(task_s)
    mine[0] += 1.0
    mine[2] = time.monotonic()


class Ran(NamedTuple):
    """The sum of all stamps: number of messages, first start, last end, processes."""

    many: int
    first: float
    last: float
    pids: frozenset[int]


class Stamps:
    """Reads the stamps."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._seen: dict[str, memoryview[float]] = {}

    def read(self) -> Ran:
        for entry in os.scandir(self.folder):
            if entry.name.endswith(".stamp") and entry.name not in self._seen and entry.stat().st_size == 32:
                self._seen[entry.name] = _map(Path(entry.path)).cast("d")
        rows = [row for row in self._seen.values() if row[1]]
        if not rows:
            return Ran(0, 0.0, 0.0, frozenset())
        pids = frozenset(int(name.partition("-")[0]) for name in self._seen)
        return Ran(int(sum(row[0] for row in rows)), min(row[1] for row in rows), max(row[2] for row in rows), pids)


class Marks:
    """One start time for each numbered message, written by the process that runs it."""

    def __init__(self, folder: Path, *, create: bool = False) -> None:
        path = folder / "marks"
        if create:
            path.write_bytes(bytes(8 * MARKS))
        self._times = _map(path).cast("d")

    def set(self, number: int) -> None:
        self._times[number] = time.monotonic()

    def get(self, number: int) -> float:
        """The start time; 0.0: it has not started."""
        return float(self._times[number])


_marks: Marks | None = None


def mark(number: int) -> None:
    global _marks
    if _marks is None:
        _marks = Marks(Path(os.environ[STAMPS]))
    _marks.set(number)


def note_start(number: int, what: str) -> None:
    """One line, in one write."""
    path = os.path.join(os.environ[STAMPS], "starts")
    fd = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC)
    try:
        os.write(fd, f"{number} {os.getpid()} {time.monotonic():.6f} {what}\n".encode())
    finally:
        os.close(fd)
