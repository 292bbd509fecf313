"""The store of a simulated world: a dict, as weak as the weakest real store. A version is a hash of the body."""

from __future__ import annotations

from bisect import bisect_left, bisect_right, insort
from collections.abc import Callable
from hashlib import md5
from typing import Any

from s3queue.core.ops import Delete, Get, List, Op, Put
from s3queue.store import Conflict, Found, Listed, Missing, Stored, Unchanged
from s3queue.testing.simulate.history import Deleted, Event, Surveyed, Wrote


class SimStore:
    """Performs one request at a time, and enters what it changed in the history.

    Args:
        board: listings that begin behind this key are surveys, and entered in the history too.
        record: takes an event.
    """

    def __init__(self, board: str, record: Callable[[Event], None]) -> None:
        self._board = board
        self._record = record
        self._objects: dict[str, Found] = {}
        self._keys: list[str] = []
        self.requests = 0

    def keys(self, prefix: str = "") -> list[str]:
        return [key for key in self._keys if key.startswith(prefix)]

    def body(self, key: str) -> bytes | None:
        found = self._objects.get(key)
        return None if found is None else found.body

    def remove(self, key: str, now: float) -> None:
        """By hand, past everything."""
        self.perform(Delete((key,)), now, "somebody")

    def perform(self, op: Op, now: float, who: str) -> Any:
        self.requests += 1
        match op:
            case Get(key, unless):
                found = self._objects.get(key)
                if found is None:
                    return Missing()
                return Unchanged() if found.version == unless else found
            case Put(key, body, if_version):
                return self._put(key, body, if_version, now, who)
            case List(prefix, after, limit):
                if after == self._board:
                    self._record(Surveyed(now, who))
                return self._list(prefix, after, limit)
            case Delete(keys):
                there = tuple(key for key in keys if key in self._objects)
                for key in there:
                    del self._objects[key], self._keys[bisect_left(self._keys, key)]
                if there:
                    self._record(Deleted(now, who, there))
                return None
            case _:
                raise AssertionError(op)

    def _put(self, key: str, body: bytes, if_version: str | None, now: float, who: str) -> Stored | Conflict:
        there = self._objects.get(key)
        replaced = None if there is None else there.version
        if replaced != if_version:
            return Conflict()
        version = md5(body, usedforsecurity=False).hexdigest()[:12]
        if there is None:
            insort(self._keys, key)
        self._objects[key] = Found(body, version)
        self._record(Wrote(now, who, key, body, there is None))
        return Stored(version)

    def _list(self, prefix: str, after: str, limit: int) -> list[Listed]:
        keys, objects = self._keys, self._objects
        at = max(bisect_left(keys, prefix), bisect_right(keys, after))
        page: list[Listed] = []
        while at < len(keys) and len(page) < limit and keys[at].startswith(prefix):
            found = objects[keys[at]]
            page.append(Listed(keys[at], found.version, len(found.body)))
            at += 1
        return page
