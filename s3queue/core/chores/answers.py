"""Answers to requests: stored for whoever asked, and swept an hour later."""

from __future__ import annotations

from s3queue.core.chores.garbage import delete_each
from s3queue.core.chores.troubles import Troubles
from s3queue.core.keys import Layout
from s3queue.core.ops import Step, Unknown, list_page, put
from s3queue.core.records import Answer, Board, encode
from s3queue.errors import StoreError

#: Seconds for which an answer is kept, and between two sweeps of those that are older.
KEEP_S = 3600.0
_SWEEP_S = 600.0
#: Answers in a page, and most pages of one sweep, which begins with the oldest.
_PAGE, _PAGES = 1000, 20


class Answers:
    """
    Attributes:
        stored: requests whose answers are stored, and which the board still names.
    """

    def __init__(self, layout: Layout, now: float, troubles: Troubles) -> None:
        self._layout, self._troubles = layout, troubles
        self._wanted: dict[str, str] = {}
        self._under_way: set[str] = set()
        self._sweep_at = now + _SWEEP_S
        #: Answers that a sweep found, and when first.
        self._seen: dict[str, float] = {}
        self.stored: set[str] = set()

    def follow(self, board: Board) -> None:
        self._wanted = board.answers
        self.stored &= board.answers.keys()

    def take(self, now: float) -> Step[bool] | None:
        for request in self._wanted:
            is_open = request not in self.stored and request not in self._under_way
            if is_open and self._troubles.allow(self._layout.answer(request), now):
                self._under_way.add(request)
                return self._store(request, self._wanted[request], now)
        if now >= self._sweep_at:
            self._sweep_at = now + _SWEEP_S
            return self._sweep(now)
        return None

    def _store(self, request: str, answer: str, now: float) -> Step[bool]:
        """Two coordinators that do this for the same board store the same object. Asks: one Put."""
        key = self._layout.answer(request)
        try:
            outcome = yield from put(key, encode(Answer(request, answer)), None)
        except StoreError as fault:
            self._troubles.met(key, fault, now)
            return False
        finally:
            self._under_way.discard(request)
        if isinstance(outcome, Unknown):
            self._troubles.met(key, StoreError("put", key), now)
            return False
        self._troubles.over(key)  # a Conflict: it was stored before
        self.stored.add(request)
        return False

    def _sweep(self, now: float) -> Step[bool]:
        """Delete the answers that were there an hour ago. Asks: one List for each 1,000, and one Delete where there are
        any."""
        seen: dict[str, float] = {}
        after = ""
        try:
            for _ in range(_PAGES):
                page = yield from list_page(self._layout.answers, after)
                seen.update((item.key, self._seen.get(item.key, now)) for item in page)
                if len(page) < _PAGE:
                    break
                after = page[-1].key
            self._seen = seen
            old = [key for key, at in seen.items() if now - at >= KEEP_S]
            for left in (yield from delete_each(old)):
                self._troubles.met(f"{self._layout.answers}*", left, now)
        except StoreError as fault:
            self._troubles.met(self._layout.answers, fault, now)
        return False
