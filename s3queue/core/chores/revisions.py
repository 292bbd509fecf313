"""Objects of schedules that were edited or removed: deleted once no message of theirs is on the committed board.

A revision that a board calls old is never used again, by this coordinator or a later one. A process may end after it stored
an object and before it changed the control. Such an object is found by a walk, and deleted a day after it was made, if this
coordinator has seen for an hour that nothing names it.
"""

from __future__ import annotations

from collections.abc import Collection

from s3queue.core.chores.garbage import delete_each
from s3queue.core.chores.troubles import Troubles
from s3queue.core.keys import TICKS, Layout, parse_source
from s3queue.core.ops import Step, get, get_within, list_page
from s3queue.core.records import Board, Control, decode, decode_batch
from s3queue.errors import CorruptRecord, StoreError
from s3queue.store import Found

#: Seconds between two pages of the walk, and for which nothing may have named an object.
_WALK_S, _UNNAMED_S = 600.0, 3600.0
#: Milliseconds that an object must be old: far longer than anybody takes from storing it to naming it.
_OLD_MS = 86_400_000
#: Objects of one page, which are read if they are to be deleted; and those that are remembered.
_PAGE, _KNOWN = 100, 10_000
#: Seconds: time-out of such a read.
_READ_S = 30.0


class Revisions:
    """
    Attributes:
        deleted: name and revision of those whose objects are deleted, and which the board still calls old.
    """

    def __init__(self, layout: Layout, now: float, troubles: Troubles) -> None:
        self._layout, self._troubles = layout, troubles
        self._keys: dict[str, tuple[str, int]] = {}
        #: Objects that are named; None: unknown, since a record that may name one cannot be read.
        self._named: set[str] | None = None
        #: Objects that nothing names, and since when (steady time).
        self._unnamed: dict[str, float] = {}
        self._after, self._walk_at, self._is_under_way = "", now + _WALK_S, False
        self.deleted: set[tuple[str, int]] = set()

    def follow(self, board: Board, control: Control | None, *, is_whole: bool = True) -> list[str]:
        """The keys that a committed board made garbage.

        Args:
            is_whole: the board has nothing that only a newer release knows.
        """
        used = {parse_source(path).object for path in board.sources if path.startswith(TICKS)}
        self._named = None
        if control is not None and is_whole and (control.schedules or board.schedules):
            self._named = used | _named_in(control)
            for name, ticked in board.schedules.items():
                self._named |= {f"{name}.{revision}" for revision in (ticked.revision, *ticked.old)}
        old = {(name, revision) for name, ticked in board.schedules.items() for revision in ticked.old}
        self.deleted &= old
        self._keys = {
            self._layout.schedule(f"{name}.{revision}"): (name, revision)
            for name, revision in sorted(old - self.deleted)
            if f"{name}.{revision}" not in used
        }
        return list(self._keys)

    def over(self, keys: Collection[str]) -> None:
        """These objects were deleted."""
        self.deleted.update(self._keys[key] for key in keys if key in self._keys)

    # ---- objects that nothing has ever named ---------------------------------------------------------------

    def take(self, now: float, now_ms: int) -> Step[bool] | None:
        if self._named is None or self._is_under_way or now < self._walk_at:
            return None
        self._walk_at, self._is_under_way = now + _WALK_S, True
        return self._walk(now, now_ms)

    def _walk(self, now: float, now_ms: int) -> Step[bool]:
        """One page. Asks: one List; one Get for each object that nothing has named for an hour; and one Get of the control
        and one Delete where any is deleted."""
        prefix = self._layout.schedule("")
        try:
            page = yield from list_page(prefix, self._after, _PAGE)
            named = self._named  # as of now: the list came first
            if named is None:
                return False
            unnamed = [item.key for item in page if item.key.removeprefix(prefix) not in named]
            for key in (item.key for item in page if item.key.removeprefix(prefix) in named):
                self._unnamed.pop(key, None)
            for key in unnamed:
                if len(self._unnamed) < _KNOWN:
                    self._unnamed.setdefault(key, now)
            due = [key for key in unnamed if now - self._unnamed.get(key, now) >= _UNNAMED_S]
            found = yield from get_within(due, _READ_S)
            old = [
                key for key, one in zip(due, found, strict=True) if isinstance(one, Found) and _is_old(key, one, now_ms)
            ]
            if old:  # the control that is known may be an older one, where the present one cannot be read
                control = yield from get(self._layout.control)
                if not isinstance(control, Found):
                    return False
                current = _named_in(decode(Control, self._layout.control, control.body))
                old = [key for key in old if key.removeprefix(prefix) not in current]
            for left in (yield from delete_each(old)):
                self._troubles.met(f"{prefix}*", left, now)
            for key in old:
                self._unnamed.pop(key, None)
        except (StoreError, CorruptRecord) as fault:
            self._troubles.met(prefix, fault, now)
            return False
        finally:
            self._is_under_way = False
        self._after = page[-1].key if len(page) == _PAGE else ""
        return False


def _named_in(control: Control) -> set[str]:
    return {f"{name}.{one.revision}" for name, one in control.schedules.items()}


def _is_old(key: str, found: Found, now_ms: int) -> bool:
    """Whether it is old enough to be deleted. An unreadable object stays where it is."""
    try:
        return decode_batch(key, found.body).sent_ms + _OLD_MS <= now_ms
    except CorruptRecord:
        return False
