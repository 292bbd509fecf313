"""Workers in virtual time: slots, and readers beside them.

It follows `s3queue.runtime.worker.sources` and `slots`: sources are read side by side, as far as the production `Room`
allows; a message goes to a slot when its source is there, and slots are charged as there. What is left out: everything that
fails.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

from s3queue.core.keys import parse_source
from s3queue.core.records import Part
from s3queue.runtime.local.journal import OK
from s3queue.runtime.local.wire import Deal, Finished, Note, Recall, Returned
from s3queue.runtime.worker.dealt import Body
from s3queue.runtime.worker.room import Room
from s3queue.runtime.worker.sources import READERS

if TYPE_CHECKING:
    from stress.scale.hosts import SimHost

#: Seconds that a note takes from the agent to a worker, or back.
HOP_S = 0.0003


class _Dealt:
    """A `Deal` at work; fields as in `s3queue.runtime.worker.dealt.Dealt`."""

    __slots__ = ("busy_s", "came", "left", "row", "run_s")

    def __init__(self, row: int, came: float, left: int) -> None:
        self.row, self.came, self.left = row, came, left
        self.busy_s = self.run_s = 0.0


class _Piece:
    """The messages of one part of a deal."""

    __slots__ = ("body", "dealt", "first", "left", "part")

    def __init__(self, dealt: _Dealt, first: int, part: Part) -> None:
        self.dealt, self.first, self.part = dealt, first, part
        self.left = part.stop - part.start
        self.body: Body | None = None


class Worker:
    """One process."""

    def __init__(self, host: SimHost, number: int, budget: int) -> None:
        self._host, self._number = host, number
        self._sim, self._world, self._store, self._layout = host.sim, host.world, host.sim.store, host.layout
        self._journal = host.journal.worker(number)
        self._ready: deque[tuple[_Piece, int]] = deque()
        self._idle = [(slot, 0.0) for slot in range(host.journal.concurrency)]
        self._wanted: dict[str, list[_Piece]] = {}
        self._pending: deque[str] = deque()
        self._reading: set[str] = set()
        self._room = Room(budget)

    # ---- notes ---------------------------------------------------------------------------------------------

    def send(self, note: Note) -> None:
        """By the agent."""
        self._world.after(HOP_S, self._receive, note)

    def _receive(self, note: Note) -> None:
        if self._host.dead:
            return
        match note:
            case Deal(row, _, _, parts):
                self._deal(row, parts)
            case Recall():
                self._give_back()
            case _:
                pass
        self.go_on()

    def _tell(self, note: Note) -> None:
        self._world.after(HOP_S, self._host.hear, (self._number, note))

    def _deal(self, row: int, parts: tuple[Part, ...]) -> None:
        dealt = _Dealt(row, self._world.now, sum(part.stop - part.start for part in parts))
        first = 0
        for part in parts:
            piece = _Piece(dealt, first, part)
            first += piece.left
            source = part.source
            if (kept := self._room.kept(source)) is not None:
                self._feed(piece, kept)
            elif source in self._wanted:
                self._wanted[source].append(piece)
            else:
                self._wanted[source] = [piece]
                if source not in self._reading:
                    self._pending.append(source)
        self._read()

    def _give_back(self) -> None:
        given = list(self._ready)
        for piece, _ in given:
            self._less(piece)
        for pieces in self._wanted.values():
            given += [(piece, number) for piece in pieces for number in range(piece.left)]
        self._ready.clear()
        self._wanted.clear()
        self._pending.clear()
        self._tell(Returned(tuple((piece.dealt.row, piece.first + number) for piece, number in given)))
        for piece, _ in given:
            self._end(piece.dealt)

    # ---- sources -------------------------------------------------------------------------------------------

    def _read(self) -> None:
        """Begin as many reads as there are readers and room for."""
        while self._pending and len(self._reading) < READERS and self._room.left() > 0:
            source = self._pending.popleft()
            self._reading.add(source)
            self._room.under_way += 1
            self._world.after(self._store.read_s(self._layout.source(source), "worker"), self._was_read, source)

    def _was_read(self, source: str) -> None:
        if self._host.dead:
            return
        self._reading.discard(source)
        self._room.under_way -= 1
        body = Body([], self._store.size(self._layout.source(source)))
        self._room.holds(body)
        count, pieces = parse_source(source).count, self._wanted.pop(source, [])
        if any(piece.left < count for piece in pieces):
            self._room.keep(source, body)
        for piece in pieces:
            self._feed(piece, body)
        self._room.let_go(body)
        self._read()
        self.go_on()

    def _feed(self, piece: _Piece, body: Body) -> None:
        piece.body = body
        body.pieces += 1
        self._ready.extend((piece, number) for number in range(piece.left))

    # ---- slots ---------------------------------------------------------------------------------------------

    def go_on(self) -> None:
        """Start what may be started."""
        now, trust = self._world.now, self._host.journal.trust
        while self._ready and self._idle and now <= trust[0]:
            slot, since = self._idle.pop()
            piece, number = self._ready.popleft()
            run_s = self._sim.starts(piece.part, number)
            self._journal.start(slot, piece.dealt.row, piece.first + number, now)
            # A slot that had nothing to do while the message was here already waited for its source.
            self._world.after(run_s, self._ended, (slot, piece, max(since, piece.dealt.came), now))

    def _ended(self, what: tuple[int, _Piece, float, float]) -> None:
        if self._host.dead:
            return
        slot, piece, free, started = what
        now, dealt = self._world.now, piece.dealt
        self._journal.finish(slot, OK)
        dealt.busy_s += now - free
        dealt.run_s += now - started
        self._less(piece)
        self._end(dealt)
        self._idle.append((slot, now))
        self._read()
        self.go_on()

    def _end(self, dealt: _Dealt) -> None:
        dealt.left -= 1
        if not dealt.left:
            self._tell(Finished(dealt.row, dealt.busy_s, dealt.run_s))

    def _less(self, piece: _Piece) -> None:
        piece.left -= 1
        if not piece.left and piece.body is not None:
            self._room.drop(piece.body)
