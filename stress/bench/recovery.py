"""The time until the message of a killed worker runs again, and whether anything was lost or run twice.

Four workers are busy with tasks of 50 ms; one is killed with SIGKILL in the middle of a message. Measured are the
seconds from the kill to the next start of that message, in another process, and to the time at which four workers run
again. The task records every start itself, in one line, by its own process.
"""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections import Counter
from pathlib import Path
from typing import Any, NamedTuple

from stress.bench.host import held
from stress.bench.measure import Bench, wait_for

MESSAGES = 200
TASK_S = 0.05


class Start(NamedTuple):
    number: int
    pid: int
    at: float
    ended: bool


def _read(folder: Path) -> list[Start]:
    starts: list[Start] = []
    with contextlib.suppress(FileNotFoundError):
        for line in (folder / "starts").read_text().splitlines():
            number, pid, at, ended = line.split()
            starts.append(Start(int(number), int(pid), float(at), ended == "end"))
    return starts


def recovery(bench: Bench) -> dict[str, float]:
    """The figures after one killed worker: seconds, and numbers of messages."""
    bench.queue.send("held", [held.encode((number, TASK_S), {}) for number in range(MESSAGES)])
    folder, workers = bench.folder, bench.setting.workers
    with bench.host(until_empty=False) as process:
        # Everybody has run something, and a fair part is done.
        wait_for(lambda: len({one.pid for one in _read(folder)}) >= workers, process, 0.01)
        wait_for(lambda: sum(one.ended for one in _read(folder)) >= MESSAGES // 8, process, 0.01)
        victim = _in_the_middle(folder, process)
        os.kill(victim.pid, signal.SIGKILL)
        killed_at = time.monotonic()

        def again() -> list[Start]:
            return [
                one for one in _read(folder) if one.number == victim.number and one.at > killed_at and not one.ended
            ]

        wait_for(lambda: bool(again()), process, 0.001)
        known = {one.pid for one in _read(folder) if one.at < killed_at}

        def full() -> list[Start]:
            return [one for one in _read(folder) if one.pid not in known]

        wait_for(lambda: bool(full()) or _over(folder), process, 0.001)
        wait_for(lambda: bench.committed() >= MESSAGES, process, 0.02)
        replaced = full()
    ends = Counter(one.number for one in _read(folder) if one.ended)
    return {
        "again_s": again()[0].at - killed_at,
        "replaced_s": replaced[0].at - killed_at if replaced else 0.0,
        "lost": float(MESSAGES - len(ends)),
        "twice": float(sum(many - 1 for many in ends.values())),
    }


def _over(folder: Path) -> bool:
    return len({one.number for one in _read(folder) if one.ended}) >= MESSAGES


def _in_the_middle(folder: Path, process: Any) -> Start:
    """A start whose end is not written yet: its process is running it."""
    while True:
        lines = _read(folder)
        ended = {(one.number, one.pid) for one in lines if one.ended}
        for one in reversed(lines):
            if not one.ended and (one.number, one.pid) not in ended and time.monotonic() - one.at < TASK_S / 4:
                return one
        time.sleep(0.001)
