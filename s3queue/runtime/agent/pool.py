"""The claimed messages of a host that no worker has."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple

from s3queue.core import ranges
from s3queue.core.held import Held
from s3queue.core.keys import KEYED, parse_source
from s3queue.core.ranges import Ranges

#: Lines, of keys with limits, after which those without messages are forgotten.
_LINES = 1000


class Piece(NamedTuple):
    """Messages ``start`` to ``stop`` (excluded) of a ticket, by offset, all with this key."""

    ticket: str
    start: int
    stop: int
    key: str = ""

    @property
    def size(self) -> int:
        return self.stop - self.start


class Turns:
    """Pieces of messages whose keys take turns. Pieces of one key stay in order."""

    def __init__(self, pieces: Iterable[Piece] = ()) -> None:
        self._keys: deque[str] = deque()
        self._pieces: dict[str, deque[Piece]] = {}
        for piece in pieces:
            self.append(piece)

    def __bool__(self) -> bool:
        return bool(self._keys)

    def __iter__(self) -> Iterator[Piece]:
        for key in self._keys:
            yield from self._pieces[key]

    def append(self, piece: Piece) -> None:
        self._of(piece, self._keys.append).append(piece)

    def appendleft(self, piece: Piece) -> None:
        self._of(piece, self._keys.appendleft).appendleft(piece)

    def rest(self, piece: Piece) -> None:
        """Put back the rest of the piece that was taken last, behind the other keys: its key has had its turn."""
        self._of(piece, self._keys.append).appendleft(piece)

    def popleft(self) -> Piece:
        key = self._keys.popleft()
        pieces = self._pieces[key]
        piece = pieces.popleft()
        if pieces:
            self._keys.append(key)
        else:
            del self._pieces[key]
        return piece

    def _of(self, piece: Piece, enter: Callable[[str], None]) -> deque[Piece]:
        pieces = self._pieces.get(piece.key)
        if pieces is None:
            pieces = self._pieces[piece.key] = deque()
            enter(piece.key)
        return pieces


class Pool:
    """Messages stand in lines: one for each queue, and for each limit of which only so many may run at once.

    Attributes:
        size: messages in it.
        suspects: each runs in a process with nothing else; with their queues.
    """

    def __init__(self) -> None:
        self.size = 0
        self.suspects: deque[tuple[str, Piece]] = deque()
        self._queues: dict[str, deque[Piece] | Turns] = {}
        self._sizes: dict[str, int] = {}

    def add(self, queue: str, pieces: Iterable[Piece]) -> None:
        """Behind all others."""
        for piece in pieces:
            self._line(queue, piece).append(piece)
            self._grow(queue, piece.size)

    def put_back(self, queue: str, pieces: Iterable[Piece]) -> None:
        """Before all others, in this order."""
        for piece in reversed(list(pieces)):
            self._line(queue, piece).appendleft(piece)
            self._grow(queue, piece.size)

    def rest(self, queue: str, piece: Piece) -> None:
        """Put back what is left of the piece that was taken last: before those of its key, and after other keys."""
        line = self._line(queue, piece)
        (line.rest if isinstance(line, Turns) else line.appendleft)(piece)
        self._grow(queue, piece.size)

    def suspect(self, queue: str, piece: Piece) -> None:
        self.suspects.append((queue, piece))
        self.size += piece.size

    def take_suspect(self, may_start: Callable[[str], bool] = lambda queue: True) -> tuple[str, Piece] | None:
        """The first piece of the line that has a message that may start."""
        for at, (queue, piece) in enumerate(self.suspects):
            if may_start(queue):
                del self.suspects[at]
                self.size -= piece.size
                return queue, piece
        return None

    def take(self, queue: str) -> Piece | None:
        """The next of a queue."""
        line = self._queues.get(queue)
        if not line:
            return None
        piece = line.popleft()
        self._grow(queue, -piece.size)
        return piece

    def has_turns(self, queue: str) -> bool:
        """Whether keys take turns in it."""
        return isinstance(self._queues.get(queue), Turns)

    def left(self, queue: str) -> int:
        """Messages of a queue, without suspects."""
        return self._sizes.get(queue, 0)

    def queues(self) -> list[str]:
        """The queues with messages, without suspects."""
        return [queue for queue, line in self._queues.items() if line]

    @property
    def is_long(self) -> bool:
        """Whether it has many lines, with messages or without."""
        return len(self._queues) > _LINES

    def forget(self) -> None:
        """Forget lines without messages, if there are many."""
        if self.is_long:
            self._queues = {queue: line for queue, line in self._queues.items() if line}
            self._sizes = {queue: self._sizes[queue] for queue in self._queues}

    def remove(self, ticket: str, offsets: Ranges) -> Ranges:
        """Take these messages of a ticket out of it. Returns those that were in it."""
        gone: list[tuple[int, int]] = []

        def without(piece: Piece) -> list[Piece]:
            if piece.ticket != ticket:
                return [piece]
            left = ranges.minus((piece.start, piece.stop), offsets)
            gone.extend(ranges.pairs(ranges.minus((piece.start, piece.stop), left)))
            return [Piece(ticket, start, stop, piece.key) for start, stop in ranges.pairs(left)]

        self.suspects = deque((queue, left) for queue, piece in self.suspects for left in without(piece))
        self.size -= sum(stop - start for start, stop in gone)
        for queue, line in self._queues.items():
            before = len(gone)
            self._queues[queue] = type(line)([left for piece in line for left in without(piece)])
            self._grow(queue, -sum(stop - start for start, stop in gone[before:]))
        return ranges.union(gone)

    def drain(self) -> Iterator[Piece]:
        """Remove all messages from the pool, and return them."""
        while (suspect := self.take_suspect()) is not None:
            yield suspect[1]
        for queue in self.queues():
            while (piece := self.take(queue)) is not None:
                yield piece

    def _line(self, queue: str, piece: Piece) -> deque[Piece] | Turns:
        line = self._queues.get(queue)
        if line is None or (piece.key and not isinstance(line, Turns)):
            line = self._queues[queue] = Turns(line or ()) if piece.key else deque()
        return line

    def _grow(self, queue: str, many: int) -> None:
        self.size += many
        self._sizes[queue] = self._sizes.get(queue, 0) + many


def pieces_of(ticket: str, held: Held | None, offsets: Ranges) -> list[Piece]:
    """These messages of a ticket; where they have keys, each piece is of one."""
    parts = held.ticket.parts if held is not None else ()
    if not parts or not any(KEYED in part.source for part in (parts[0], parts[-1])):
        return [Piece(ticket, start, stop) for start, stop in ranges.pairs(offsets)]
    pieces: list[Piece] = []
    base = 0
    for part in parts:
        end = base + part.stop - part.start
        key = parse_source(part.source).key
        for start, stop in ranges.pairs(ranges.minus((base, end), ranges.minus((base, end), offsets))):
            if pieces and (pieces[-1].stop, pieces[-1].key) == (start, key):
                pieces[-1] = pieces[-1]._replace(stop=stop)
            else:
                pieces.append(Piece(ticket, start, stop, key))
        base = end
    return pieces
