"""Handles messages of this host that operators have cancelled and that have not ended.

Those that have not begun are given back. Those that run are told, once. What still runs at its time, counted from when
this host has read the mark, ends with its process: as after a time limit that message alone is at fault, and its
neighbours go on elsewhere at no cost, those of its own batch as well.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TypeAlias

from s3queue.core import ranges
from s3queue.core.ledger import Host
from s3queue.core.ranges import EMPTY, Ranges
from s3queue.runtime.agent.loads import Load, Row
from s3queue.runtime.agent.pool import Pool
from s3queue.runtime.local.wire import Interrupt

#: The number of a worker, and the (row, index) of messages that run there.
EndWorker: TypeAlias = Callable[[int, tuple[tuple[int, int], ...]], None]
#: Seconds after which a worker that is still there is asked for again.
_AGAIN_S = 1.0


class Interrupts:
    """
    Attributes:
        is_open: whether anything was marked when it last looked.
    """

    def __init__(self, host: Host, loads: Sequence[Load], pool: Pool, end_worker: EndWorker) -> None:
        self._host, self._loads, self._pool, self._end_worker = host, loads, pool, end_worker
        #: By ticket, what workers were told of.
        self._told: dict[str, Ranges] = {}
        #: By ticket and offset, when its process ends.
        self._ends_at: dict[tuple[str, int], float] = {}
        self.is_open = False

    def heed(self, now: float) -> None:
        """Act on the marks that this host has read."""
        marked = self._host.marked
        self.is_open = bool(marked)
        self._told = {name: self._told.get(name, EMPTY) for name in marked}
        for name, offsets in marked.items():
            if removed := self._pool.remove(name, offsets):
                self._host.release(name, removed)
            if new := ranges.minus(offsets, self._told[name]):
                self._told[name] = offsets
                self._tell(name, new)
        if self._host.forced or self._ends_at:
            self._force(now)

    def _tell(self, name: str, offsets: Ranges) -> None:
        """Ask workers to give back messages that have not begun, then interrupt those that have."""
        for load in self._loads:
            rows = [(number, row) for number, row in load.rows.items() if row.ticket == name and row.left]
            if rows:
                load.recall()
            for number, row in rows:
                indexes = tuple(_in_row(row, offsets))
                if indexes and load.send is not None:
                    load.send(Interrupt(number, indexes))

    def _force(self, now: float) -> None:
        forced = {(name, at): s for name, ends in self._host.forced.items() for at, s in ends.items()}
        self._ends_at = {one: min(self._ends_at.get(one, now + s), now + s) for one, s in forced.items()}
        due = {one for one, at in self._ends_at.items() if at <= now}
        if not due:
            return
        for number, load in enumerate(self._loads):
            late = []
            for place, row in load.rows.items():
                for index in [at - row.base for ticket, at in due if ticket == row.ticket]:
                    # By its state, not by the slots: messages that run together share a slot.
                    if 0 <= index < row.size and index not in row.told and load.journal.is_running(place, index):
                        late.append((place, index))
                        self._ends_at[row.ticket, row.base + index] = now + _AGAIN_S
            if late:
                self._end_worker(number, tuple(late))


def _in_row(row: Row, offsets: Ranges) -> Iterator[int]:
    for at in ranges.members(offsets):
        if row.base <= at < row.base + row.size and at - row.base not in row.told:
            yield at - row.base
