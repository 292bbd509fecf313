"""Requests to end a supervisor: SIGTERM, SIGINT or `Supervisor.stop`. The first one drains, a second one ends at once."""

from __future__ import annotations

import contextlib
import signal
import socket
import threading
from collections.abc import Iterator

from s3queue.runtime.child import GROUP_SIGNALS

#: Seconds within which all requests count as one: a terminal, a wrapper that forwards signals and a service manager may
#: each send one.
ONE_WISH_S = 1.0
#: What is read for each: the number of the signal, or 0 for `stop`.
_ENDING = {0, *GROUP_SIGNALS}


class Wishes:
    """A socket to which signal handlers write, and a count of the requests to end."""

    def __init__(self) -> None:
        self.bell, self._hammer = socket.socketpair()
        self.bell.setblocking(False)
        self._hammer.setblocking(False)
        self.begin()

    def begin(self) -> None:
        """Reset: no request so far."""
        self._count = 0
        self._since = float("-inf")
        self.last = 0

    def stop(self) -> None:
        """Request the end from the program itself. For other threads and signal handlers."""
        with contextlib.suppress(BlockingIOError):
            self._hammer.send(b"\0")

    def count(self, now: float) -> int:
        """Number of requests so far. Other signals that the program handles arrive here, too, and do not count."""
        with contextlib.suppress(BlockingIOError):
            while heard := self.bell.recv(64):
                for number in heard:
                    if number in _ENDING:
                        self.last = number
                        self._heard(now)
        return self._count

    def _heard(self, now: float) -> None:
        if now - self._since >= ONE_WISH_S:
            self._count += 1
            self._since = now

    @property
    def why(self) -> str:
        """The last request, for people."""
        return signal.Signals(self.last).name if self.last else "stop()"

    def descriptors(self) -> list[socket.socket]:
        """Sockets that a forked child must close."""
        return [self.bell, self._hammer]

    @contextlib.contextmanager
    def of_signals(self) -> Iterator[None]:
        """Count SIGTERM and SIGINT as requests, and disable their default effect. Only in the main thread."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        handlers = {number: signal.signal(number, _note_it) for number in GROUP_SIGNALS}
        # Some programs undo Python's own set-up: a pipe to a child that just died must not kill this process, and with
        # SIGCHLD ignored the exit status of children would be lost.
        handlers[signal.SIGPIPE] = signal.signal(signal.SIGPIPE, signal.SIG_IGN)
        if signal.getsignal(signal.SIGCHLD) == signal.SIG_IGN:
            handlers[signal.SIGCHLD] = signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        wake_up = signal.set_wakeup_fd(self._hammer.fileno(), warn_on_full_buffer=False)
        try:
            yield
        finally:
            signal.set_wakeup_fd(wake_up)
            for number, handler in handlers.items():
                if handler is not None:  # None: it was not set by Python, and cannot be set back by it
                    signal.signal(number, handler)

    def close(self) -> None:
        self.bell.close()
        self._hammer.close()


def _note_it(*_: object) -> None: ...
