"""Deletions of objects that the committed board made garbage. They stay garbage for ever."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence

from s3queue.core.chores.troubles import Troubles
from s3queue.core.ops import Step, delete
from s3queue.errors import StoreError, StoreUnavailable

#: Keys in one request.
_KEYS_AT_ONCE = 1000
#: Most keys that are deleted one by one after a delete failed: a page of a walk.
_ONE_BY_ONE = 100


def delete_each(keys: Sequence[str]) -> Step[list[StoreError]]:
    """Delete these; if some cannot be deleted, delete all the others. Returns what went wrong: the walk that found them
    goes on, and finds those again.

    Asks: one Delete per 1,000; where one fails, one for each of its keys, up to a bound.
    """
    faults: list[StoreError] = []
    for first in range(0, len(keys), _KEYS_AT_ONCE):
        some = keys[first : first + _KEYS_AT_ONCE]
        try:
            yield from delete(some)
        except StoreError as fault:
            faults.append(fault)
            if isinstance(fault, StoreUnavailable):
                return faults
            for key in some[:_ONE_BY_ONE]:
                try:
                    yield from delete([key])
                except StoreError as one:
                    faults.append(one)
    return faults


class Garbage:
    def __init__(self, troubles: Troubles) -> None:
        self._troubles = troubles
        self._wanted: dict[str, None] = {}
        self._under_way: set[str] = set()
        self._deleted: dict[str, int] = {}
        self._looks = 0

    def looks(self) -> None:
        """A survey begins. It may still list keys that are deleted from now on; those are not deleted again."""
        self._looks += 1

    def follow(self, keys: Collection[str]) -> None:
        """Set the keys that are garbage by the latest survey."""
        self._deleted = {key: look for key, look in self._deleted.items() if look >= self._looks}
        self._wanted = dict.fromkeys(key for key in keys if key not in self._deleted)

    def take(self, now: float, deleted: Callable[[Collection[str]], None]) -> Step[bool] | None:
        """A key that failed before is deleted alone, so that one refused key delays no other."""
        keys: list[str] = []
        for key in self._wanted:
            if key in self._under_way:
                continue
            if not self._troubles.has(key):
                keys.append(key)
            elif self._troubles.allow(key, now):
                keys = [key]
                break
            if len(keys) == _KEYS_AT_ONCE:
                break
        if not keys:
            return None
        self._under_way.update(keys)
        return self._delete(keys, now, deleted)

    def _delete(self, keys: list[str], now: float, deleted: Callable[[Collection[str]], None]) -> Step[bool]:
        """Asks: one Delete."""
        try:
            yield from delete(keys)
        except StoreError as fault:
            for key in keys:
                self._troubles.met(key, fault, now)
            if len(keys) > 1:
                del self._troubles.new[1 - len(keys) :]  # told once
            return False
        finally:
            self._under_way.difference_update(keys)
        for key in keys:
            self._troubles.over(key)
            self._wanted.pop(key, None)
            self._deleted[key] = self._looks
        deleted(keys)
        return False
