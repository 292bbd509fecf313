"""Tells when the store stops to answer, and when it answers again."""

from __future__ import annotations

from s3queue.errors import StoreUnavailable
from s3queue.observe.events import Events
from s3queue.runtime.local.clock import clock

__all__ = ["Outage"]


class Outage:
    """For all drivers of an agent, from any of their threads."""

    def __init__(self, events: Events) -> None:
        self._events = events
        #: By `clock`, since when the store does not answer; 0 while it does.
        self._since = 0.0

    def begins(self, fault: StoreUnavailable) -> None:
        """A request was not applied, and is tried again. Claimed messages go on meanwhile."""
        if not self._since:
            self._since = clock()
            self._events.emit("store_unavailable", text=f"the store does not answer; trying again: {fault}")
        else:
            self._events.warn("store", f"the store does not answer; trying again: {fault}")

    def ends(self) -> None:
        """A request is answered, and the one before was not."""
        since, self._since = self._since, 0.0
        if since:
            self._events.emit("store_recovered", away_s=round(clock() - since, 3))
