"""Events of the children, for the subscribers of the supervisor."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec

from s3queue.observe.ears import Ear, Listener, open_ear
from s3queue.observe.events import Events
from s3queue.observe.subscribing import Subscribers

__all__ = ["Hearing"]


class Hearing:
    """Where nobody has subscribed there is no socket, and children are told of none.

    Args:
        rundir: of this host.
        events: where the failure of a subscriber is logged.
        others: processes that listen as well.
    """

    def __init__(self, subscribers: Subscribers, rundir: Path, events: Events, others: tuple[Ear, ...] = ()) -> None:
        self._others = others
        self._subscribers, self._events = subscribers, events
        self._listener = Listener(open_ear(str(rundir / "events.sock"))) if subscribers.kinds else None

    def ears(self) -> tuple[Ear, ...]:
        """For the children."""
        ours = (Ear(self._listener.path, self._subscribers.kinds),) if self._listener is not None else ()
        return ours + self._others

    def watched(self) -> list[Any]:
        return [] if self._listener is None else list(self._listener.watched())

    def hear(self) -> bool:
        """Call the subscribers with the events that have come. False: there were none."""
        records = [] if self._listener is None else self._listener.heard()
        for record in records:
            self._tell(record)
        return bool(records)

    def _tell(self, record: dict[str, Any]) -> None:
        from s3queue.events import KINDS

        kind = str(record.pop("kind", ""))
        try:
            event = msgspec.convert(record, KINDS[kind])
        except (KeyError, msgspec.ValidationError) as wrong:
            self._events.warn(f"event {kind}", f"an event {kind!r} of a child cannot be read: {wrong}")
            return
        self._subscribers.tell(event, self._events.warn)

    def close(self) -> None:
        """After the children have ended: pass on their last events."""
        if self._listener is not None:
            while self.hear():
                pass
            self._listener.close()
