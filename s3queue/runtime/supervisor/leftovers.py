"""Kills the programs that a worker leaves behind: those that its tasks have started, and their children.

They end with the worker, so that no two attempts of a message overlap and no program outlives the host. A worker's
programs are found in these ways:

- Every worker leads a session, and what it starts is in it. This holds however a worker ends.
- What was started in a session of its own (``start_new_session=True``, ``setsid``) descends from the worker for as long
  as its parents live, or has the worker's mark in its environment. This counts when a worker was killed or has crashed.
  After a worker that ended normally such a process goes on: it left the session on purpose.

Not found: a program that has left the session, has lost its parents before its worker died, and lacks the environment of
the task; and all programs if the supervisor itself is killed. A control group (a container, a systemd service) ends
those.

All this needs Linux's ``/proc``; elsewhere the worker's process group is killed.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import time
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import NamedTuple

from s3queue.runtime.child import MARK

#: Seconds until a process is gone after SIGKILL, unless it hangs in the kernel.
GONE_S = 2.0

_PROC = Path("/proc")


class Process(NamedTuple):
    """One line of the process table. ``started``: in ticks since boot."""

    pid: int
    state: str
    parent: int
    session: int
    started: int


def look_up(pid: int) -> Process | None:
    try:
        stat = (_PROC / str(pid) / "stat").read_bytes()
    except OSError:
        return None
    # The name, in parentheses, may hold anything.
    fields = stat[stat.rindex(b")") + 2 :].split()
    return Process(pid, fields[0].decode("ascii"), int(fields[1]), int(fields[3]), int(fields[19]))


def table() -> Iterator[Process]:
    """Every process of this machine that can be seen. Empty where ``/proc`` does not speak of us."""
    try:
        if os.readlink(_PROC / "self") != str(os.getpid()):
            return
        pids = [int(name) for name in os.listdir(_PROC) if name.isdigit()]
    except OSError:
        return
    for pid in pids:
        process = look_up(pid)
        if process is not None:
            yield process


class Leftovers:
    """The programs that one worker has started. See the module.

    Args:
        worker: its process.
        mark: what the worker has set ``MARK`` to in its environment.
    """

    def __init__(self, worker: int, mark: str) -> None:
        self._worker = worker
        self._mark = f"{MARK}={mark}".encode()
        me = look_up(worker)
        self._since = me.started if me else 0
        self._held: dict[int, int] = {}

    def hold(self) -> None:
        """Before the worker is killed: remember who descends from it now."""
        children: dict[int, list[int]] = {}
        for process in table():
            children.setdefault(process.parent, []).append(process.pid)
        waiting = [self._worker]
        while waiting:
            for pid in children.get(waiting.pop(), ()):
                if pid not in self._held:
                    with contextlib.suppress(OSError, AttributeError):
                        self._held[pid] = os.pidfd_open(pid)
                    waiting.append(pid)

    def end(self, *, in_session_only: bool) -> bool:
        """After the worker is dead: kill what it has left, until there is nothing. False: something hangs in the
        kernel."""
        deadline = time.monotonic() + GONE_S
        held, self._held = self._held, {}
        gone = self._kill(held, deadline)
        while found := self._found(in_session_only):
            gone = self._kill(found, deadline)
            if time.monotonic() >= deadline:
                return False
        return gone

    def _found(self, in_session_only: bool) -> dict[int, int]:
        found: dict[int, int] = {}
        seen = False
        for process in table():
            seen = True
            if process.pid == self._worker or process.started < self._since or process.state in "ZX":
                continue
            if process.session == self._worker or (not in_session_only and self._is_marked(process.pid)):
                with contextlib.suppress(OSError, AttributeError):
                    found[process.pid] = os.pidfd_open(process.pid)
        if not seen:
            with contextlib.suppress(OSError):
                os.killpg(self._worker, signal.SIGKILL)
        return found

    def _is_marked(self, pid: int) -> bool:
        try:
            return self._mark in (_PROC / str(pid) / "environ").read_bytes().split(b"\0")
        except OSError:
            return False

    @staticmethod
    def _kill(handles: dict[int, int], deadline: float) -> bool:
        """Kill them through descriptors, since a pid may belong to another process by now, and close those. Returns whether
        all are gone."""
        poll = select.poll()
        waiting = set(handles.values())
        for fd in waiting:
            poll.register(fd, select.POLLIN)
            with contextlib.suppress(OSError):
                signal.pidfd_send_signal(fd, signal.SIGKILL)
        while waiting and (left_s := deadline - time.monotonic()) > 0:
            for fd, _ in poll.poll(left_s * 1000):
                poll.unregister(fd)
                waiting.discard(fd)
        for fd in handles.values():
            os.close(fd)
        return not waiting


def reap_orphans(ours: Collection[int]) -> None:
    """As process 1 of a container: reap orphans of the workers' sessions. Processes of our own session belong to the
    program around us."""
    if os.getpid() != 1:
        return
    session = os.getsid(0)
    for process in table():
        if process.parent == 1 and process.state == "Z" and process.session != session and process.pid not in ours:
            with contextlib.suppress(OSError):
                os.waitpid(process.pid, os.WNOHANG)
