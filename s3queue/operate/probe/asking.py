"""How much a probe asks, and the requests that it makes."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import NamedTuple

from s3queue.core.ops import Delete, Get, List, Put, Unknown
from s3queue.errors import StoreUnsupported
from s3queue.io.drive import Driver
from s3queue.store import Conflict, Found, Listed, Missing, ObjectStore, Stored, Unchanged

#: Races for different keys that run side by side, since losers wait. 32 connections for each of the two kinds.
_LANES = 16


class Effort(NamedTuple):
    """How much is asked.

    Attributes:
        races: of each of the two kinds, at most.
        budget_s: seconds after which no more of them are begun.
        whole: also what cannot be wrong, such as latencies.
        lanes: races of each kind at a time.
    """

    races: int
    budget_s: float
    whole: bool = True
    lanes: int = _LANES


#: Effort at each start of a supervisor on a file or memory of this machine: there is no server whose races could differ
#: from those of the conformance suite, only a disk that may not work.
LOCAL = Effort(8, 0.5, whole=False, lanes=2)
#: Effort at each start of a supervisor, of ``doctor``, and of ``doctor --thorough``.
SHORT, USUAL, THOROUGH = Effort(48, 0.8, whole=False), Effort(192, 15.0), Effort(6000, 120.0)


class Unclear(Exception):
    """A put of this check was not answered: the state of its keys is unknown."""


class Asker:
    """The requests of a probe. What was not applied is sent again.

    Attributes:
        store: what it can do is asked of the store itself, not of what measures it.
    """

    def __init__(self, driver: Driver, effort: Effort) -> None:
        self.driver, self.effort = driver, effort
        self.store: ObjectStore = getattr(driver.store, "bare", driver.store)

    def pause(self) -> None:
        """Between two writes of one key, on stores that need it."""
        if self.store.capabilities.min_rewrite_s:
            time.sleep(self.store.capabilities.min_rewrite_s)

    def get(self, key: str, unless: str | None = None) -> Found | Unchanged | Missing:
        outcome: Found | Unchanged | Missing = self.driver.perform(Get(key, unless))
        return outcome

    def list(self, prefix: str, after: str = "", limit: int = 1000) -> Sequence[Listed]:
        listed: Sequence[Listed] = self.driver.perform(List(prefix, after, limit))
        return listed

    def delete(self, *keys: str) -> None:
        self.driver.perform(Delete(keys))

    def put(self, key: str, body: bytes, version: str | None) -> Stored | Conflict:
        outcome: Stored | Conflict | Unknown = self.driver.perform(Put(key, body, version))
        if isinstance(outcome, Unknown):
            raise Unclear
        return outcome

    def stored(self, key: str, body: bytes, version: str | None, *, pause: bool = True) -> str:
        if version is not None and pause:
            self.pause()
        outcome = self.put(key, body, version)
        if isinstance(outcome, Conflict):
            # Another program writes here, or the store refuses a valid put.
            raise StoreUnsupported("conditional put", f"a put whose condition held was refused: {key}")
        return outcome.version
