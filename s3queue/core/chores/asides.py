"""Unreadable requests: a copy of each is kept aside, for people; then it is answered, deleted and refused like any other.

A request that was cut short is completed by whoever sent it, within seconds. One that stays damaged would be read again for
as long as the namespace exists, and would take the place of one that can be answered.
"""

from __future__ import annotations

from typing import TypeVar

from s3queue.core.chores.troubles import Troubles
from s3queue.core.keys import Layout, is_request
from s3queue.core.ops import Step, Unknown, get, put
from s3queue.core.records import Board, LetterRequest, Request, decode
from s3queue.errors import CorruptRecord, StoreError
from s3queue.store import Found

#: Most requests that are remembered, and most keys of copies that are reported.
_MOST, _TOLD = 1000, 100


R = TypeVar("R", Request, LetterRequest)


def request_in(kind: type[R], path: str, key: str, body: bytes) -> R:
    """Raises `CorruptRecord`: this object below ``do/`` is no request, or a damaged one."""
    if not is_request(path):
        raise CorruptRecord(key, "not the key of a request")
    return decode(kind, key, body)


class Asides:
    """
    Args:
        after_s: seconds for which a request must have stayed the same.

    Attributes:
        kept: requests whose copies are stored, and that no board has answered yet.
        keys: of the last copies.
        done: copies that were not told yet: key, and what was wrong.
    """

    def __init__(self, layout: Layout, after_s: float, troubles: Troubles) -> None:
        self._layout, self._after_s, self._troubles = layout, after_s, troubles
        #: By path: the version, since when it was seen (steady time), and what is wrong.
        self._met: dict[str, tuple[str, float, CorruptRecord]] = {}
        self._under_way: set[str] = set()
        self.kept: set[str] = set()
        self.keys: dict[str, None] = {}
        self.done: list[tuple[str, CorruptRecord]] = []

    def met(self, path: str, version: str, why: CorruptRecord, now: float) -> None:
        """This request was read, and cannot be decoded."""
        before = self._met.get(path)
        if (before is None and len(self._met) < _MOST) or (before is not None and before[0] != version):
            self._met[path] = version, now, why

    def follow(self, board: Board) -> None:
        """This board is the committed one."""
        if self._met:
            self._met = {path: one for path, one in self._met.items() if path not in board.answers}
            self.kept &= self._met.keys()

    def take(self, now: float) -> Step[bool] | None:
        for path, (version, since, why) in self._met.items():
            is_open = path not in self.kept and path not in self._under_way
            if is_open and now - since >= self._after_s and self._troubles.allow(self._layout.aside(path), now):
                self._under_way.add(path)
                return self._keep(path, version, why, now)
        return None

    def _keep(self, path: str, version: str, why: CorruptRecord, now: float) -> Step[bool]:
        """Asks: one Get and one Put."""
        key = self._layout.aside(path)
        try:
            found = yield from get(self._layout.source(path))
            if not isinstance(found, Found) or found.version != version:
                self._met.pop(path, None)  # completed meanwhile, or deleted
                return False
            if isinstance((yield from put(key, found.body, None)), Unknown):
                self._troubles.met(key, StoreError("put", key), now)
                return False
        except StoreError as fault:
            self._troubles.met(key, fault, now)
            return False
        finally:
            self._under_way.discard(path)
        self._troubles.over(key)  # a Conflict: another coordinator has kept it
        self.kept.add(path)
        self.keys[key] = None
        if len(self.keys) > _TOLD:
            del self.keys[next(iter(self.keys))]
        self.done.append((key, why))
        return True
