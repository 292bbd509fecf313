"""When a child that died may be replaced: at once, unless it does not get up."""

from __future__ import annotations

#: Seconds after which a child that dies did not die of starting.
GROWN_UP_S = 10.0
#: Seconds before the replacement of a child that keeps dying young: none the first time, then from the one to the other.
FIRST_WAIT_S, LONGEST_WAIT_S = 0.1, 30.0
#: Deaths in a row of one child before it was up, after which there is no point in going on with it alone.
STILLBIRTHS = 5


class Patience:
    """With one child and those that replace it.

    Attributes:
        stillborn: deaths in a row before it was up. A child that waits for the store is not at fault.
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
        """Seconds to wait with the next one.

        Args:
            up: it said `Started`.
            blameless: it did work, or it ended because we or it wanted that.
            waiting: it was not up because the store did not answer.
        """
        if not up and not waiting:
            self.stillborn += 1
        if blameless or age_s >= GROWN_UP_S:
            self._young = 0
            return 0.0
        return self._next_wait()

    def refused(self) -> float:
        """The same, where the system had no room for a process or its pipes."""
        return max(FIRST_WAIT_S, self._next_wait())

    def _next_wait(self) -> float:
        self._young += 1
        # 2**9 tenths of a second are beyond the longest wait.
        return 0.0 if self._young == 1 else min(LONGEST_WAIT_S, FIRST_WAIT_S * 2.0 ** min(self._young - 1, 9))
