"""The clocks of one term of a coordinator, and how long ids of finished sources are kept.

Windows are measured in `Board.uptime_ms`, which a leader advances by its own steady clock: it never runs ahead of real
time and survives a change of leader, so no wall clock decides how long a finished source is remembered.
"""

from __future__ import annotations

from collections.abc import Iterable

from s3queue.core.records import Board, Ledger


class Term:
    """One epoch, from the steady time at which it began.

    Args:
        board: as the election stored it.
        now: steady time. `Board.uptime_ms` counts on from there.
        now_ms: wall clock. Retries are counted on from there by the steady clock, so that a step of the wall clock
            starts none of them.
    """

    def __init__(self, board: Board, now: float, now_ms: int) -> None:
        self.since, self.since_ms, self.uptime_base_ms = now, now_ms, board.uptime_ms
        self._inherited_s = board.window_s

    def uptime_ms(self, now: float) -> int:
        return self.uptime_base_ms + int((now - self.since) * 1000)

    def clock_ms(self, now: float) -> int:
        """The wall clock of the election, counted on by the steady one."""
        return self.since_ms + int((now - self.since) * 1000)

    def window_s(self, now: float, ledgers: Iterable[Ledger], own_s: float) -> float:
        """Seconds for which to keep the ids of finished sources: the longest that any known ledger states, or this process.
        The value of earlier leaders holds for that time."""
        inherited_s = self._inherited_s if now - self.since < self._inherited_s else 0.0
        stated_s = max((ledger.window_s for ledger in ledgers if not ledger.over), default=0.0)
        return max(own_s, inherited_s, stated_s)
