"""Deletes results that have expired, an hour later.

A walk lists the results, page by page, and reads each result once when it is new and once when it is due. Of a walked range
only the time is kept at which its first result is due. So memory grows with the number of ranges.

A result is deleted when three things hold, all of which stay true:

- it expired so long ago that no clock of a host disagrees, by a time that was taken before it was read;
- the committed board does not list its life of the message, and was committed after its ticket was assigned. So that life
  is over, and nothing of it can replace this result any more. So a replaced coordinator does not take a life for over
  because it has not heard of it;
- the message is not among those that were moved off the board.
"""

from __future__ import annotations

import math
from collections.abc import Collection
from dataclasses import dataclass

from s3queue.core.chores.garbage import delete_each
from s3queue.core.chores.troubles import Troubles
from s3queue.core.keys import END, Layout, MessageRef, life_path, parse_message_id, parse_source
from s3queue.core.ops import Step, get_within, list_page
from s3queue.core.plan.settings import Settings
from s3queue.core.records import Board, Result, decode_result
from s3queue.core.results import find_moved, is_listed, is_older
from s3queue.errors import CorruptRecord, StoreError
from s3queue.store import Found

#: Results of one page: they are in memory together, and some are large.
_PAGE = 50
#: Seconds: time-out of their reads.
_READ_S = 30.0
#: Share of the time that an expired result is kept, after which a range is walked again at the earliest.
_SOONEST = 1 / 6


@dataclass
class _Range:
    """Results behind ``after``, up to ``last``, and the steady time at which the first of them is due."""

    after: str
    last: str
    due: float


class Results:
    def __init__(self, layout: Layout, now: float, settings: Settings, troubles: Troubles) -> None:
        self._layout, self._settings, self._troubles = layout, settings, troubles
        self._board: Board | None = None
        self._pinned: Collection[str] = ()
        self._ranges = [_Range("", END, now + settings.result_grace_s * _SOONEST)]
        self._at, self._is_under_way = 0.0, False

    def follow(self, board: Board, pinned: Collection[str] = ()) -> None:
        """This board is the committed one.

        Args:
            pinned: sources of which only a newer release knows where each message is.
        """
        self._board, self._pinned = board, pinned

    def take(self, now: float, now_ms: int) -> Step[bool] | None:
        if self._is_under_way or now < self._at or self._board is None:
            return None
        due = next((one for one in self._ranges if one.due <= now), None)
        if due is None or not self._troubles.allow(self._layout.results, now):
            return None
        self._is_under_way, self._at = True, now + self._settings.census_s
        return self._walk(due, self._board, now, now_ms)

    def next_at(self) -> float:
        """Steady time at which the next page is due; infinity if one is under way."""
        return math.inf if self._is_under_way else max(self._at, min(one.due for one in self._ranges))

    def _walk(self, where: _Range, board: Board, now: float, now_ms: int) -> Step[bool]:
        """One page of a range.

        Args:
            now, now_ms: taken before this step was started.

        Asks: one List, one Get for each result, one Delete where any is due; where a message of its queue is moved off the
        board, for each that is due as `find_moved`.
        """
        layout, soonest = self._layout, now + self._settings.result_grace_s * _SOONEST
        try:
            listed = yield from list_page(layout.results, where.after, _PAGE)
            keys = [item.key for item in listed if item.key <= where.last]
            found = yield from get_within(keys, _READ_S)
            over, waits_ms = [], []
            for key, one in zip(keys, found, strict=True):
                due_ms = self._due_ms(key, one) if isinstance(one, Found) else now_ms
                if due_ms is None:
                    continue
                if due_ms > now_ms or not isinstance(one, Found) or not (yield from self._is_over(key, one, board)):
                    waits_ms.append(due_ms)
                    continue
                over.append(key)
            faults = yield from delete_each(over)
        except StoreError as fault:
            self._troubles.met(layout.results, fault, now)
            return False
        finally:
            self._is_under_way = False
        self._troubles.over(layout.results)
        for left in faults:
            self._troubles.met(f"{layout.results}*", left, now)
            waits_ms.append(now_ms)  # some of them are still there
        rest = where.last
        if len(listed) == _PAGE and keys and keys[-1] < rest:
            where.last = keys[-1]
            self._ranges.insert(self._ranges.index(where) + 1, _Range(keys[-1], rest, now))
        due_ms = min(waits_ms, default=now_ms + int(self._settings.result_grace_s * 1000))
        where.due = max(soonest, now + (due_ms - now_ms) / 1000)
        if not waits_ms and len(self._ranges) > 1:
            self._merge(where)
        return False

    def _merge(self, empty: _Range) -> None:
        """Nothing is left in this range: its neighbour covers it."""
        at = self._ranges.index(empty)
        del self._ranges[at]
        if at:
            self._ranges[at - 1].last = empty.last
        else:
            self._ranges[0].after = empty.after

    def _due_ms(self, key: str, found: Found) -> int | None:
        """None: unknown; the result stays where it is."""
        try:
            return decode_result(key, found.body).expires_ms + int(self._settings.result_grace_s * 1000)
        except CorruptRecord:
            return None

    def _is_over(self, key: str, found: Found, board: Board) -> Step[bool]:
        """Whether the life that this result belongs to is settled on this board."""
        try:
            result = decode_result(key, found.body)
            ref = _life(result)
            queue = parse_source(ref.path).queue
        except CorruptRecord:
            return False
        if not is_older(result, board) or is_listed(board, ref) or ref.path in self._pinned:
            return False
        totals = board.totals.get(queue)
        if totals is not None and totals.moved and result.life == 1:
            try:
                return (yield from find_moved(self._layout, result.message)) is None
            except StoreError:
                return False  # nobody can tell now
        return True


def _life(result: Result) -> MessageRef:
    """Where a board has it. Raises `CorruptRecord`."""
    first = parse_message_id(result.message)
    return first if result.life == 1 else MessageRef(first.part, life_path(result.message, result.life), 0)
