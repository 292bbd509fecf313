"""Work that takes longer than a page may: a redrive at a rate, a purge, the doctor. In a thread, with progress."""

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

#: Works that are remembered, ended ones included.
_MOST = 100
#: Works that go on at a time.
_AT_ONCE = 8


class Stopped(Exception):
    """A work ends, since somebody wants that. Says how far it came."""


class Work:
    """One thing that goes on.

    Attributes:
        state: ``running``, ``done``, ``cancelled`` or ``failed``. Whoever sees that it has ended finds all that follows
            from it: the audit, and what it has changed.
        action: what it is an action of: who may do that may end it.
        of: how much there is to do; None: not known.
        told: in what it ended, or how it goes; for people.
        result: of what it did, for the page that shows it.
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
        """Whether somebody wants it to end. It looks at this between two messages."""
        return self._cancel.is_set()

    @property
    def share(self) -> int | None:
        """Percent that are done."""
        return None if not self.of else min(100, 100 * self.done // self.of)

    def cancel(self) -> None:
        self._cancel.set()

    def wait_cancelled(self, timeout: float) -> bool:
        return self._cancel.wait(timeout)

    def wait(self, timeout: float) -> bool:
        """Wait so many seconds for its end; whether it has ended."""
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
    """All works of one dashboard. They end with its process."""

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
        """Start it, in a thread.

        Args:
            what: returns what came of it, for people.
            ended: called with the state in which it ends, before anybody sees that.

        Raises:
            ConfigError: enough goes on already.
        """
        if sum(work.state == "running" for work in self._works.values()) >= _AT_ONCE:
            raise ConfigError(f"{_AT_ONCE} operations go on already", "wait for one, or cancel one")
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
        return self._works.get(id)

    def newest(self) -> list[Work]:
        return list(reversed(self._works.values()))

    def cancel_all(self) -> None:
        for work in self._works.values():
            work.cancel()
