"""The helper processes of `multiprocess`: the fork server, and the tracker of shared resources.

`multiprocess` starts both with the first child that is not forked, and leaves them to the end of the program. A program
that goes on after a supervisor, or that is a test, would keep them.
"""

from __future__ import annotations

import contextlib
import os
import threading
import time
from collections.abc import Iterator

from multiprocess import forkserver, resource_tracker, util

__all__ = ["helpers_end"]

#: Seconds to wait until one has ended. It ends once nobody holds its pipe, which a program that a task left behind may.
_END_S = 2.0
_LOOK_S = 0.005

_lock = threading.Lock()
#: How many are within `helpers_end` in this process.
_within = 0


@contextlib.contextmanager
def helpers_end() -> Iterator[None]:
    """Helpers that are started in here have ended afterwards, once all children have.

    Those that were there before stay, and so do those of others that are still in here. One that a foreign process
    holds is left behind after 2 s, and ends with that.
    """
    global _within
    server, tracker = forkserver._forkserver, resource_tracker._resource_tracker
    with _lock:
        _within += 1
    had_server, had_tracker = server._forkserver_pid is not None, tracker._pid is not None
    try:
        yield
    finally:
        with _lock:
            _within -= 1
            if not _within and not had_server:
                _end_server(server)
            if not _within and not had_tracker:
                _end_tracker(tracker)


def _end_server(server: forkserver.ForkServer) -> None:
    with server._lock:
        pid, address = server._forkserver_pid, server._forkserver_address
        if pid is None:
            return
        os.close(server._forkserver_alive_fd)
        server._forkserver_pid = server._forkserver_alive_fd = server._forkserver_address = None
    _await(pid)
    if not util.is_abstract_socket_namespace(address):
        with contextlib.suppress(OSError):
            os.unlink(address)


def _end_tracker(tracker: resource_tracker.ResourceTracker) -> None:
    with tracker._lock:
        pid = tracker._pid
        if pid is None:
            return
        os.close(tracker._fd)
        tracker._pid = tracker._fd = None
    _await(pid)


def _await(pid: int) -> None:
    """Reap it, if it ends in time."""
    until = time.monotonic() + _END_S
    with contextlib.suppress(ChildProcessError):  # reaped by a handler of the program
        while os.waitpid(pid, os.WNOHANG) == (0, 0) and time.monotonic() < until:
            time.sleep(_LOOK_S)
