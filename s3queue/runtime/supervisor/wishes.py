"""How a supervisor is asked to end: by SIGTERM, SIGINT or `Supervisor.stop`. The first wish drains, a second one ends."""

from __future__ import annotations

import contextlib
import signal
import socket
import threading
from collections.abc import Iterator

from s3queue.runtime.local.child import GROUP_SIGNALS

#: Seconds in which everything that asks us to end is one wish: a terminal, a wrapper that forwards its signals and a
#: service manager ask one after the other, and mean the same.
ONE_WISH_S = 1.0
#: What is read for each: the number of the signal, or 0 for `stop`.
_ENDING = {0, *GROUP_SIGNALS}


class Wishes:
    """A socket in which signal handlers leave their numbers, and a count of what they mean."""

    def __init__(self) -> None:
        self.bell, self._hammer = socket.socketpair()
        self.bell.setblocking(False)
        self._hammer.setblocking(False)
        self.begin()

    def begin(self) -> None:
        """Nobody has asked for anything so far."""
        self._count = 0
        self._since = float("-inf")
        self.last = 0

    def stop(self) -> None:
        """A wish of the program's own. For other threads and signal handlers."""
        with contextlib.suppress(BlockingIOError):
            self._hammer.send(b"\0")

    def count(self, now: float) -> int:
        """How many wishes there were, up to now. Other signals that the program handles come by here, too."""
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
        """What was heard last, for people."""
        return signal.Signals(self.last).name if self.last else "stop()"

    def descriptors(self) -> list[socket.socket]:
        """What a forked child must close."""
        return [self.bell, self._hammer]

    @contextlib.contextmanager
    def of_signals(self) -> Iterator[None]:
        """Take SIGTERM and SIGINT for wishes, and do nothing else about them. Only in the main thread."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        handlers = {number: signal.signal(number, _note_it) for number in GROUP_SIGNALS}
        # Some programs give up what Python sets up: a pipe to a child that just died must not end us, and children that
        # nobody needs to reap would tell nobody how they died.
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
