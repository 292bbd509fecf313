"""The byte budget of a worker: for objects in memory, and objects that it may read."""

from __future__ import annotations

from collections import OrderedDict, deque

from s3queue.runtime.worker.dealt import Body

#: Decoded sources kept for later slices. Their bytes count in the budget and are freed first.
CACHE_SOURCES = 64


class Room:
    """Counts bytes. Not for several threads at a time, except ``freed``.

    The size of an object is known only after it was read. So each read under way counts as the largest of the last
    objects; before the first object is there, one is read alone. If nothing else is in memory, one is always read,
    whatever its size.

    Args:
        budget: bytes, as in the setting ``prefetch_bytes``.

    Attributes:
        freed: sizes of objects whose only piece is over, to be subtracted. Any thread appends, without a lock.
        under_way: reads that have begun and not ended.
    """

    def __init__(self, budget: int) -> None:
        self._budget = budget
        self._expected = budget
        self._held = 0
        self.freed: deque[int] = deque()
        self._cache: OrderedDict[str, Body] = OrderedDict()
        self.under_way = 0

    def left(self) -> int:
        """Number of objects that may be read now. Objects that are kept for later slices are dropped if there is no
        room."""
        freed = self.freed
        while freed:
            self._held -= freed.popleft()
        while True:
            left = (self._budget - self._held) // self._expected - self.under_way
            if left > 0 or not self._cache:
                break
            self._forget_oldest()
        return 1 if left <= 0 and self._held == 0 and self.under_way == 0 else left

    def holds(self, body: Body) -> None:
        """An object was read."""
        size, expected = body.size, self._expected
        expected = expected * 7 // 8 if expected < self._budget else 0
        self._expected = (size if size > expected else expected) or 1
        self._held += size

    def drop(self, body: Body) -> None:
        """A piece of an object is over."""
        body.pieces -= 1
        self.let_go(body)

    def let_go(self, body: Body) -> None:
        """Free the bytes of an object, if nothing refers to it any more."""
        if body.pieces == 0 and not body.kept:
            self._held -= body.size

    # ---- for later slices ----------------------------------------------------------------------------------

    def keep(self, source: str, body: Body) -> None:
        body.kept = True
        self._cache[source] = body
        while len(self._cache) > CACHE_SOURCES:
            self._forget_oldest()

    def kept(self, source: str) -> Body | None:
        body = self._cache.get(source)
        if body is not None:
            self._cache.move_to_end(source)
        return body

    def _forget_oldest(self) -> None:
        _, body = self._cache.popitem(last=False)
        body.kept = False
        self.let_go(body)
