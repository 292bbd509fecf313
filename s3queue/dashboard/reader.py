"""The reader of the summary: one in a process, for any number of viewers.

It reads while somebody watches, at most once in ``every_s`` seconds. In between it returns the last result.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator
from datetime import UTC, datetime
from typing import NamedTuple

from starlette.concurrency import run_in_threadpool

from s3queue.core.keys import Layout
from s3queue.dashboard.series import Chronicle, Spending, Spendings
from s3queue.errors import QueueError
from s3queue.io.drive import Driver
from s3queue.io.meter import Meter
from s3queue.observe.prices import prices_of
from s3queue.observe.stats import Stats
from s3queue.operate.inspection import read_summary
from s3queue.store import ObjectStore

__all__ = ["Look", "Reader"]

#: Seconds that one look waits for a store that does not answer. The next one tries again.
_PATIENCE_S = 3.0


class Look(NamedTuple):
    """One look at the summary.

    Attributes:
        number: of this look; later ones have greater numbers.
        at: time of the look.
        seen: the result of the last look that succeeded.
        has_summary: whether a coordinator has ever written a summary.
        spending: None: not known yet.
        fault: why this look failed; empty: it succeeded.
    """

    number: int
    at: datetime
    seen: Stats
    has_summary: bool
    spending: Spending | None = None
    fault: str = ""


class Reader:
    """Reads and keeps the summary of a namespace.

    Args:
        every_s: seconds between two looks, at least.
        prices: override the table, see `s3queue.observe.prices.parse_prices`.
        always: look also while nobody watches, so that charts have no gaps. It begins with the first request.

    Attributes:
        meter: counts the requests of all looks.
        viewers: number of open streams.
    """

    def __init__(
        self,
        store: ObjectStore,
        namespace: str,
        *,
        every_s: float = 2.0,
        always: bool = False,
        prices: str | None = None,
    ) -> None:
        self.store, self.layout, self.every_s = store, Layout(namespace), every_s
        self.meter = Meter()
        self.viewers = 0
        self.chronicle = Chronicle()
        self.prices = prices_of(store, prices)
        self._spendings = Spendings(self.prices)
        self._driver = Driver(store, self.meter, patience_s=_PATIENCE_S)
        self._always = always
        self._last = Look(0, datetime.now(UTC), Stats(store.url, namespace), False)
        self._looked_at = float("-inf")
        self._lock = asyncio.Lock()
        self._news = asyncio.Condition()
        self._loop: asyncio.Task[None] | None = None
        self.is_over = False

    @property
    def last(self) -> Look:
        """The last look, however old."""
        return self._last

    async def fresh(self) -> Look:
        """A look that is at most ``every_s`` old. One GET if the last one is older."""
        if time.monotonic() - self._looked_at >= self.every_s:
            async with self._lock:  # a caller that waited for it finds a fresh look
                if time.monotonic() - self._looked_at >= self.every_s:
                    await self._look()
        if self._always:
            self._begin()
        return self._last

    async def watch(self) -> AsyncGenerator[Look, None]:
        """Yield each look from now on, the first one at once, until `close`. A slow consumer skips looks."""
        self.viewers += 1
        try:
            look = await self.fresh()
            while not self.is_over:
                yield look
                self._begin()
                look = await self._next(look.number)
        finally:
            self.viewers -= 1

    async def _next(self, number: int) -> Look:
        async with self._news:
            await self._news.wait_for(lambda: self.is_over or self._last.number > number)
        return self._last

    async def close(self) -> None:
        """End all streams."""
        self.is_over = True
        async with self._news:
            self._news.notify_all()

    # ---- the loop ------------------------------------------------------------------------------------------

    def _begin(self) -> None:
        if self._loop is None or self._loop.done():
            self._loop = asyncio.create_task(self._read_on())

    async def _read_on(self) -> None:
        while not self.is_over and (self._always or self.viewers):
            await asyncio.sleep(max(0.0, self._looked_at + self.every_s - time.monotonic()))
            if self.viewers or self._always:
                await self.fresh()

    async def _look(self) -> None:
        seen, fault, has_summary = Stats(self.store.url, self.layout.root), "", False
        try:
            has_summary = await run_in_threadpool(read_summary, seen, self.layout, self._driver)
        except QueueError as wrong:
            fault = str(wrong)
        last, spending = self._last, None
        if fault:
            seen, has_summary = last.seen, last.has_summary
        elif has_summary:
            spending = self._spendings.add(seen)
            self.chronicle.add(time.time(), seen, spending)
        self._looked_at = time.monotonic()
        self._last = Look(last.number + 1, datetime.now(UTC), seen, has_summary, spending, fault)
        async with self._news:
            self._news.notify_all()
