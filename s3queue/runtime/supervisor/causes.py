"""Causes of death of a child."""

from __future__ import annotations

import contextlib
import os
import signal
from pathlib import Path

from s3queue.io.clock import clock
from s3queue.runtime.local.cgroup import folders

#: Seconds after a counted out-of-memory kill within which a SIGKILL of unknown origin is attributed to it.
BLAME_S = 3.0
#: Exit status of a child that another part of the program has reaped: the real one is lost.
UNKNOWN = 256


def death(who: str, status: int, *, out_of_memory: bool) -> tuple[str, str]:
    """Cause (as in `s3queue.core.records.Failure`) and text for a child that we did not kill.

    Args:
        who: name and process, for people.
        status: as `multiprocess` has it: negative for a signal; or `UNKNOWN`.
        out_of_memory: whether the kernel has just killed a process for lack of memory.
    """
    if status == UNKNOWN:
        return "exited", f"{who} ended; its exit status was taken by another part of this program"
    if status >= 0:
        return "exited", f"{who} exited with status {status}"
    try:
        name = signal.Signals(-status).name
    except ValueError:
        name = f"signal {-status}"
    if out_of_memory and name == "SIGKILL":
        return "oom", f"{who} was killed by the kernel: out of memory"
    return "killed", f"{who} was killed by {name}"


class MemoryKills:
    """Whether the kernel has just killed a process for lack of memory, in our control group or, if that cannot be read,
    on this machine. The kernel counts kills without names, so a death is attributed to it if the count rose at that time.

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
    names = ("memory.events", "memory.oom_control")
    files = [folder / name for folder in folders("memory")[:1] for name in names]
    return next((file for file in (*files, Path("/proc/vmstat")) if os.access(file, os.R_OK)), None)
