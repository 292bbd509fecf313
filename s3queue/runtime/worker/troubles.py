"""Sources that a worker could not read: whether to retry each of them here, or to give it back, and for how long."""

from __future__ import annotations

from collections import OrderedDict
from typing import NamedTuple

from s3queue.errors import StoreUnavailable

#: Seconds for which an unreadable source is retried before it is parked: if the store is unavailable, and for any other
#: error.
HOLD_S, REFUSED_S = 2.0, 0.2
#: Unreadable sources in a row after which the store counts as away, and seconds for which sources are then retried. An
#: outage must not turn all messages of a host into outcomes.
AWAY_SOURCES, AWAY_S = 16, 60.0
#: Seconds that the messages of a parked source wait: the first time, doubling up to the last.
FIRST_PARK_S, LAST_PARK_S = 2.0, 300.0
#: Sources whose failed reads are counted.
_REMEMBERED = 1000


class Parked(NamedTuple):
    """The source is given back. ``tries``: how often in a row."""

    tries: int
    delay_s: float


class Troubles:
    def __init__(self) -> None:
        #: Sources that could not be read since the last successful read.
        self._failing: set[str] = set()
        #: By source: how often it was parked in a row, and the time until which it is parked.
        self._parked: OrderedDict[str, tuple[int, float]] = OrderedDict()

    def worked(self, source: str) -> None:
        """The source was read."""
        if self._failing:
            self._failing.clear()
        if self._parked:
            self._parked.pop(source, None)

    def failed(self, source: str, fault: Exception, since_s: float, now: float) -> Parked | None:
        """A read failed, the first one ``since_s`` seconds ago. None: retry it soon.

        Messages of the source in other tickets wait no longer than those that were parked before: failures at the same
        time count as one try.
        """
        self._failing.add(source)
        hold_s = HOLD_S if isinstance(fault, StoreUnavailable) else REFUSED_S
        if len(self._failing) >= AWAY_SOURCES:
            hold_s = AWAY_S
        if since_s < hold_s and source not in self._parked:
            return None
        tries, until = self._parked.get(source, (0, now))
        if until <= now:
            tries, until = tries + 1, now + min(LAST_PARK_S, FIRST_PARK_S * 2.0 ** min(tries, 20))
            self._parked[source] = tries, until
            self._parked.move_to_end(source)
            while len(self._parked) > _REMEMBERED:
                self._parked.popitem(last=False)
        return Parked(tries, until - now)
