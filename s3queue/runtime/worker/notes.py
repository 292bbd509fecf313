"""Notes of running messages on their way to the agent.

The agent gets the first change at once, and further ones at most every `EVERY_S`; the main thread sends the rest. So a
process that is killed loses at most the last second, and a task may note something in a tight loop.
"""

from __future__ import annotations

import threading
from collections.abc import Callable

from s3queue.core.records import Memo
from s3queue.io.clock import clock
from s3queue.options.noting import Page
from s3queue.runtime.local.wire import Note, Noted
from s3queue.runtime.worker.dealt import Dealt

#: Seconds between two notes of one message.
EVERY_S = 0.25


class Open(Page):
    """The page of a running message."""

    __slots__ = ("_notes", "at", "dealt", "is_over", "sent_at")

    def __init__(self, notes: Notes, dealt: Dealt, at: int, given: Memo | None) -> None:
        super().__init__(given, self._changed)
        self._notes, self.dealt, self.at = notes, dealt, at
        self.sent_at = 0.0
        self.is_over = False

    def _changed(self) -> None:
        self._notes.changed(self)


class Notes:
    """The pages of this worker.

    Args:
        send: sends a note to the agent.

    Attributes:
        open: by slot, the pages of running messages.
    """

    def __init__(self, send: Callable[[Note], None], slots: int) -> None:
        self._send = send
        self._lock = threading.Lock()
        self._due: set[Open] = set()
        self.open: list[list[Open]] = [[] for _ in range(slots)]

    def page(self, slot: int, dealt: Dealt, at: int, given: Memo | None) -> Open:
        """The page for a message that is about to run in this slot."""
        page = Open(self, dealt, at, given)
        self.open[slot].append(page)
        return page

    def changed(self, page: Open) -> None:
        with self._lock:
            if page.is_over:
                return
            now = clock()
            if now - page.sent_at < EVERY_S:
                self._due.add(page)
            else:
                self._tell(page, now)

    def tick(self) -> None:
        """Send changes that were not sent yet."""
        if self._due:
            with self._lock:
                now = clock()
                for page in tuple(self._due):
                    self._tell(page, now)

    def end(self, slot: int, *, failed: bool) -> None:
        """The message in this slot has ended. Nothing is sent about it after this; after a failure the next attempt
        sees the last change.
        """
        with self._lock:
            for page in self.open[slot]:
                page.is_over = True
                if page in self._due:
                    self._tell(page, 0.0) if failed else self._due.discard(page)
            self.open[slot].clear()

    def _tell(self, page: Open, now: float) -> None:
        self._due.discard(page)
        page.sent_at = now
        if not page.dealt.over:
            self._send(Noted(page.dealt.row, page.at, page.memo))
