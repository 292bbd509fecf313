"""Objects that cannot be read or written now: each is retried with a back-off of its own."""

from __future__ import annotations

from s3queue.core.pacing import Backoffs

#: Seconds before the first retry of an object, and before later ones at most.
_FIRST_S, _LONGEST_S = 1.0, 300.0
#: Seconds for which a trouble is remembered without a further failure.
_FORGET_S = 1000.0


class Troubles:
    """
    Attributes:
        new: key and fault of each failure not reported yet.
    """

    def __init__(self) -> None:
        self._backoffs = Backoffs(_FIRST_S, _LONGEST_S)
        self._met: dict[str, float] = {}
        self.new: list[tuple[str, Exception]] = []

    def met(self, key: str, fault: Exception, now: float) -> None:
        """Enter a failed read or write of this object."""
        self._backoffs.failed(key, now)
        self._met[key] = now
        self.new.append((key, fault))

    def over(self, key: str) -> None:
        if key in self._met:  # most objects never fail
            self._backoffs.worked(key)
            del self._met[key]

    def allow(self, key: str, now: float) -> bool:
        """Whether this object may be tried now."""
        return self._backoffs.is_due(key, now)

    def has(self, key: str) -> bool:
        """Whether its last read or write failed."""
        return key in self._met

    @property
    def keys(self) -> list[str]:
        """Objects whose last read or write failed."""
        return list(self._met)

    def next_at(self, now: float) -> float:
        return self._backoffs.next_at(now)

    def keep_for(self, now: float) -> None:
        """Forget objects without a recent failure: they are gone, or no longer needed."""
        old = [key for key, at in self._met.items() if now - at > _FORGET_S]
        for key in old:
            self.over(key)

    def take_new(self) -> list[tuple[str, Exception]]:
        """Take the failures that were not reported yet."""
        new, self.new = self.new, []
        return new
