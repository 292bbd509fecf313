"""Works: actions that take longer than a page waits, such as a redrive at a rate, a purge, or the doctor. Each runs in
a thread, and shows its progress.
"""

from __future__ import annotations

import secrets
import threading
from collections import OrderedDict
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, Literal

from s3queue.errors import ConfigError, QueueError

__all__ = ["State", "Stopped", "Work", "Works"]

State = Literal["running", "done", "cancelled", "failed"]

#: Works that are remembered, including those that have ended.
_MOST = 100
#: Works that run at a time.
_AT_ONCE = 8


class Stopped(Exception):
    """A work was cancelled. The text says how far it came."""


class Work:
    """One action that runs in a thread.

    Attributes:
        state: ``running``, ``done``, ``cancelled`` or ``failed``. It changes only after everything that follows from
            the end is done: the audit, and forgetting results of looks.
        action: the action that it performs. Viewers who may perform it may also cancel it.
        of: how much there is to do; None: not known.
        told: the outcome, or the progress, as text for people.
        result: the value that its page shows.
    """

    def __init__(self, title: str, by: str, action: str = "") -> None:
        self.action = action
        self.id = secrets.token_urlsafe(12)
        self.title, self.by = title, by
        self.began_at = datetime.now(UTC)
        self.ended_at: datetime | None = None
        self.state: State = "running"
        self.done = 0
        self.of: int | None = None
        self.told = ""
        self.result: Any = None
        self._cancel, self._over = threading.Event(), threading.Event()

    @property
    def is_cancelled(self) -> bool:
        """Whether the work was asked to stop."""
        return self._cancel.is_set()

    @property
    def share(self) -> int | None:
        """Percentage that is done."""
        return None if not self.of else min(100, 100 * self.done // self.of)

    def cancel(self) -> None:
        """Ask the work to stop. It does so between two messages."""
        self._cancel.set()

    def wait_cancelled(self, timeout: float) -> bool:
        """Wait for `cancel`, at most ``timeout`` seconds. Returns whether it was called."""
        return self._cancel.wait(timeout)

    def wait(self, timeout: float) -> bool:
        """Wait for the end, at most this many seconds. Returns whether the work has ended."""
        return self._over.wait(timeout)

    def run(self, what: Callable[[Work], str], ended: Callable[[Work, State], None]) -> None:
        state: State
        try:
            self.told = what(self)
            state = "cancelled" if self.is_cancelled else "done"
        except Stopped as end:
            state, self.told = "cancelled", str(end)
        except (QueueError, TimeoutError) as fault:
            state, self.told = "failed", str(fault)
        except Exception as fault:  # noqa: BLE001 - told to whoever looks, and in the audit
            state, self.told = "failed", f"{type(fault).__name__}: {fault}"
        self.ended_at = datetime.now(UTC)
        try:
            ended(self, state)
        finally:
            self.state = state
            self._over.set()


class Works:
    """The works of one dashboard. They end with its process."""

    def __init__(self) -> None:
        self._works: OrderedDict[str, Work] = OrderedDict()

    def begin(
        self,
        title: str,
        by: str,
        what: Callable[[Work], str],
        ended: Callable[[Work, State], None],
        *,
        action: str = "",
    ) -> Work:
        """Start a work, in a thread.

        Args:
            what: performs it, and returns the outcome as text for people.
            ended: called with the final state, before any viewer sees that state.

        Raises:
            ConfigError: too many works are running already.
        """
        if sum(work.state == "running" for work in self._works.values()) >= _AT_ONCE:
            raise ConfigError(f"{_AT_ONCE} operations are running already", "wait for one to end, or cancel one")
        work = Work(title, by, action)
        self._works[work.id] = work
        while len(self._works) > _MOST:
            old = next((one for one in self._works.values() if one.state != "running"), None)
            if old is None:
                break
            del self._works[old.id]
        threading.Thread(target=work.run, args=(what, ended), name=f"s3queue-{title}", daemon=True).start()
        return work

    def get(self, id: str) -> Work | None:
        """The work with this id; None: there is none, or it is forgotten."""
        return self._works.get(id)

    def newest(self) -> list[Work]:
        """The works, the newest first."""
        return list(reversed(self._works.values()))

    def cancel_all(self) -> None:
        """Ask all works to stop."""
        for work in self._works.values():
            work.cancel()
