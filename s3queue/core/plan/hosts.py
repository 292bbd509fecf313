"""The living hosts while tickets are given out."""

from __future__ import annotations

import math

from s3queue.core.plan.settings import Settings
from s3queue.core.records import Ledger


class Host:
    """One living session while tickets are given out: its slots, and how much of its time is spoken for."""

    def __init__(self, ledger: Ledger, settings: Settings) -> None:
        self.session, self.slots, self.offers = ledger.session, ledger.slots, ledger.offers
        self._capacity = {
            queue: capacity(ledger.slots, offer.mean_s, settings) for queue, offer in ledger.offers.items()
        }
        self.ranges = 0
        self._out = 0
        self._used = 0.0

    def load(self, queue: str, many: int, ranges: int) -> None:
        self.ranges += ranges
        self._out += many
        self._used += many / self._capacity.get(queue, self.slots)

    @property
    def idle(self) -> int:
        """Slots that nothing is assigned to."""
        return max(0, self.slots - self._out)

    @property
    def is_full(self) -> bool:
        """Whether there is no room for any queue."""
        return self._out >= self.slots and max(self._capacity.values(), default=0) * (1.0 - self._used) < 1.0 - 1e-9

    def room(self, queue: str, share: int = 1) -> int:
        """How many more messages of the queue to give it, if ``share`` queues divide what is free."""
        free = max(0.0, 1.0 - self._used)
        return max(math.floor(self._capacity[queue] * free / share + 1e-9), min(self.idle, 1))


def capacity(slots: int, mean_s: float, settings: Settings) -> int:
    """How many messages a host may hold: one for each slot, and about ``ticket_target`` seconds of work behind them.

    One for each slot while nothing was measured: the first messages of a queue are its measurement.
    """
    if mean_s <= 0:
        return slots
    return min(max(slots, settings.max_out), slots + math.ceil(slots * settings.ticket_target / mean_s))
