"""What agents and workers measure while a host serves metrics: attempts, waits, and requests to the store.

Whoever measures appends to a deque, which costs some hundred nanoseconds and no lock. Once a second the process sorts that
into histograms, and sends them all to the process that serves them: each snapshot holds everything since this process
started, so one that is lost costs nothing.
"""

from __future__ import annotations

import inspect
import os
import secrets
import time
from bisect import bisect_left
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from s3queue.core.keys import MAX_ORDER, parse_source
from s3queue.errors import CorruptRecord, OutcomeUnknown, StoreDenied, StoreUnavailable
from s3queue.observe.ears import Ear
from s3queue.runtime.local.clock import clock
from s3queue.store import Capabilities, Conflict, Found, Listed, Missing, ObjectStore, Stored, Unchanged

__all__ = ["BUCKETS", "SNAPSHOT_S", "Histogram", "MeasuredStore", "Measures"]

#: Upper bounds of the buckets of all histograms, in seconds; above the last one is one more.
BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 1800.0)
#: Seconds between two snapshots.
SNAPSHOT_S = 1.0
#: Measurements that may wait to be sorted; older ones are lost.
_MOST = 500_000


_T = TypeVar("_T")


class Histogram:
    """Counts by bucket, and the sum."""

    __slots__ = ("counts", "sum")

    def __init__(self, counts: Sequence[int] | None = None, total: float = 0.0) -> None:
        self.counts = [0] * (len(BUCKETS) + 1) if counts is None else list(counts)
        self.sum = total

    def add(self, seconds: float) -> None:
        self.counts[bisect_left(BUCKETS, seconds)] += 1
        self.sum += seconds

    def merge(self, other: Histogram) -> None:
        self.counts = [mine + its for mine, its in zip(self.counts, other.counts, strict=True)]
        self.sum += other.sum


class Measures:
    """Of one process.

    Args:
        seat: who measures: ``agent``, or ``worker 0``. One that is replaced has the seat of the one before.
        ear: where snapshots go.
    """

    def __init__(self, seat: str, ear: Ear) -> None:
        self._seat, self._ear = seat, ear
        self._id = f"{os.getpid()}-{secrets.token_hex(4)}"
        self._calls: deque[tuple[tuple[str, str], float]] = deque(maxlen=_MOST)
        self._ended: deque[tuple[str, str, str]] = deque(maxlen=_MOST)
        self._starts: deque[tuple[str, float]] = deque(maxlen=_MOST)
        self._requests: deque[tuple[tuple[str, str, str], float]] = deque(maxlen=_MOST)
        self._durations: dict[tuple[str, str], Histogram] = {}
        self._waits: dict[str, Histogram] = {}
        self._results: dict[tuple[str, str, str], int] = {}
        self._store: dict[tuple[str, str, str], Histogram] = {}
        #: By `clock`, when the store answered last.
        self.answered = 0.0
        self._sent_at = 0.0

    # ---- measuring, in any thread ------------------------------------------------------------------------------------

    def timed(self, call: Callable[..., Any], queue: str, task: str, *, is_async: bool) -> Callable[..., Any]:
        """The call of a task, with the time of each one that returned or raised."""
        note, now, label = self._calls.append, time.perf_counter, (queue, task)

        def timed(args: Any, kwargs: Any, ctx: Any) -> Any:
            began = now()
            try:
                return call(args, kwargs, ctx)
            finally:
                note((label, now() - began))

        async def timed_async(args: Any, kwargs: Any, ctx: Any) -> Any:
            began = now()
            try:
                result = call(args, kwargs, ctx)
                return await result if inspect.isawaitable(result) else result
            finally:
                note((label, now() - began))

        return timed_async if is_async else timed

    def starts(self, source: str, started: float) -> None:
        """A message of this source starts for the first time, at this time by `clock`."""
        self._starts.append((source, started))

    def ended(self, queue: str, task: str, result: str) -> None:
        """An attempt did not end well."""
        self._ended.append((queue, task, result))

    def request(self, role: str, op: str, result: str, seconds: float) -> None:
        self._requests.append(((role, op, result), seconds))
        if result in ("ok", "conflict"):
            self.answered = clock()

    # ---- sorting, in one thread --------------------------------------------------------------------------------------

    def tick(self, **more: Any) -> None:
        """Send a snapshot, if it is time.

        Args:
            more: to be sent with it.
        """
        now = clock()
        if now - self._sent_at >= SNAPSHOT_S:
            self._sent_at = now
            self._ear.hear(self.snapshot() | more)

    def flush(self) -> None:
        """Send the last snapshot."""
        self._sent_at = 0.0
        self.tick()

    def snapshot(self) -> dict[str, Any]:
        self._sort()
        return {
            "seat": self._seat,
            "id": self._id,
            "durations": _rows(self._durations),
            "waits": [[queue, it.counts, it.sum] for queue, it in self._waits.items()],
            "results": [[*label, many] for label, many in self._results.items()],
            "store": _rows(self._store),
            "answered": self.answered,
        }

    def _sort(self) -> None:
        for label, seconds in _taken(self._calls):
            _at(self._durations, label).add(seconds)
        for request, seconds in _taken(self._requests):
            _at(self._store, request).add(seconds)
        for result in _taken(self._ended):
            self._results[result] = self._results.get(result, 0) + 1
        wall, now = time.time(), clock()
        for path, started in _taken(self._starts):
            try:
                source = parse_source(path)
            except CorruptRecord:
                continue
            if not source.moved:  # how long those waited on purpose is not known any more
                could_ms = max(min(source.order, MAX_ORDER - source.order), source.due_ms or 0)
                waited = wall - (now - started) - could_ms / 1000
                _at(self._waits, source.queue).add(max(0.0, waited))


def _taken(measured: deque[Any]) -> list[Any]:
    """All that is in it now; others go on appending."""
    return [measured.popleft() for _ in range(len(measured))]


def _at(histograms: dict[Any, Histogram], label: Any) -> Histogram:
    found = histograms.get(label)
    if found is None:
        found = histograms[label] = Histogram()
    return found


def _rows(histograms: dict[Any, Histogram]) -> list[list[Any]]:
    return [[*label, it.counts, it.sum] for label, it in histograms.items()]


class MeasuredStore:
    """A store whose requests are measured, for one role."""

    def __init__(self, store: ObjectStore, measures: Measures, role: str) -> None:
        self._store, self._measures, self._role = store, measures, role

    @property
    def capabilities(self) -> Capabilities:
        return self._store.capabilities

    @property
    def url(self) -> str:
        return self._store.url

    def get(self, key: str, *, unless: str | None = None) -> Found | Unchanged | Missing:
        return self._timed("get", lambda: self._store.get(key, unless=unless))

    def put(self, key: str, body: bytes, *, if_version: str | None) -> Stored | Conflict:
        return self._timed("put", lambda: self._store.put(key, body, if_version=if_version))

    def delete(self, keys: Sequence[str]) -> None:
        self._timed("delete", lambda: self._store.delete(keys))

    def list(self, prefix: str, *, after: str = "", limit: int = 1000) -> Sequence[Listed]:
        return self._timed("list", lambda: self._store.list(prefix, after=after, limit=limit))

    def close(self) -> None:
        self._store.close()

    def _timed(self, op: str, ask: Callable[[], _T]) -> _T:
        began, result = time.perf_counter(), "error"
        try:
            answer = ask()
            result = "conflict" if isinstance(answer, Conflict) else "ok"
            return answer
        except StoreUnavailable:
            result = "unavailable"
            raise
        except OutcomeUnknown:
            result = "unanswered"
            raise
        except StoreDenied:
            result = "denied"
            raise
        finally:
            self._measures.request(self._role, op, result, time.perf_counter() - began)
