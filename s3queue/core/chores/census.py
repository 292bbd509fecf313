"""The census: counts the batches that no survey lists, page by page, so that the length of a long backlog is known.

It lists all waiting batches, and starts again as long as there is work and a survey sees only the heads of queues. Messages
that were admitted since it began are subtracted, so it never counts more than there are. Its counts are usable before it
ends: a million batches take a thousand pages.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from s3queue.core.chores.troubles import Troubles
from s3queue.core.keys import END, Layout, parse_source
from s3queue.core.ops import Step, list_page
from s3queue.core.records import Board, Tally
from s3queue.core.tally import of
from s3queue.errors import CorruptRecord, StoreError

#: Least seconds from the beginning of one census to that of the next.
_ANEW_S = 60.0
#: Due times are counted by minute, for at most this many minutes; later ones are left out.
_MINUTE_MS, _MOST_MINUTES = 60_000, 20_000
_PAGE = 1000


@dataclass
class _Walk:
    """
    Attributes:
        ready: by queue, messages of batches that were not on the board.
        due: by queue, whether they were moved off the board, and minute: messages that were not due.
        admitted: by queue, messages that came to the board since it began.
    """

    began: float
    began_ms: int
    sequence: tuple[int, int]
    after: str
    ready: dict[str, int] = field(default_factory=dict)
    due: dict[tuple[str, bool, int], int] = field(default_factory=dict)
    admitted: dict[str, int] = field(default_factory=dict)


class Census:
    """
    Args:
        gap_s: seconds between two pages, at least.
    """

    def __init__(self, layout: Layout, gap_s: float, troubles: Troubles) -> None:
        self._layout, self._gap_s, self._troubles = layout, gap_s, troubles
        self._board: Board | None = None
        self._walk: _Walk | None = None
        self._last: _Walk | None = None
        self._at, self._is_under_way = 0.0, False

    def follow(self, board: Board, is_partial: bool, now: float, now_ms: int) -> None:
        """This board is the committed one.

        Args:
            is_partial: the last survey has not seen everything.
        """
        before, self._board = self._board, board
        if not is_partial:
            self._walk = self._last = None
            return
        if before is not None and (self._walk or self._last):
            for path in board.sources.keys() - before.sources.keys():
                source = parse_source(path)
                for walk in (self._walk, self._last):
                    if walk is not None:
                        walk.admitted[source.queue] = walk.admitted.get(source.queue, 0) + source.count
        sequence = board.epoch, board.sequence
        last = self._last
        if self._walk is None and (last is None or (last.sequence != sequence and now - last.began >= _ANEW_S)):
            # Not after ``inbox`` itself: SeaweedFS leaves out the folder that a listing begins after.
            self._walk = _Walk(now, now_ms, sequence, self._layout.hosts + END)

    @property
    def counted_ms(self) -> int:
        """Wall clock at which the last complete census began; 0: none is complete."""
        return 0 if self._last is None else self._last.began_ms

    def at_least(self, now_ms: int) -> dict[str, Tally]:
        """By queue, how many messages that are not on the board are ready, scheduled or waiting: as counted by the last
        census or by the one under way, whichever counted more."""
        queues: dict[str, Tally] = {}
        for walk in (self._last, self._walk):
            for queue, found in _told(walk, now_ms).items() if walk is not None else ():
                tally = of(queues, queue)
                tally.ready = max(tally.ready, found.ready)
                tally.scheduled = max(tally.scheduled, found.scheduled)
                tally.waiting = max(tally.waiting, found.waiting)
        return queues

    def take(self, now: float, now_ms: int) -> Step[bool] | None:
        if self._walk is None or self._is_under_way or now < self._at:
            return None
        self._is_under_way, self._at = True, now + self._gap_s
        return self._page(self._walk, now, now_ms)

    def next_at(self) -> float | None:
        return None if self._walk is None or self._is_under_way else self._at

    def _page(self, walk: _Walk, now: float, now_ms: int) -> Step[bool]:
        """Asks: one List."""
        try:
            page = yield from list_page(self._layout.home, walk.after, _PAGE)
        except StoreError as fault:
            self._troubles.met(self._layout.inbox, fault, now)
            self._at = now + 10 * self._gap_s
            return False
        finally:
            self._is_under_way = False
        self._troubles.over(self._layout.inbox)
        board = self._board
        for item in page:
            path = self._layout.path(item.key)
            if board is not None and (path in board.sources or path in board.moves):
                continue
            try:
                self._count(walk, path, now_ms)
            except CorruptRecord:
                continue  # the survey tells of it
        if len(page) < _PAGE:
            if self._walk is walk:
                self._walk, self._last = None, walk
        else:
            walk.after = page[-1].key
        return False

    @staticmethod
    def _count(walk: _Walk, path: str, now_ms: int) -> None:
        source = parse_source(path)
        if source.due_ms is None or source.due_ms <= now_ms:
            walk.ready[source.queue] = walk.ready.get(source.queue, 0) + source.count
            return
        minute = source.queue, source.moved, source.due_ms // _MINUTE_MS
        if minute in walk.due or len(walk.due) < _MOST_MINUTES:
            walk.due[minute] = walk.due.get(minute, 0) + source.count


def _told(walk: _Walk, now_ms: int) -> dict[str, Tally]:
    """By queue, the messages that it has found so far and that are still there."""
    queues: dict[str, Tally] = {}
    for queue, many in walk.ready.items():
        of(queues, queue).ready = max(0, many - walk.admitted.get(queue, 0))
    for (queue, moved, minute), many in walk.due.items():
        if minute * _MINUTE_MS > now_ms:
            tally = of(queues, queue)
            if moved:
                tally.waiting += many
            else:
                tally.scheduled += many
    return queues
