"""What could run in a namespace that nobody coordinates: its summary does not say so.

For autoscalers that end the last host. What is enqueued then is in no summary; nor is a retry or a tick that has become
due.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Collection, Iterator, Sequence
from contextlib import suppress

from s3queue.core.keys import END, Layout, parse_source
from s3queue.core.ops import get, list_page
from s3queue.core.plan.schedules import next_tick
from s3queue.core.records import Board, Control, Schedule, decode
from s3queue.errors import CorruptRecord, QueueError
from s3queue.options import timetable
from s3queue.runtime.drive import Driver
from s3queue.store import Found, Listed, Missing, ObjectStore

__all__ = ["Unled"]

#: Seconds that a look waits for a store that does not answer; the next one tries again.
_PATIENCE_S = 1.0
#: Leases without a new board after which nobody leads. A leader writes three in each.
_LEASES = 2.0
#: Seconds of the lease of a board that does not say.
_LEASE_S = 15.0
_PAGE = 1000


class Unled:
    """For any thread. Nothing is read while nobody asks.

    Args:
        every_s: seconds between two looks, at least. By default 2, and 10 where requests cost money.
    """

    def __init__(self, store: ObjectStore, namespace: str, every_s: float | None = None) -> None:
        self._layout = Layout(namespace)
        self._every_s = (10.0 if store.capabilities.requests_cost else 2.0) if every_s is None else every_s
        self._driver = Driver(store, patience_s=_PATIENCE_S)
        self._lock = threading.Lock()
        self._board: Board | None = None
        self._version: str | None = None
        self._since = 0.0
        self._looked_at = float("-inf")
        self._ready: dict[str, int] = {}

    def ready(
        self, queues: Collection[str] = (), now: float | None = None, now_ms: int | None = None
    ) -> dict[str, int]:
        """By queue, at least so many messages could start now, if a host were there. Empty while somebody leads.

        Args:
            queues: those that are looked for behind a backlog of another one.
            now, now_ms: steady time and wall clock.

        Asks: one GET, without a body while the board is unchanged; where nobody leads one GET and one LIST more, and where
        more than 1,000 batches wait, one for each of these queues and one for what was scheduled.
        """
        now = time.monotonic() if now is None else now
        with self._lock:  # whoever waited for it finds it fresh
            if now - self._looked_at >= self._every_s:
                self._looked_at = now
                with suppress(QueueError):  # what was seen last holds until the store answers
                    now_ms = int(time.time() * 1000) if now_ms is None else now_ms
                    self._ready = self._count(queues, now_ms) if self._is_unled(now) else {}
            return self._ready

    def _is_unled(self, now: float) -> bool:
        found = self._driver.run(get(self._layout.board, self._version))
        if isinstance(found, Missing):
            self._board = self._version = None
        elif isinstance(found, Found):
            self._board = decode(Board, self._layout.board, found.body)
            self._version, self._since = found.version, now
        board = self._board
        if board is None or board.leader is None:
            return True
        return now - self._since > _LEASES * (board.leader_lease or _LEASE_S)

    def _count(self, queues: Collection[str], now_ms: int) -> dict[str, int]:
        control = self._control()
        ready: dict[str, int] = {}
        for queue, many in (*self._on_board(now_ms), *self._ticks(control, now_ms), *self._stored(queues, now_ms)):
            if many and not control.holds(queue, now_ms):
                ready[queue] = ready.get(queue, 0) + many
        return ready

    def _control(self) -> Control:
        found = self._driver.run(get(self._layout.control))
        return decode(Control, self._layout.control, found.body) if isinstance(found, Found) else Control("")

    def _on_board(self, now_ms: int) -> Iterator[tuple[str, int]]:
        """What is ready or due, and what hosts have left behind."""
        if self._board is None:
            return
        for path, state in self._board.sources.items():
            ready = sum(one.stop - one.start for one in state.ready)
            yield parse_source(path).queue, ready + sum(one.due_ms <= now_ms for one in state.waiting)
        for ticket in self._board.tickets.values():
            yield ticket.queue, ticket.left

    def _ticks(self, control: Control, now_ms: int) -> Iterator[tuple[str, int]]:
        """Schedules that are due, or that no coordinator knows yet."""
        for name, schedule in control.schedules.items():
            if not schedule.is_paused(now_ms) and self._is_due(name, schedule, now_ms):
                yield schedule.queue, 1

    def _is_due(self, name: str, schedule: Schedule, now_ms: int) -> bool:
        ticked = self._board.schedules.get(name) if self._board is not None else None
        if ticked is None or ticked.revision != schedule.revision or ticked.gone_ms:
            return True
        after_ms = max(ticked.last_ms, schedule.from_ms, schedule.paused_ms or 0)
        tick_ms = next_tick(schedule, after_ms, timetable.next_tick)
        return tick_ms is not None and tick_ms <= now_ms

    def _stored(self, queues: Collection[str], now_ms: int) -> Iterator[tuple[str, int]]:
        """What is stored and on no board, as far as a few pages show it."""
        layout = self._layout
        # Not after ``inbox`` itself: SeaweedFS leaves out the folder that a listing begins after.
        page = self._driver.run(list_page(layout.home, layout.hosts + END, _PAGE))
        found = dict(self._counted(page, now_ms))
        if len(page) == _PAGE:
            for prefix in (*(layout.queue(queue) for queue in queues if queue not in found), layout.later):
                for queue, many in self._counted(self._driver.run(list_page(prefix, "", _PAGE)), now_ms):
                    found[queue] = max(many, found.get(queue, 0))
        yield from found.items()

    def _counted(self, page: Sequence[Listed], now_ms: int) -> Iterator[tuple[str, int]]:
        known = {} if self._board is None else {**self._board.sources, **self._board.moves}
        counts: dict[str, int] = {}
        for item in page:
            path = self._layout.path(item.key)
            try:
                source = parse_source(path)
            except CorruptRecord:
                continue
            if item.size and path not in known and (source.due_ms is None or source.due_ms <= now_ms):
                counts[source.queue] = counts.get(source.queue, 0) + source.count
        yield from counts.items()
