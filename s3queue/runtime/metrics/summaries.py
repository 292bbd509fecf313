"""The last summary of a namespace, read at most once in so many seconds, however many ask."""

from __future__ import annotations

import threading
import time

from s3queue.core.keys import Layout
from s3queue.errors import QueueError
from s3queue.io.drive import Driver
from s3queue.observe.stats import Stats
from s3queue.operate.inspection import read_summary
from s3queue.store import ObjectStore

__all__ = ["Summaries"]

#: Seconds that a look waits for a store that does not answer; the next one tries again.
_PATIENCE_S = 1.0


class Summaries:
    """For any thread. Nothing is read while nobody asks.

    Args:
        every_s: seconds between two looks, at least. By default as often as coordinators write one.
    """

    def __init__(self, store: ObjectStore, namespace: str, every_s: float | None = None) -> None:
        self._store, self._layout = store, Layout(namespace)
        costs = store.capabilities.requests_cost
        self._every_s = (10.0 if costs else 2.0) if every_s is None else every_s
        self._driver = Driver(store, patience_s=_PATIENCE_S)
        self._lock = threading.Lock()
        self._seen: Stats | None = None
        self._looked_at = self._answered_at = float("-inf")
        #: Why the last look failed; empty where it did not.
        self.fault = ""

    def last(self) -> Stats | None:
        """What the coordinator has said last; None: nothing yet, or the store has never answered. One GET, if the last one
        is old enough."""
        with self._lock:  # whoever waited for it finds it fresh
            if time.monotonic() - self._looked_at >= self._every_s:
                self._look()
            return self._seen

    def answered_s(self) -> float:
        """Seconds since the store answered; infinity before it ever has."""
        return time.monotonic() - self._answered_at

    def _look(self) -> None:
        seen = Stats(self._store.url, self._layout.root)
        try:
            if read_summary(seen, self._layout, self._driver):
                self._seen = seen
            self.fault = ""
            self._answered_at = time.monotonic()
        except QueueError as fault:
            self.fault = str(fault)
        self._looked_at = time.monotonic()
