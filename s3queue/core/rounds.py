"""How long a host lives on what it holds, measured by the coordinator on its own cycles.

A message that ends makes room in its host. Until another one can run there, its outcome is stored, a cycle sees that, a
board with a new ticket is committed, and the host sees the board and stores its claim. That is the **round**. A host that
holds less work than for one round stands idle at the end of each, so tickets are at least that large, whatever
``ticket_target`` says: on a store that takes one write per second of one key, or where a thousand ledgers have to be read.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from s3queue.core.records import Board, Ledger

#: Weight of the newest measurement.
_NEWEST = 0.3
#: What is put in front of a host for each second of the round: rounds differ, and requests that take three times as long as
#: most are one in a hundred.
_SPARE = 1.25
#: A round is taken to be no longer than this, in seconds: what a host holds is what the others cannot have, and what has to
#: be done again if it dies.
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
        """How many seconds of work a host should hold. The lag holds half a period already: a claim that is stored waits
        for the next cycle."""
        if not self.lag_s:
            return 0.0
        return _SPARE * min(LONGEST_S, ack_s + self.period_s / 2 + self.lag_s)


def _mixed(before: float, newest: float) -> float:
    return before + _NEWEST * (newest - before) if before else newest
