"""Deletes expired tombstones, and has old dead letters purged if a retention is set.

A walk lists the letters of all queues, page by page, and reads those whose messages are old enough: the key of a letter
contains the time. A tombstone never changes, so any coordinator may delete it. A dead letter may be redriven meanwhile: it
is handed to the plan, which purges it as if an operator had asked for that.
"""

from __future__ import annotations

import contextlib
import math

from s3queue.core.chores.garbage import delete_each
from s3queue.core.chores.letter import payload_keys
from s3queue.core.chores.redrives import Redrives
from s3queue.core.chores.troubles import Troubles
from s3queue.core.keys import MAX_ORDER, Layout, parse_message_id, parse_source
from s3queue.core.ops import Step, get_within, list_page
from s3queue.core.plan.settings import Settings
from s3queue.core.records import Chosen, DeadLetter, decode
from s3queue.errors import CorruptRecord, StoreError
from s3queue.store import Found

#: Letters of one page: they are in memory together.
_PAGE = 100
#: Seconds: time-out of their reads.
_READ_S = 30.0
#: Walks within the shorter of the two retentions.
_WALKS = 8


class Retention:
    def __init__(self, layout: Layout, now: float, settings: Settings, troubles: Troubles, redrives: Redrives) -> None:
        self._layout, self._settings, self._troubles, self._redrives = layout, settings, troubles, redrives
        self._every_s = min(settings.dead_retention, settings.letter_retention) / _WALKS
        self._after, self._at, self._is_under_way = "", now + self._every_s, False

    def take(self, now: float, now_ms: int) -> Step[bool] | None:
        if self._is_under_way or now < self._at or not self._troubles.allow(self._prefix, now):
            return None
        self._is_under_way = True
        return self._walk(now, now_ms)

    def next_at(self) -> float:
        """Steady time at which the next page is due; infinity if one is under way."""
        return math.inf if self._is_under_way else self._at

    @property
    def _prefix(self) -> str:
        return f"{self._layout.root}/dead/"

    def _walk(self, now: float, now_ms: int) -> Step[bool]:
        """One page.

        Args:
            now, now_ms: taken before this step was started.

        Asks: one List, one Get for each letter of a message that was sent so long ago, one Delete where any is over.
        """
        settings = self._settings
        shortest_ms = int(min(settings.dead_retention, settings.letter_retention) * 1000)
        try:
            page = yield from list_page(self._prefix, self._after, _PAGE)
            keys = [item.key for item in page if _sent_ms(item.key) + shortest_ms <= now_ms]
            found = yield from get_within(keys, _READ_S)
            over: list[str] = []
            old: dict[str, list[Chosen]] = {}
            for key, one in zip(keys, found, strict=True):
                letter = _letter(key, one)
                if letter is None or not isinstance(one, Found):
                    continue
                if letter.tombstone:
                    if max(letter.ended_ms, letter.died_ms) + settings.dead_retention * 1000 <= now_ms:
                        with contextlib.suppress(CorruptRecord):  # a message of a newer release: it is left where it is
                            over += [key, *payload_keys(self._layout, letter.message, letter.life)]
                elif letter.died_ms + settings.letter_retention * 1000 <= now_ms:
                    old.setdefault(letter.queue, []).append(Chosen(letter.message, letter.life, one.version))
            faults = yield from delete_each(over)
            for queue, letters in old.items():
                self._redrives.forget(queue, letters)
        except StoreError as fault:
            self._troubles.met(self._prefix, fault, now)
            return False
        finally:
            self._is_under_way = False
        self._troubles.over(self._prefix)
        for left in faults:
            self._troubles.met(f"{self._prefix}*", left, now)
        is_last = len(page) < _PAGE
        self._after = "" if is_last else page[-1].key
        self._at = now + (self._every_s if is_last else settings.census_s)
        return False


def _sent_ms(key: str) -> int:
    """When the message of a letter was enqueued, by its key. Of one whose id is cut: 0."""
    try:
        order = parse_source(parse_message_id(key.rpartition("/")[2]).path).order
    except CorruptRecord:
        return 0
    return min(order, MAX_ORDER - order)


def _letter(key: str, found: object) -> DeadLetter | None:
    if not isinstance(found, Found):
        return None
    try:
        return decode(DeadLetter, key, found.body)
    except CorruptRecord:
        return None  # it is left where it is
