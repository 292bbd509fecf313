"""Runs steps against a store: retries requests that were not applied, makes lost answers a value, counts every request.

Only this module performs operations of steps on a store. It sleeps and retries; steps do not.
"""

from __future__ import annotations

import math
import random
import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, TypeVar

from s3queue.core.ops import Delete, Gather, Get, List, Missed, Op, Put, Step, Unknown
from s3queue.errors import OutcomeUnknown, StoreUnavailable
from s3queue.io.meter import Meter
from s3queue.store import Conflict, Found, ObjectStore

if TYPE_CHECKING:
    from concurrent.futures import ThreadPoolExecutor

T = TypeVar("T")

#: Seconds of the first pause after `StoreUnavailable`; doubles up to `_LAST_PAUSE_S`, with full jitter
#: (https://aws.amazon.com/builders-library/timeouts-retries-and-backoff-with-jitter/).
_FIRST_PAUSE_S = 0.05
_LAST_PAUSE_S = 2.0


def pauses(first_s: float = _FIRST_PAUSE_S, last_s: float = _LAST_PAUSE_S) -> Iterator[float]:
    """Seconds to wait before each further try: exponential back-off with full jitter."""
    bound = first_s
    while True:
        yield random.uniform(0, bound)
        bound = min(bound * 2, last_s)


class Driver:
    """Performs operations on one store, for one role of one process.

    Args:
        store: opened lazily, in this process.
        meter: where requests are counted.
        readers: concurrent reads of one `Gather`; threads, started on demand.
        patience_s: seconds for which to retry an operation that was not applied before `StoreUnavailable` is raised.
        on_retry: called with each `StoreUnavailable` that is retried.
        on_answer: called when a request is answered, and the one before was not applied.
    """

    def __init__(
        self,
        store: ObjectStore,
        meter: Meter | None = None,
        *,
        readers: int = 8,
        patience_s: float = 10.0,
        on_retry: Callable[[StoreUnavailable], None] | None = None,
        on_answer: Callable[[], None] | None = None,
    ) -> None:
        self.store = store
        self.meter = meter or Meter()
        self.patience_s = patience_s
        self._readers = readers
        self._on_retry = on_retry
        self._on_answer = on_answer
        #: Whether the last request was not applied.
        self._is_away = False
        #: Thread pools, one for reads with a time-out and one for the others, so that a read that hangs delays no read of
        #: the other kind.
        self._pools: dict[bool, ThreadPoolExecutor] = {}

    # ---- one operation -------------------------------------------------------------------------------------

    def perform(self, op: Op) -> Any:
        """The outcome of one operation, in the type that `s3queue.core.ops` promises.

        Raises:
            StoreUnavailable: not applied, for ``patience_s``.
            StoreDenied: at once.
        """
        if isinstance(op, Gather):
            return self._gather(op)
        waits: Iterator[float] | None = None
        deadline = 0.0
        while True:
            try:
                outcome = self._once(op)
                if self._is_away:
                    self._is_away = False
                    if self._on_answer is not None:
                        self._on_answer()
                return outcome
            except StoreUnavailable as unavailable:
                self._is_away = True
                now = time.monotonic()
                if waits is None:
                    waits, deadline = pauses(), now + self.patience_s
                if now >= deadline:
                    raise
                self.meter.retries()
                if self._on_retry is not None:
                    self._on_retry(unavailable)
                time.sleep(min(next(waits), deadline - now))

    def _once(self, op: Op) -> Any:
        meter, store = self.meter, self.store
        match op:
            case Get(key, unless):
                meter.gets()
                found = store.get(key, unless=unless)
                if isinstance(found, Found):
                    meter.received(len(found.body))
                return found
            case Put(key, body, if_version):
                meter.puts(len(body))
                try:
                    outcome = store.put(key, body, if_version=if_version)
                except OutcomeUnknown:
                    meter.unanswered()
                    return Unknown()
                if isinstance(outcome, Conflict):
                    meter.conflicts()
                return outcome
            case List(prefix, after, limit):
                meter.lists()
                return store.list(prefix, after=after, limit=limit)
            case Delete(keys):
                meter.deletes()
                store.delete(keys)
                return None
            case _:
                raise AssertionError(op)

    def _gather(self, op: Gather) -> list[Any]:
        is_bounded = op.within_s is not None and self.store.capabilities.requests_cost
        if len(op.reads) == 1 and not is_bounded:  # a local store does not hang for long
            return [self._try(op.reads[0]) if op.within_s is not None else self.perform(op.reads[0])]
        from concurrent.futures import ThreadPoolExecutor, wait  # a program that only enqueues needs no threads

        pool = self._pools.get(op.within_s is not None)
        if pool is None:
            pool = ThreadPoolExecutor(self._readers, thread_name_prefix="s3queue-read")
            pool = self._pools.setdefault(op.within_s is not None, pool)
        if op.within_s is None:
            return list(pool.map(self.perform, op.reads))
        asked = [pool.submit(self._try, read) for read in op.reads]
        wait(asked, None if math.isinf(op.within_s) else op.within_s)
        for one in asked:
            one.cancel()  # cancels reads that have not begun; one that hangs ends by itself
        return [one.result() if one.done() and not one.cancelled() else Missed() for one in asked]

    def _try(self, op: Op) -> Any:
        try:
            return self.perform(op)
        except Exception as fault:  # noqa: BLE001 - any fault concerns this object alone
            return Missed(fault)

    # ---- whole steps ---------------------------------------------------------------------------------------

    def run(self, step: Step[T]) -> T:
        """Run a step to its end, in this thread."""
        return self._run(step, self.perform)

    @staticmethod
    def _run(step: Step[T], perform: Callable[[Op], Any]) -> T:
        try:
            op = next(step)
            while True:
                try:
                    outcome = perform(op)
                except Exception as fault:  # noqa: BLE001 - the step handles it
                    op = step.throw(fault)
                else:
                    op = step.send(outcome)
        except StopIteration as end:
            result: T = end.value
            return result

    def close(self) -> None:
        for pool in self._pools.values():
            pool.shutdown(wait=False)
        self._pools.clear()
        self.store.close()
