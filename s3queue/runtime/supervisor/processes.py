"""The process classes of `multiprocess` without two of their faults.

- A child that another part of the program has waited for (a SIGCHLD handler that reaps everything) never seems to end.
- A fork that fails leaves four descriptors open.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable
from typing import Any

from multiprocess import context, popen_fork, popen_spawn_posix, process, util

from s3queue.runtime.child import is_child
from s3queue.runtime.local.wire import UNGUARDED
from s3queue.runtime.supervisor.causes import UNKNOWN

__all__ = ["end_if_imported", "process_class"]


class _Noticed:
    """A `Popen` that notices its end even if another part of the program has reaped it."""

    pid: int
    returncode: int | None

    def poll(self, flag: int = os.WNOHANG) -> int | None:
        if self.returncode is None:
            try:
                pid, status = os.waitpid(self.pid, flag)
            except ChildProcessError:
                self.returncode = UNKNOWN
            else:
                if pid == self.pid:
                    self.returncode = os.waitstatus_to_exitcode(status)
        return self.returncode


class _Forked(_Noticed, popen_fork.Popen):  # type: ignore[misc]
    def _launch(self, process_obj: Any) -> None:
        with contextlib.ExitStack() as undo:
            ours, theirs_to_hold = _pipe(undo)
            theirs, ours_to_hold = _pipe(undo)
            self.pid = os.fork()
            if self.pid == 0:
                code = 1
                try:
                    os.close(ours)
                    os.close(ours_to_hold)
                    code = process_obj._bootstrap(parent_sentinel=theirs)
                finally:
                    os._exit(code)
            undo.pop_all()
        os.close(theirs)
        os.close(theirs_to_hold)
        self.sentinel = ours
        self.finalizer = util.Finalize(self, util.close_fds, (ours, ours_to_hold))


def _pipe(undo: contextlib.ExitStack) -> tuple[int, int]:
    ends = os.pipe()
    for fd in ends:
        undo.callback(os.close, fd)
    return ends


class _Spawned(_Noticed, popen_spawn_posix.Popen):  # type: ignore[misc]
    """As above; a failed spawn closes its descriptors."""


class _ForkProcess(context.ForkProcess):  # type: ignore[misc]
    _Popen = staticmethod(_Forked)


class _SpawnProcess(context.SpawnProcess):  # type: ignore[misc]
    _Popen = staticmethod(_Spawned)


def process_class(method: str) -> Callable[..., Any]:
    """By start method. A fork server waits for its children by itself."""
    classes: dict[str, Callable[..., Any]] = {
        "fork": _ForkProcess,
        "spawn": _SpawnProcess,
        "forkserver": context.ForkServerProcess,
    }
    return classes[method]


def end_if_imported() -> None:
    """End this process if it is a child of a supervisor that imports the main module, and has come to the call that runs
    the supervisor: the module lacks its guard, and the parent says so."""
    me = process.current_process()
    if getattr(me, "_inheriting", False) and is_child(me.name):
        os._exit(UNGUARDED)
