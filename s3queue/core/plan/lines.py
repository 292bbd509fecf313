"""The batches of one queue that have messages to assign, in dispatch order."""

from __future__ import annotations

from operator import attrgetter

from s3queue.core.keys import Source

rank = attrgetter("rank")


class Line:
    """The batches of one queue that have messages to assign, in dispatch order.

    Attributes:
        size: how many messages could be assigned, if no group is busy.
        most: messages that may be taken at once of the batch that `first` gave.
    """

    most = 1 << 40
    #: Whether it holds every batch that was seen, not only as many as hosts can take.
    takes_all = False

    def __init__(self) -> None:
        self.size = 0
        self._sources: list[Source] = []
        self._sorted = True

    def add(self, source: Source, count: int) -> None:
        self._sources.append(source)
        self.size += count if source.group is None else 1
        self._sorted = False

    def first(self) -> Source | None:
        if not self._sorted:
            self._sources.sort(key=rank, reverse=True)
            self._sorted = True
        return self._sources[-1] if self._sources else None

    def drop(self) -> None:
        self._sources.pop()

    def took(self, many: int) -> None:
        self.size = max(0, self.size - many)
