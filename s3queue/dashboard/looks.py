"""Reads that cost more than the summary: messages, letters, one message, the doctor.

A look is shared by all viewers who want the same within a few seconds, and reports its cost.
"""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict
from collections.abc import Callable, Hashable
from datetime import UTC, datetime
from typing import Any, Generic, NamedTuple, TypeVar

from starlette.concurrency import run_in_threadpool

from s3queue.io.meter import Meter

T = TypeVar("T")

#: Results that are kept, and seconds for which they are kept at most.
_MOST, _LONGEST_S = 64, 15.0


class Seen(NamedTuple, Generic[T]):
    """The result of a look.

    Attributes:
        cost: requests by kind.
    """

    found: T
    cost: dict[str, int]
    at: datetime


class Looks:
    """Keeps the results of looks for a few seconds."""

    def __init__(self) -> None:
        self._kept: OrderedDict[Hashable, tuple[float, asyncio.Future[Seen[Any]]]] = OrderedDict()
        #: Bounds the looks at one time, so that viewers cannot use up threads or memory.
        self._room = asyncio.Semaphore(4)

    async def take(self, key: Hashable, keep_s: float, look: Callable[[Meter], T]) -> Seen[T]:
        """The result for this key, at most ``keep_s`` seconds old; otherwise from a new look, in a thread.

        Args:
            look: called with the meter that counts its requests.
        """
        now = time.monotonic()
        kept = self._kept.get(key)
        if kept is not None and (not kept[1].done() or now - kept[0] < keep_s):
            return await asyncio.shield(kept[1])
        future = asyncio.ensure_future(self._look(look))
        future.add_done_callback(_retrieve)
        self._kept[key] = now, future
        self._kept.move_to_end(key)
        for old in [name for name, (at, one) in self._kept.items() if one.done() and now - at > _LONGEST_S]:
            del self._kept[old]
        while len(self._kept) > _MOST:
            self._kept.popitem(last=False)
        try:
            return await asyncio.shield(future)
        except Exception:
            if self._kept.get(key, (0, None))[1] is future:
                del self._kept[key]  # the next one tries again
            raise

    def forget(self) -> None:
        """Forget all results: something was changed."""
        self._kept.clear()

    async def _look(self, look: Callable[[Meter], T]) -> Seen[T]:
        async with self._room:
            meter = Meter()
            found = await run_in_threadpool(look, meter)
            return Seen(found, meter.as_dict(), datetime.now(UTC))


def _retrieve(future: asyncio.Future[Seen[Any]]) -> None:
    """Take the exception of a look whose viewers have all gone, so that it is not reported as lost."""
    if not future.cancelled():
        future.exception()
