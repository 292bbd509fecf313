"""Stores the return values of tasks with `result_ttl`, before their outcome is reported."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Coroutine, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

from msgspec import Raw

from s3queue.core.keys import Layout
from s3queue.core.produce import ENVELOPE_BYTES
from s3queue.core.records import Result
from s3queue.core.results import Kept, keep
from s3queue.errors import StoreDenied, StoreUnavailable
from s3queue.io.clock import clock
from s3queue.io.drive import Driver, pauses
from s3queue.observe.events import Events
from s3queue.runtime.worker.dealt import Dealt

#: Seconds between checks of a trust window that is over, and of a store that is away, at most.
_RECHECK_S, _LONGEST_S = 0.25, 5.0
#: Results of one call that are stored at once: as many as `Driver` reads at once.
_AT_ONCE = 8


class Returned(NamedTuple):
    """What a task returned for a message, in that life of it."""

    dealt: Dealt
    message: str
    value: Raw
    life: int


class ResultTooLarge(Exception):
    """The return value is larger than an object of the store may be."""


class Results:
    """Stores results.

    Args:
        trust: the time until which messages may be started; see `s3queue.runtime.local.journal.Journal`.
        most_bytes: bytes of a value, at most.
    """

    def __init__(
        self, driver: Driver, layout: Layout, trust: Sequence[float], events: Events, most_bytes: int | None = None
    ) -> None:
        self._driver, self._layout, self._trust, self._events = driver, layout, trust, events
        holds = driver.store.capabilities.max_body_bytes - ENVELOPE_BYTES
        self._most = holds if most_bytes is None else min(holds, most_bytes)

    def keep_all(self, those: list[Returned], ttl_s: float) -> list[Exception | None]:
        """As `keep`, for several results, `_AT_ONCE` at a time on billed stores. Returns for each what `keep` would
        raise."""

        def tried(one: Returned) -> Exception | None:
            try:
                self.keep(*one, ttl_s)
            except Exception as raised:  # noqa: BLE001 - the caller judges it
                return raised
            return None

        if len(those) < 2 or not self._driver.store.capabilities.requests_cost:
            return [tried(one) for one in those]
        with ThreadPoolExecutor(min(_AT_ONCE, len(those)), thread_name_prefix="s3queue-results") as pool:
            return list(pool.map(tried, those))

    def keep(self, dealt: Dealt, message: str, value: Raw, life: int, ttl_s: float) -> None:
        """Store a result, however long that takes, unless the session of this deal ends meanwhile.

        Raises:
            ResultTooLarge: it can never be stored.
            StoreDenied: the store refuses it.
        """
        if len(value) > self._most:
            raise ResultTooLarge(
                f"the task returned {len(value):,} bytes, and one object of this store holds {self._most:,}; "
                "store them under a key of your own, and return the key"
            )
        result = Result(os.urandom(8).hex(), message, dealt.ticket, value, 0, _wall_ms(), life)
        waits = pauses(_RECHECK_S, _LONGEST_S)
        while not dealt.over:
            try:
                kept = self._driver.run(keep(self._layout, result, self._stamp(dealt, ttl_s)))
            except StoreDenied:
                raise
            except StoreUnavailable as away:
                self._events.warn("result", f"cannot store a result, retrying: {away}")
                time.sleep(next(waits))
                continue
            if kept is not Kept.NOT_NOW:
                return  # LATER: this host was fenced, and nothing that it reports counts
            time.sleep(_RECHECK_S)

    def _stamp(self, dealt: Dealt, ttl_s: float) -> Callable[[], int | None]:
        def stamp() -> int | None:
            wall_ms = _wall_ms()  # before the other clock: one that stands still in between does not stamp
            return wall_ms + int(ttl_s * 1000) if clock() <= self._trust[0] and not dealt.over else None

        return stamp


async def into(box: list[Any], coroutine: Coroutine[Any, Any, Any]) -> Any:
    """Put the return value of the coroutine into the box."""
    value = await coroutine
    box.append(value)
    return value


def _wall_ms() -> int:
    return time.time_ns() // 1_000_000
