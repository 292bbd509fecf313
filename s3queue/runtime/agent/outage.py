"""Sends an event when the store stops answering, and when it answers again."""

from __future__ import annotations

import threading

from s3queue.errors import StoreUnavailable
from s3queue.io.clock import clock
from s3queue.observe.events import QUIET_S, Events

__all__ = ["Outage"]


class Outage:
    """For all drivers of an agent, from any of their threads.

    Requests that are under way when a store goes away fail one by one, with answers between them: one outage, told once.
    """

    def __init__(self, events: Events) -> None:
        self._events = events
        self._lock = threading.Lock()
        #: By `clock`, since when the store does not answer; 0 while it does.
        self._since = 0.0
        self._told_at = float("-inf")
        self._is_told = False

    def begins(self, fault: StoreUnavailable) -> None:
        """A request was not applied, and is tried again. Claimed messages go on meanwhile."""
        with self._lock:
            tells = not self._since and clock() - self._told_at > QUIET_S
            self._since = self._since or clock()
            if tells:
                self._told_at, self._is_told = clock(), True
        text = f"the store does not answer; trying again: {fault}"
        if tells:
            self._events.emit("store_unavailable", text=text)
        else:
            self._events.warn("store", text)

    def ends(self) -> None:
        """A request is answered, and the one before was not."""
        with self._lock:
            since, self._since = self._since, 0.0
            told, self._is_told = self._is_told, False
        if since and told:
            self._events.emit("store_recovered", away_s=round(clock() - since, 3))
