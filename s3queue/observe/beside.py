"""Calls functions of the user in a separate thread, so that none of them delays the process that sends an event.

The calls of one `Beside` are made one after the other, in order. Calls beyond the bound are dropped. The thread begins
with the first call, also in a forked process; calls that wait in the parent stay there.
"""

from __future__ import annotations

import atexit
import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from queue import Empty, SimpleQueue
from typing import TypeAlias
from weakref import WeakSet

__all__ = ["Beside", "quiet"]

#: Calls that wait for the thread, at most: some megabytes of events.
MOST_WAITING = 10_000
#: Seconds that the end of a process waits for calls: well within what `docker stop` leaves after a drain.
LAST_CALLS_S = 2.0

#: Calls for the thread; None: it ends.
_Calls: TypeAlias = "SimpleQueue[Callable[[], object] | None]"


class Beside:
    """A thread that makes calls.

    Args:
        most: calls that may wait.
    """

    def __init__(self, most: int = MOST_WAITING) -> None:
        self._most = most
        self.forget()
        _every.add(self)

    def forget(self) -> None:
        """Begin without a thread and without calls: for a forked process, in which threads that hold locks do not
        exist."""
        #: Reentrant: a signal handler may emit an event, too.
        self._lock = threading.RLock()
        #: Held by the thread while it makes a call.
        self._calling = threading.Lock()
        self._calls: _Calls | None = None
        self._thread: threading.Thread | None = None

    def post(self, call: Callable[[], object]) -> bool:
        """Let the thread make this call. False: it is dropped, since too many wait, or no thread can be started.

        Never waits. Exceptions that the call raises are lost.
        """
        with self._lock:
            calls = self._calls or self._begin()
            if calls is None or calls.qsize() >= self._most:
                return False
            calls.put(call)
            return True

    def _begin(self) -> _Calls | None:
        calls: _Calls = SimpleQueue()
        thread = threading.Thread(target=_run, args=(calls, self._calling), name="s3queue-subscribers", daemon=True)
        try:
            thread.start()
        except RuntimeError:  # the system has none, or the interpreter ends
            return None
        self._calls, self._thread = calls, thread
        return calls

    def finish(self, timeout_s: float = LAST_CALLS_S) -> int:
        """Make the waiting calls, and end the thread. Returns the number of calls that were dropped for lack of time,
        without the one that is still under way: that continues until its process ends.
        """
        with self._lock:
            calls, thread, self._calls, self._thread = self._calls, self._thread, None, None
        if calls is None or thread is None:
            return 0
        calls.put(None)
        if thread is threading.current_thread():
            return 0
        thread.join(timeout_s)
        dropped = 0
        if thread.is_alive():
            try:
                while True:
                    dropped += calls.get_nowait() is not None
            except Empty:
                calls.put(None)
        return dropped

    @contextmanager
    def quiet(self, timeout_s: float) -> Iterator[None]:
        """Run a block while no call is under way, unless one takes longer than this."""
        calling = self._calling if self._thread is not None else None
        held = calling is not None and calling.acquire(timeout=max(0.0, timeout_s))
        try:
            yield
        finally:
            if calling is not None and held:
                calling.release()


def _run(calls: _Calls, calling: threading.Lock) -> None:
    while (call := calls.get()) is not None:
        with calling, suppress(BaseException):  # else nobody would make the next
            call()


@contextmanager
def quiet(timeout_s: float) -> Iterator[None]:
    """Run a block while no call is under way. For a fork: the child would inherit the locks that a call holds."""
    until = time.monotonic() + timeout_s
    with ExitStack() as stack:
        for one in list(_every):
            stack.enter_context(one.quiet(until - time.monotonic()))
        yield


_every: WeakSet[Beside] = WeakSet()


def _forget_all() -> None:
    for one in list(_every):
        one.forget()


def _finish_all() -> None:
    until = time.monotonic() + LAST_CALLS_S
    for one in list(_every):
        one.finish(max(0.0, until - time.monotonic()))


os.register_at_fork(after_in_child=_forget_all)
atexit.register(_finish_all)
