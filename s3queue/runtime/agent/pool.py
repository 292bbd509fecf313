"""The claimed messages of a host that no worker has."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from s3queue.core import ranges
from s3queue.core.ranges import Ranges


class Piece(NamedTuple):
    """Messages ``start`` to ``stop`` (excluded) of a ticket, by offset."""

    ticket: str
    start: int
    stop: int

    @property
    def size(self) -> int:
        return self.stop - self.start


class Pool:
    """
    Attributes:
        size: messages in it.
        suspects: each runs in a process with nothing else; with their queues.
    """

    def __init__(self) -> None:
        self.size = 0
        self.suspects: deque[tuple[str, Piece]] = deque()
        self._queues: dict[str, deque[Piece]] = {}
        self._sizes: dict[str, int] = {}

    def add(self, queue: str, pieces: Iterable[Piece]) -> None:
        """Behind all others."""
        for piece in pieces:
            self._line(queue).append(piece)
            self._grow(queue, piece.size)

    def put_back(self, queue: str, pieces: Iterable[Piece]) -> None:
        """Before all others, in this order."""
        for piece in reversed(list(pieces)):
            self._line(queue).appendleft(piece)
            self._grow(queue, piece.size)

    def suspect(self, queue: str, piece: Piece) -> None:
        self.suspects.append((queue, piece))
        self.size += piece.size

    def take_suspect(self) -> tuple[str, Piece]:
        queue, piece = self.suspects.popleft()
        self.size -= piece.size
        return queue, piece

    def take(self, queue: str) -> Piece | None:
        """The next of a queue."""
        line = self._queues.get(queue)
        if not line:
            return None
        piece = line.popleft()
        self._grow(queue, -piece.size)
        return piece

    def left(self, queue: str) -> int:
        """Messages of a queue, suspects aside."""
        return self._sizes.get(queue, 0)

    def queues(self) -> list[str]:
        """Those that have messages, suspects aside."""
        return [queue for queue, line in self._queues.items() if line]

    def remove(self, ticket: str, offsets: Ranges) -> Ranges:
        """Take these messages of a ticket out of it. Returns those that were in it."""
        gone: list[tuple[int, int]] = []

        def without(piece: Piece) -> list[Piece]:
            if piece.ticket != ticket:
                return [piece]
            left = ranges.minus((piece.start, piece.stop), offsets)
            gone.extend(ranges.pairs(ranges.minus((piece.start, piece.stop), left)))
            return [Piece(ticket, start, stop) for start, stop in ranges.pairs(left)]

        self.suspects = deque((queue, left) for queue, piece in self.suspects for left in without(piece))
        self.size -= sum(stop - start for start, stop in gone)
        for queue, line in self._queues.items():
            before = len(gone)
            self._queues[queue] = deque(left for piece in line for left in without(piece))
            self._grow(queue, -sum(stop - start for start, stop in gone[before:]))
        return ranges.union(gone)

    def drain(self) -> Iterator[Piece]:
        """Everything. It is in the pool no more."""
        while self.suspects:
            yield self.take_suspect()[1]
        for queue in self.queues():
            while (piece := self.take(queue)) is not None:
                yield piece

    def _line(self, queue: str) -> deque[Piece]:
        return self._queues.setdefault(queue, deque())

    def _grow(self, queue: str, many: int) -> None:
        self.size += many
        self._sizes[queue] = self._sizes.get(queue, 0) + many
