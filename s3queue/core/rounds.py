"""How much work a host must hold to stay busy, measured by the coordinator on its own cycles.

A message that ends frees a slot. Before another message runs in it, the outcome is stored, a cycle reads it, a board with a
new ticket is committed, and the host reads the board and stores its claim. This is the **round**. A host that holds less
work than one round idles at its end, so tickets hold at least that much, even above ``ticket_target``. Rounds are long on
stores that take one write per second and key, and where a thousand ledgers are read.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from s3queue.core.records import Board, Ledger

#: Weight of the newest measurement.
_NEWEST = 0.3
#: Seconds of work assigned per second of the round. Above 1: rounds vary, and one request in a hundred takes three times as
#: long as most.
_SPARE = 1.25
#: Seconds: upper bound of a round. Work that a host holds is not available to others, and runs again if the host dies.
LONGEST_S = 10.0


@dataclass
class Rounds:
    """
    Attributes:
        period_s: from one cycle to the next while there is work; 0 until measured.
        lag_s: from the cycle that assigns a ticket to the one that sees it claimed; 0 until measured.
    """

    period_s: float = 0.0
    lag_s: float = 0.0
    _assigned: dict[str, dict[str, float]] = field(default_factory=dict)
    _last: float | None = None

    def see(self, ledgers: Mapping[str, Ledger | None], now: float) -> None:
        """A cycle that began at ``now`` has read the ledgers."""
        if self._last is not None:
            self.period_s = _mixed(self.period_s, now - self._last)
            self._last = None
        lags: list[float] = []
        for session, tickets in list(self._assigned.items()):
            ledger = ledgers.get(session)
            if ledger is None or ledger.over:
                del self._assigned[session]
                continue
            for name in tickets.keys() & set(ledger.claims):
                lags.append(now - tickets.pop(name))
            if not tickets:
                del self._assigned[session]
        if lags:
            self.lag_s = _mixed(self.lag_s, sorted(lags)[len(lags) // 2])  # the median: one slow host is one

    def commit(self, before: Board, board: Board, now: float) -> None:
        """That cycle has committed a board."""
        self._last = now if board.tickets else None
        for name, ticket in board.tickets.items():
            if name not in before.tickets:
                self._assigned.setdefault(ticket.session, {})[name] = now

    def work_s(self, ack_s: float) -> float:
        """Seconds of work that a host should hold. The lag includes half a period: a stored claim waits for the next
        cycle."""
        if not self.lag_s:
            return 0.0
        return _SPARE * min(LONGEST_S, ack_s + self.period_s / 2 + self.lag_s)


def _mixed(before: float, newest: float) -> float:
    return before + _NEWEST * (newest - before) if before else newest
