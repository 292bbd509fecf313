"""Whether a leader's wall clock is right, by those of the hosts.

A host says in its ledger what its clock showed before the write. The coordinator cannot know when exactly that was: it was
after the survey before, if the ledger has changed since then. So it knows the difference up to that, and assumes the least.
"""

from __future__ import annotations

from collections.abc import Mapping

from s3queue.core.records import Ledger

#: Seconds that the clock of a leader may differ from the median before its schedules are held.
MOST_S = 60.0


class Clocks:
    """
    Attributes:
        off_s: seconds by which our clock is ahead of the median, if that is more than it may be; else 0.
    """

    def __init__(self) -> None:
        self._ahead_s: dict[str, tuple[str, float]] = {}
        self._looked_at: float | None = None
        self.off_s = 0.0

    def look(self, ledgers: Mapping[str, tuple[str, Ledger, float]], me: str, now: float, now_ms: int) -> None:
        """A survey has read these.

        Args:
            ledgers: by session, of living ones: version, content, and how old a ledger may be, in seconds.
            me: our own session, whose clock is ours.
            now, now_ms: steady time and wall clock before the survey.
        """
        since_s = None if self._looked_at is None else now - self._looked_at
        self._looked_at = now
        known, self._ahead_s = self._ahead_s, {}
        for session, (version, ledger, age_s) in ledgers.items():
            if session == me or not ledger.clock_ms:
                continue
            if session in known and known[session][0] == version:
                self._ahead_s[session] = known[session]
                continue
            slack_s = age_s if since_s is None or session not in known else min(since_s, age_s)
            ahead_s = (now_ms - ledger.clock_ms) / 1000
            # Read later than the clock was: what was written meanwhile may show less, and never more.
            self._ahead_s[session] = version, ahead_s if ahead_s < 0 else max(0.0, ahead_s - slack_s)
        middle = _median([0.0, *(ahead_s for _, ahead_s in self._ahead_s.values())])
        self.off_s = middle if abs(middle) > MOST_S else 0.0


def _median(values: list[float]) -> float:
    values = sorted(values)
    half = len(values) // 2
    return values[half] if len(values) % 2 else (values[half - 1] + values[half]) / 2
