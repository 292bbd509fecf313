"""Resources of processes, read from outside while they run: CPU time and resident memory."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

_TICKS = os.sysconf("SC_CLK_TCK")


def cpu_s(pid: int) -> float:
    """CPU time of all threads so far, in seconds; 0 for a process that is gone.

    From ``schedstat``, in nanoseconds, where the kernel has it: a run of 0.1 s is nothing in ticks of 10 ms.
    """
    try:
        threads = list(Path(f"/proc/{pid}/task").iterdir())
        return sum(int((thread / "schedstat").read_text().split()[0]) for thread in threads) / 1e9
    except (OSError, ValueError, IndexError):
        try:
            fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
            return (int(fields[11]) + int(fields[12])) / _TICKS
        except OSError:
            return 0.0


def rss_mib(pid: int) -> float:
    """Resident memory now; pages that are shared with the parent of a fork count in each process."""
    try:
        return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20
    except OSError:
        return 0.0


def children(pid: int) -> list[int]:
    found: list[int] = []
    for thread in Path(f"/proc/{pid}/task").glob("*/children"):
        try:
            found += map(int, thread.read_text().split())
        except OSError:
            continue
    return found


class Usage(NamedTuple):
    """CPU seconds by role."""

    agent: float
    worker: float

    def since(self, before: Usage) -> Usage:
        return Usage(self.agent - before.agent, self.worker - before.worker)


class Host:
    """The processes of one supervisor. The supervisor counts with its agent: both run whatever the tasks do."""

    def __init__(self, supervisor: int, workers: Iterable[int]) -> None:
        self.workers = set(workers)
        self.others = {supervisor, *children(supervisor)} - self.workers
        self.agent = next(iter(self.others - {supervisor}), supervisor)

    def usage(self) -> Usage:
        return Usage(sum(map(cpu_s, self.others)), sum(map(cpu_s, self.workers)))

    def rss(self) -> tuple[float, float]:
        """Resident memory of the agent, and of the largest worker."""
        return rss_mib(self.agent), max(map(rss_mib, self.workers), default=0.0)
