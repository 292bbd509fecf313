"""Retired pages: the ids of finished sources whose objects are deleted. They are the deduplication window.

A source leaves the board only when its id is on a stored page. The id leaves the window with its page.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Collection
from typing import NamedTuple

from s3queue.core.chores.troubles import Troubles
from s3queue.core.keys import Layout, retired_id
from s3queue.core.ops import Missed, Step, get_within, put
from s3queue.core.records import Board, RetiredPage, decode, encode
from s3queue.core.survey import Survey
from s3queue.errors import CorruptRecord, StoreError
from s3queue.store import Found, Missing, Stored

#: Finished sources on a page, and seconds after which a smaller page is written.
_PAGE_SIZE = 500
_PAGE_AFTER_S = 1.0
#: Finished sources read for one page to prove that they are gone. Few are where no survey lists.
_HIDDEN_AT_ONCE = 100
#: Seconds: time-out of such a read.
_READ_S = 5.0


class Page(NamedTuple):
    key: str
    uptime_ms: int
    sources: tuple[str, ...]


class Pages:
    """
    Attributes:
        pages: oldest first; ``window`` holds the ids on them.
        off: paths of sources whose ids are on a stored page; they may leave the board.
        swept: finished sources that were deleted where no survey lists; a read must prove that they are gone.
        corrupt: pages that cannot be decoded. They are reported, and never deleted.
    """

    def __init__(self, layout: Layout, epoch: int, now: float, troubles: Troubles) -> None:
        self._layout, self._epoch, self._troubles = layout, epoch, troubles
        self._next, self._paged_at, self._is_busy = 0, now, False
        self._gone: list[str] = []
        self._hidden: list[str] = []
        self._uptime_ms = 0
        self._has_work = False
        self._unread: list[str] = []
        self.pages: deque[Page] = deque()
        self.window: set[str] = set()
        self.off: set[str] = set()
        self.swept: set[str] = set()
        self.corrupt: list[CorruptRecord] = []

    # ---- pages of earlier leaders --------------------------------------------------------------------------

    def load(self, keys: Collection[str], now: float) -> Step[None]:
        """Read these pages. A page that cannot be read now is retried later.

        Asks: one Get for each.
        """
        keys = list(keys)
        found = yield from get_within(keys, math.inf)
        for key, outcome in zip(keys, found, strict=True):
            if isinstance(outcome, Missed):
                self._troubles.met(key, outcome.fault or StoreError("get", key), now)
                self._unread.append(key)
            elif isinstance(outcome, Found):
                try:
                    page = decode(RetiredPage, key, outcome.body)
                except CorruptRecord as corrupt:
                    self.corrupt.append(corrupt)
                else:
                    self._remember(Page(key, page.uptime_ms, page.sources))
                self._troubles.over(key)

    def _load_again(self, key: str, now: float) -> Step[bool]:
        self._unread.remove(key)
        yield from self.load([key], now)
        self.pages = deque(sorted(self.pages, key=lambda page: page.key))
        return False

    def _remember(self, page: Page) -> None:
        self.pages.append(page)
        self.window.update(page.sources)

    # ---- new pages -----------------------------------------------------------------------------------------

    def follow(self, board: Board, over: Collection[str], seen: Survey, uptime_ms: int) -> None:
        """Find finished sources and answered requests that are gone, as proven by a listing; behind the head of a queue,
        where no survey lists, as proven by a read."""
        self._gone, self._hidden, self._uptime_ms = [], [], uptime_ms
        self._has_work = bool(board.tickets)
        named = board.sources.keys() | board.answers.keys() if board.answers else board.sources.keys()
        self.off &= named
        self.swept &= named
        for path in over:
            if path in self.off:
                continue
            if seen.shows_gone(self._layout.key(path), path):
                self._gone.append(path)
            elif path in self.swept and not seen.shows(path):
                self._hidden.append(path)
        del self._hidden[_HIDDEN_AT_ONCE:]

    def take(self, now: float) -> Step[bool] | None:
        for key in self._unread:
            if self._troubles.allow(key, now):
                return self._load_again(key, now)
        many = len(self._gone) + len(self._hidden)
        if self._is_busy or not many or (many < _PAGE_SIZE and now < self._paged_at + _PAGE_AFTER_S):
            return None
        if not self._troubles.allow(self._layout.retired, now):
            return None
        gone, hidden, self._gone, self._hidden = self._gone, self._hidden, [], []
        self._is_busy = True
        return self._write(gone, hidden, now)

    def next_at(self) -> float:
        """Steady time at which the next page is due; infinity if no source waits for one."""
        return self._paged_at + _PAGE_AFTER_S if (self._gone or self._hidden) and not self._is_busy else math.inf

    def _write(self, gone: list[str], hidden: list[str], now: float) -> Step[bool]:
        """Asks: one Get for each of the hidden, and one Put."""
        layout, uptime_ms = self._layout, self._uptime_ms
        try:
            looked = yield from get_within([layout.source(path) for path in hidden], _READ_S)
            for path, found in zip(hidden, looked, strict=True):
                if isinstance(found, Missing):
                    gone.append(path)
                elif isinstance(found, Found):
                    self.swept.discard(path)  # a late request of its producer: delete it again
            if not gone:
                return False
            ids = tuple(retired_id(path) for path in gone)
            key = layout.page(self._epoch, self._next)
            self._next += 1
            try:
                outcome = yield from put(key, encode(RetiredPage(ids, uptime_ms)), None)
            except StoreError as fault:
                self._troubles.met(layout.retired, fault, now)
                return False
            self._troubles.over(layout.retired)
            if not isinstance(outcome, Stored):
                # It may have taken effect, or may yet; its content is true. Deleted in its time, whether it exists or
                # not.
                self.pages.append(Page(key, uptime_ms, ()))
                return False
            self._remember(Page(key, uptime_ms, ids))
            self._paged_at = now
            self.off.update(gone)
            return not self._has_work  # while there is work the next cycle comes soon, and takes it over
        finally:
            self._is_busy = False

    # ---- expired pages -------------------------------------------------------------------------------------

    def expired(self, uptime_ms: int, window_s: float) -> list[str]:
        """Keys of the pages that left the window."""
        return [page.key for page in self.pages if page.uptime_ms + window_s * 1000 <= uptime_ms]

    def deleted(self, keys: Collection[str]) -> None:
        """These objects were deleted: expired pages, and sources that no survey lists."""
        gone = set(keys)
        home = self._layout.home
        self.swept.update(self._layout.path(key) for key in gone if key.startswith(home))
        for page in [page for page in self.pages if page.key in gone]:
            self.pages.remove(page)
            self.window.difference_update(page.sources)
