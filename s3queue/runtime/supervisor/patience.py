"""When a dead child may be replaced: at once, unless it keeps dying during its start."""

from __future__ import annotations

#: Seconds of age after which a death does not count as a failed start.
GROWN_UP_S = 10.0
#: Seconds before the replacement of a child that keeps dying young: none the first time, then doubling between these two.
FIRST_WAIT_S, LONGEST_WAIT_S = 0.1, 30.0
#: Failed starts of a child in a row after which the supervisor gives up on it.
STILLBIRTHS = 5


class Patience:
    """Back-off of one child and its replacements.

    Attributes:
        stillborn: deaths in a row before `Started`. A child that waits for the store does not count.
    """

    def __init__(self) -> None:
        self._young = 0
        self.stillborn = 0

    def is_up(self) -> None:
        self.stillborn = 0

    @property
    def is_over(self) -> bool:
        return self.stillborn >= STILLBIRTHS

    def died(self, *, up: bool, age_s: float, blameless: bool, waiting: bool = False) -> float:
        """Seconds to wait before the next start.

        Args:
            up: it said `Started`.
            blameless: it did work, or its end was requested.
            waiting: it was not up because the store did not answer.
        """
        if not up and not waiting:
            self.stillborn += 1
        if blameless or age_s >= GROWN_UP_S:
            self._young = 0
            return 0.0
        return self._next_wait()

    def refused(self) -> float:
        """The same, if the system had no memory or descriptors for a process."""
        return max(FIRST_WAIT_S, self._next_wait())

    def _next_wait(self) -> float:
        self._young += 1
        # 2**9 tenths of a second are beyond the longest wait.
        return 0.0 if self._young == 1 else min(LONGEST_WAIT_S, FIRST_WAIT_S * 2.0 ** min(self._young - 1, 9))
