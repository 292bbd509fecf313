"""The child processes of a supervisor: how one is started, heard, killed and reaped, and what it died of."""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

from s3queue.runtime.local.child import Sealed, enter, signals_held
from s3queue.runtime.local.clock import clock
from s3queue.runtime.local.life import Life
from s3queue.runtime.local.wire import Note, pack, unpack

#: A child that lived for so long, in seconds, did not die of starting.
GROWN_UP_S = 10.0
#: How long the replacement of a child waits that keeps dying young, in seconds: nothing the first time, then doubling.
_FIRST_WAIT_S, _LONGEST_WAIT_S = 0.1, 30.0
#: A SIGKILL from nobody we know is laid to a kill for memory that was counted in so many seconds before we noticed.
BLAME_S = 3.0
#: So many deaths in a row of one child before it was up, and there is no point in going on.
STILLBIRTHS = 5


class Child:
    """One process and the pipe to it.

    Attributes:
        up: it said `Started`.
        cause, text: why we killed it; empty if we did not.
        overran: for which messages, as in `Died`.
    """

    def __init__(
        self,
        context: Any,
        role: Literal["agent", "worker"],
        name: str,
        fields: dict[str, Any],
        life: Life,
        ours: Sequence[Any],
    ) -> None:
        """Start it.

        Args:
            ours: what a forked child must close: all descriptors that are the supervisor's alone.
        """
        self.name = name
        self.up = False
        self.cause = self.text = ""
        self.overran: tuple[tuple[int, int], ...] = ()
        self.started = clock()
        self.conn, theirs = context.Pipe()
        others = (*ours, self.conn) if context.get_start_method() == "fork" else ()
        self.process = context.Process(target=enter, name=name, args=(role, Sealed(fields), theirs, life, others))
        try:
            with signals_held():
                self.process.start()
        except BaseException:
            self.conn.close()
            raise
        finally:
            theirs.close()
        self.pid: int = self.process.pid
        self._open = True

    def watched(self) -> list[Any]:
        """What becomes readable when there is something to do about it."""
        return [self.process.sentinel, self.conn] if self._open else [self.process.sentinel]

    @property
    def is_dead(self) -> bool:
        """Whether it has ended; it is reaped then. Asks the system each time: what a task has forked may hold the
        sentinel open."""
        return self.process.exitcode is not None

    def hear(self) -> list[Note]:
        notes: list[Note] = []
        try:
            while self._open and self.conn.poll(0):
                notes.append(unpack(self.conn.recv_bytes()))
        except (EOFError, OSError):
            self._open = False
        return notes

    def tell(self, note: Note) -> None:
        with contextlib.suppress(OSError):
            self.conn.send_bytes(pack(note))

    def kill(self, cause: str = "killed", text: str = "", overran: tuple[tuple[int, int], ...] = ()) -> None:
        if not self.cause:
            self.cause, self.text, self.overran = cause, text, overran
        self.process.kill()

    def reap(self) -> None:
        """Wait for its end, and let go of it."""
        self.process.join()
        self.status: int = self.process.exitcode
        self.process.close()
        self.conn.close()
        self._open = False

    @property
    def age_s(self) -> float:
        return clock() - self.started

    def death(self, *, out_of_memory: bool) -> tuple[str, str]:
        """Cause (as in `s3queue.core.records.Failure`) and text, after it was reaped."""
        who = f"{self.name} (process {self.pid})"
        if self.cause:
            return self.cause, f"{who} was killed: {self.text}" if self.text else f"{who} was killed"
        if self.status >= 0:
            return "exited", f"{who} exited with status {self.status}"
        try:
            name = signal.Signals(-self.status).name
        except ValueError:
            name = f"signal {-self.status}"
        if out_of_memory and name == "SIGKILL":
            return "oom", f"{who} was killed by the kernel, which was out of memory"
        return "killed", f"{who} was killed by {name}"


class Patience:
    """When a child that died may be replaced, and when to give up."""

    def __init__(self) -> None:
        self._young = 0
        self.stillborn = 0

    def is_up(self) -> None:
        self.stillborn = 0

    def died(self, child: Child, *, blameless: bool) -> float:
        """Seconds to wait with the next one. ``blameless``: it ended because we or it wanted that."""
        if not child.up:
            self.stillborn += 1
        if blameless or child.age_s >= GROWN_UP_S:
            self._young = 0
            return 0.0
        self._young += 1
        # 2**9 tenths of a second are beyond the longest wait.
        return 0.0 if self._young == 1 else min(_LONGEST_WAIT_S, _FIRST_WAIT_S * 2.0 ** min(self._young - 1, 9))


class MemoryKills:
    """Whether the kernel has just killed for want of memory, in our control group or, where that cannot be read, on this
    machine. It counts its victims and does not name them, so a death is laid to it only if the count rose about then.

    Args:
        file: with a line ``oom_kill {count}``; None where there is none.
    """

    def __init__(self, file: Path | None) -> None:
        self._file = file
        self._count = self._read()
        self._rose = float("-inf")

    def look(self) -> None:
        """Often enough that an old rise is not taken for a new one."""
        count = self._read()
        if count > self._count:
            self._rose = clock()
        self._count = count

    def just_rose(self) -> bool:
        self.look()
        return clock() - self._rose < BLAME_S

    def _read(self) -> int:
        if self._file is not None:
            with contextlib.suppress(OSError, ValueError):
                for line in self._file.read_text("ascii").splitlines():
                    name, _, value = line.partition(" ")
                    if name == "oom_kill":
                        return int(value)
        return 0


def memory_kill_counter() -> Path | None:
    """The file of the kernel that counts them, or None."""
    with contextlib.suppress(OSError):
        for line in Path("/proc/self/cgroup").read_text("utf-8").splitlines():
            number, controllers, path = line.split(":", 2)
            if number == "0":
                file = Path("/sys/fs/cgroup") / path.lstrip("/") / "memory.events"
            elif "memory" in controllers.split(","):
                file = Path("/sys/fs/cgroup/memory") / path.lstrip("/") / "memory.oom_control"
            else:
                continue
            if os.access(file, os.R_OK):
                return file
    machine_wide = Path("/proc/vmstat")
    return machine_wide if os.access(machine_wide, os.R_OK) else None
