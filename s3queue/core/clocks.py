"""Compares a leader's wall clock with those of the hosts.

If the board names schedules, a host states in its ledger what its clock showed before the write. The coordinator does not
know exactly when that was: some time after its previous survey, if the ledger has changed since. So it knows the difference
only within bounds, and assumes the smallest.
"""

from __future__ import annotations

from collections.abc import Mapping

from s3queue.core.records import Ledger

#: Seconds that the clock of a leader may differ from the median before its schedules are held.
MOST_S = 60.0


class Clocks:
    """
    Args:
        wait_s: seconds within which each host writes its ledger once it reads that there are schedules.

    Attributes:
        off_s: seconds by which our clock is ahead of the median, if that is more than it may be; else 0.
        is_off: whether no schedule may tick: because of that, or because other hosts have yet to say what time it is.
    """

    def __init__(self, wait_s: float) -> None:
        self._ahead_s: dict[str, tuple[str, float]] = {}
        self._began_at: float | None = None
        self._looked_at = 0.0
        self._wait_s = wait_s
        self.off_s = 0.0
        self.is_off = False

    def look(self, ledgers: Mapping[str, tuple[str, Ledger | None, float]], me: str, now: float, now_ms: int) -> None:
        """A survey has read these.

        Args:
            ledgers: by session, of living ones: version, content, and how old it may be, in seconds. Without content: it
                could not be read.
            me: our own session, whose clock is ours.
            now, now_ms: steady time and wall clock before the survey.
        """
        if self._began_at is None:
            self._began_at = now
        since_s, self._looked_at = now - self._looked_at, now
        known, self._ahead_s = self._ahead_s, {}
        silent = False
        for session, (version, ledger, age_s) in ledgers.items():
            if session == me:
                continue
            if session in known and (ledger is None or known[session][0] == version):
                self._ahead_s[session] = known[session]
            elif ledger is None or not ledger.clock_ms:
                silent = True
            else:
                slack_s = min(since_s, age_s) if session in known else age_s
                ahead_s = (now_ms - ledger.clock_ms) / 1000
                self._ahead_s[session] = version, ahead_s if ahead_s < 0 else max(0.0, ahead_s - slack_s)
        middle = _median([0.0, *(ahead_s for _, ahead_s in self._ahead_s.values())])
        self.off_s = middle if abs(middle) > MOST_S else 0.0
        self.is_off = self.off_s != 0.0 or (silent and now - self._began_at < self._wait_s)


def _median(values: list[float]) -> float:
    values = sorted(values)
    half = len(values) // 2
    return values[half] if len(values) % 2 else (values[half - 1] + values[half]) / 2
