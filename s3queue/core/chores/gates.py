"""Frees the gates of finished sources, and gates that hold only while their source waits once it is about to get a ticket.

A finished source stays on the board until its gate is free, and only then is it deleted and retired: so the window covers
every put that completes it. A source of the second kind is not admitted before its gate is free: a caller that finds the
gate taken called before the message began.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable

from s3queue.core.chores.garbage import delete_each
from s3queue.core.chores.troubles import Troubles
from s3queue.core.keys import Layout, Source, parse_source
from s3queue.core.ops import Step, get, get_within, list_page, write
from s3queue.core.records import Board, Gate, decode, encode_over
from s3queue.errors import CorruptRecord, StoreError
from s3queue.store import Found, Stored

#: Gates freed by one chore.
_AT_ONCE = 20
#: Seconds for which a free gate must have been unchanged before it is deleted, and between two pages of that walk.
_UNCHANGED_S, _WALK_S = 86_400.0, 600.0
#: Seconds until the next page where there are no gates.
_EMPTY_S = 3600.0
#: Seconds: time-out of their reads.
_READ_S = 30.0
#: Most gates that are remembered for this.
_KNOWN = 20_000


class Gates:
    """
    Attributes:
        freed: paths of sources whose gates are known to be free for them.
        held: of finished sources, the others.
    """

    def __init__(self, layout: Layout, now: float, troubles: Troubles) -> None:
        self._layout, self._troubles = layout, troubles
        self._wanted: dict[str, None] = {}
        self._under_way: set[str] = set()
        self._known: dict[str, tuple[str, float]] = {}
        #: Of ``freed``, those that the last board named.
        self._named: set[str] = set()
        self._after, self._walk_at = "", now + _WALK_S
        self.freed: set[str] = set()
        self.held: set[str] = set()

    def follow(self, board: Board, over: Collection[str], opening: Collection[str]) -> None:
        """
        Args:
            board: the committed one.
            over: paths of finished sources on it that have a gate.
            opening: of those that are to be admitted, and of those that came late and are refused: a gate that came late,
                too, would hold for them for ever.
        """
        self._wanted = dict.fromkeys([*over, *opening])
        # A gate that is free for a source stays so: a source that a survey passes over (in a crowd) is admitted when it is
        # seen again. It is forgotten once it was on a board and is not any more.
        named = self.freed & board.sources.keys()
        over_now = self._named - named if len(self.freed) <= _KNOWN else self.freed - named
        self.freed -= over_now - self._wanted.keys()
        self._named = named
        self.held = {path for path in over if path not in self.freed}

    def take(self, now: float, now_ms: int, nonce: str) -> Step[bool] | None:
        due: list[str] = []
        for path in self._wanted:
            is_open = path not in self.freed and path not in self._under_way
            if is_open and self._troubles.allow(_key(self._layout, path), now):
                due.append(path)
                if len(due) == _AT_ONCE:
                    break
        if due:
            self._under_way.update(due)
            return self._free(due, now, nonce)
        if now >= self._walk_at:
            self._walk_at = now + _WALK_S
            return self._walk(now, now_ms)
        return None

    def _free(self, paths: list[str], now: float, nonce: str) -> Step[bool]:
        """Asks: for each, one Get, and one Put where the gate holds for it."""
        done = False
        try:
            for number, path in enumerate(paths):
                key = _key(self._layout, path)
                try:
                    is_free = yield from free(self._layout, path, f"{nonce}.g{number}")
                except (StoreError, CorruptRecord) as fault:
                    self._troubles.met(key, fault, now)
                    continue
                if is_free:
                    self._troubles.over(key)
                    self.freed.add(path)
                    done = True
        finally:
            self._under_way.difference_update(paths)
        return done

    # ---- sweeping ------------------------------------------------------------------------------------------

    def _walk(self, now: float, now_ms: int) -> Step[bool]:
        """Delete gates that are free, whose window is over, and that nobody has changed for a day. A caller that takes
        one in that very second may lose it.

        Asks: one List; one Get for each that is unchanged for so long; one Delete where any is deleted.
        """
        prefix = self._layout.gates
        try:
            page = yield from list_page(prefix, self._after)
            unchanged: list[str] = []
            old: list[str] = []
            for item in page:
                version, since = self._known.get(item.key, ("", now))
                if version != item.version:
                    if len(self._known) < _KNOWN:
                        self._known[item.key] = item.version, now
                elif now - since >= _UNCHANGED_S:
                    unchanged.append(item.key)
            looked = yield from get_within(unchanged, _READ_S)  # an unreadable gate delays no other
            for key, found in zip(unchanged, looked, strict=True):
                if isinstance(found, Found) and found.version == self._known[key][0] and _is_over(key, found, now_ms):
                    old.append(key)
                    self._known.pop(key)
            for left in (yield from delete_each(old)):
                self._troubles.met(f"{prefix}*", left, now)
        except StoreError as fault:
            self._troubles.met(prefix, fault, now)
            return False
        self._after = page[-1].key if len(page) == 1000 else ""
        if not page:
            self._walk_at = now + _EMPTY_S
        return False


def free(layout: Layout, path: str, nonce: str) -> Step[bool]:
    """Free the gate of a source, unless it holds for another source. Returns whether it no longer holds for this one.

    Asks: one Get, and one Put where it holds for this source.
    """
    key = _key(layout, path)
    found = yield from get(key)
    if not isinstance(found, Found):
        return True
    gate = decode(Gate, key, found.body)
    if gate.path != path or not gate.held:
        return True
    freed = Gate(nonce, path, False, gate.made_ms, gate.window_ms)
    outcome = yield from write(
        key, encode_over(freed, gate, found.body), nonce=nonce, if_version=found.version, tries=2
    )
    return isinstance(outcome, Stored)


def gated(paths: Iterable[str]) -> list[str]:
    """Those of these sources that have a gate."""
    return [path for path in paths if "_" in path and parse_source(path).gate]


def _key(layout: Layout, path: str) -> str:
    source: Source = parse_source(path)
    return layout.gate(source.queue, source.gate)


def _is_over(key: str, found: Found, now_ms: int) -> bool:
    try:
        gate = decode(Gate, key, found.body)
    except CorruptRecord:
        return False
    return not gate.held and gate.made_ms + gate.window_ms < now_ms
