"""Counts what could run in a namespace without a coordinator, because its summary does not say it.

For autoscalers that end the last host, and for alerts when the last one dies. What is enqueued then is in no summary; nor
is a retry or a tick that has become due, nor that no host lives.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import suppress
from typing import NamedTuple

from msgspec.structs import replace

from s3queue.core.keys import END, MAX_ORDER, Layout, Source, parse_source
from s3queue.core.ops import get, list_page
from s3queue.core.plan.schedules import next_tick
from s3queue.core.records import Board, Control, Schedule, decode, known_of
from s3queue.errors import CorruptRecord, QueueError
from s3queue.io.drive import Driver
from s3queue.observe.stats import QueueStats, Stats
from s3queue.options import timetable
from s3queue.store import Found, Listed, Missing, ObjectStore

__all__ = ["Unled", "Waiting", "as_unled"]

#: Seconds that a look waits for a store that does not answer; the next one tries again.
_PATIENCE_S = 1.0
#: Leases without a new board after which nobody leads. A leader writes three in each.
_LEASES = 2.0
#: Seconds of the lease of a board that does not say.
_LEASE_S = 15.0
_PAGE = 1000


class Waiting(NamedTuple):
    """At least so many messages of a queue could start now, the oldest of which was enqueued then."""

    ready: int
    oldest_ms: int


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
        self._seen: dict[str, Waiting] | None = None

    def look(
        self, queues: Collection[str] = (), now: float | None = None, now_ms: int | None = None
    ) -> Mapping[str, Waiting] | None:
        """By queue, what could start now, if a host were there. None while somebody leads.

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
                    self._seen = self._count(queues, now_ms) if self._is_unled(now) else None
            return self._seen

    def _is_unled(self, now: float) -> bool:
        found = self._driver.run(get(self._layout.board, self._version))
        if isinstance(found, Missing):
            self._board = self._version = None
        elif isinstance(found, Found):
            self._board = known_of(decode(Board, self._layout.board, found.body))
            self._version, self._since = found.version, now
        board = self._board
        if board is None or board.leader is None:
            return True
        return now - self._since > _LEASES * (board.leader_lease or _LEASE_S)

    def _count(self, queues: Collection[str], now_ms: int) -> dict[str, Waiting]:
        control = self._control()
        seen: dict[str, Waiting] = {}
        for queue, found in (*self._on_board(now_ms), *self._ticks(control, now_ms), *self._stored(queues, now_ms)):
            if found.ready and not control.holds(queue, now_ms):
                known = seen.get(queue, Waiting(0, found.oldest_ms))
                seen[queue] = Waiting(known.ready + found.ready, min(known.oldest_ms, found.oldest_ms))
        return seen

    def _control(self) -> Control:
        found = self._driver.run(get(self._layout.control))
        return decode(Control, self._layout.control, found.body) if isinstance(found, Found) else Control("")

    def _on_board(self, now_ms: int) -> Iterator[tuple[str, Waiting]]:
        """What is ready or due, and what hosts have left behind."""
        if self._board is None:
            return
        for path, state in self._board.sources.items():
            source = parse_source(path)
            ready = sum(one.stop - one.start for one in state.ready)
            due = sum(one.due_ms <= now_ms for one in state.waiting)
            yield source.queue, Waiting(ready + due, _sent_ms(source) if ready else now_ms)
        for ticket in self._board.tickets.values():
            yield ticket.queue, Waiting(ticket.left, _sent_ms(parse_source(ticket.parts[0].source)))

    def _ticks(self, control: Control, now_ms: int) -> Iterator[tuple[str, Waiting]]:
        """Schedules that are due, or that no coordinator knows yet."""
        for name, schedule in control.schedules.items():
            if not schedule.is_paused(now_ms) and self._is_due(name, schedule, now_ms):
                yield schedule.queue, Waiting(1, now_ms)

    def _is_due(self, name: str, schedule: Schedule, now_ms: int) -> bool:
        ticked = self._board.schedules.get(name) if self._board is not None else None
        if ticked is None or ticked.revision != schedule.revision or ticked.gone_ms:
            return True
        after_ms = max(ticked.last_ms, schedule.from_ms, schedule.paused_ms or 0)
        tick_ms = next_tick(schedule, after_ms, timetable.next_tick)
        return tick_ms is not None and tick_ms <= now_ms

    def _stored(self, queues: Collection[str], now_ms: int) -> Iterator[tuple[str, Waiting]]:
        """What is stored and on no board, as far as a few pages show it."""
        layout = self._layout
        # Not after ``inbox`` itself: SeaweedFS leaves out the folder that a listing begins after.
        page = self._driver.run(list_page(layout.home, layout.hosts + END, _PAGE))
        seen = self._counted(page, now_ms)
        if len(page) == _PAGE:
            for prefix in (*(layout.queue(queue) for queue in queues if queue not in seen), layout.later):
                more = self._counted(self._driver.run(list_page(prefix, "", _PAGE)), now_ms)
                for queue, found in more.items():
                    if queue not in seen or found.ready > seen[queue].ready:
                        seen[queue] = found
        yield from seen.items()

    def _counted(self, page: Sequence[Listed], now_ms: int) -> dict[str, Waiting]:
        known = {} if self._board is None else {**self._board.sources, **self._board.moves}
        counts: dict[str, Waiting] = {}
        for item in page:
            path = self._layout.path(item.key)
            try:
                source = parse_source(path)
            except CorruptRecord:
                continue
            if item.size and path not in known and (source.due_ms is None or source.due_ms <= now_ms):
                since_ms = max(_sent_ms(source), source.due_ms or 0)
                before = counts.get(source.queue, Waiting(0, since_ms))
                counts[source.queue] = Waiting(before.ready + source.count, min(before.oldest_ms, since_ms))
        return counts


def _sent_ms(source: Source) -> int:
    return min(source.order, MAX_ORDER - source.order)


def as_unled(seen: Stats | None, unled: Mapping[str, Waiting] | None, now_ms: float | None = None) -> Stats | None:
    """What the coordinator said last, put right where nobody leads any more: no host lives, so nothing runs.

    Args:
        unled: None: somebody leads, and what was said holds.
    """
    if unled is None or (seen is None and not unled):
        return seen
    now_ms = time.time() * 1000 if now_ms is None else now_ms
    said = Stats("", "") if seen is None else seen
    queues = {queue: replace(counts, running=0, hosts=0) for queue, counts in said.queues.items()}
    for queue, found in unled.items():
        counts = queues.get(queue, QueueStats())
        age_s = max(0.0, (now_ms - found.oldest_ms) / 1000, counts.oldest_s or 0.0)
        queues[queue] = replace(counts, ready=max(counts.ready, found.ready), oldest_s=age_s, at_least=True)
    return replace(said, queues=queues, hosts=[replace(host, over=True, busy=0) for host in said.hosts])
