"""Objects that cannot be read or written now: each is tried again alone, after pauses that grow."""

from __future__ import annotations

from s3queue.core.pacing import Backoffs

#: Seconds before an object that failed is tried again the first time, and at most.
_FIRST_S, _LONGEST_S = 1.0, 300.0
#: Seconds for which a trouble is remembered that nobody has met again.
_FORGET_S = 1000.0


class Troubles:
    """
    Attributes:
        new: key and fault of each failure that was not told yet.
    """

    def __init__(self) -> None:
        self._backoffs = Backoffs(_FIRST_S, _LONGEST_S)
        self._met: dict[str, float] = {}
        self.new: list[tuple[str, Exception]] = []

    def met(self, key: str, fault: Exception, now: float) -> None:
        """This object could not be read or written."""
        self._backoffs.failed(key, now)
        self._met[key] = now
        self.new.append((key, fault))

    def over(self, key: str) -> None:
        if key in self._met:  # of most that is written or deleted, nothing was ever wrong
            self._backoffs.worked(key)
            del self._met[key]

    def allow(self, key: str, now: float) -> bool:
        """Whether this object may be tried now."""
        return self._backoffs.is_due(key, now)

    def has(self, key: str) -> bool:
        """Whether it failed the last time."""
        return key in self._met

    @property
    def keys(self) -> list[str]:
        """Objects that failed the last time."""
        return list(self._met)

    def next_at(self, now: float) -> float:
        return self._backoffs.next_at(now)

    def keep_for(self, now: float) -> None:
        """Forget what was last met long ago: the object is gone, or nobody wants it any more."""
        old = [key for key, at in self._met.items() if now - at > _FORGET_S]
        for key in old:
            self.over(key)

    def take_new(self) -> list[tuple[str, Exception]]:
        """What was not told yet; it is told now."""
        new, self.new = self.new, []
        return new
