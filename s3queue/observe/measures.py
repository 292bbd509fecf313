"""Measurements of agents and workers while a host serves metrics: attempts, waits, and requests to the store.

Every attempt is counted. Of short tasks one attempt in 64 is timed, at most 256 a second, and stands for those since the
last timed one. A measurement is appended to a deque, without a lock. Once a second the process sorts them into histograms,
and sends all histograms to the process that serves them: each snapshot holds everything since the start of the process, so
a lost one does no harm.
"""

from __future__ import annotations

import os
import secrets
import threading
import time
from bisect import bisect_left
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from s3queue.core.keys import MAX_ORDER, parse_source
from s3queue.errors import CorruptRecord, OutcomeUnknown, StoreDenied, StoreUnavailable
from s3queue.io.clock import clock
from s3queue.observe.ears import Ear
from s3queue.store import Capabilities, Conflict, Found, Listed, Missing, ObjectStore, Stored, Unchanged

__all__ = ["BUCKETS", "EACH", "SNAPSHOT_S", "Histogram", "MeasuredStore", "Measures", "Tried"]

#: Upper bounds of the buckets of all histograms, in seconds; above the last one is one more.
BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 1800.0)
#: Seconds between two snapshots.
SNAPSHOT_S = 1.0
#: Seconds below which a task counts as short, and how many attempts of it one timed attempt stands for. To time each would
#: cost a third of the rate of empty tasks (measured: 1.2 of 3.2 us of a worker for each).
_SHORT_S, EACH = 0.001, 64
#: Of those, at most about so many are timed between two snapshots, each for 5 us: a thousandth of a core.
MOST_TIMED = 256
#: Measurements that may wait to be sorted; older ones are lost.
_MOST = 500_000


_T = TypeVar("_T")


class Histogram:
    """Counts by bucket, and the sum of all values.

    Args:
        counts: by bucket; the last one is beyond the last bound.
        total: seconds.
    """

    __slots__ = ("counts", "sum")

    def __init__(self, counts: Sequence[int] | None = None, total: float = 0.0) -> None:
        self.counts = [0] * (len(BUCKETS) + 1) if counts is None else list(counts)
        self.sum = total

    def add(self, seconds: float, weight: int = 1) -> None:
        """Count a value in seconds ``weight`` times."""
        self.counts[bisect_left(BUCKETS, seconds)] += weight
        self.sum += seconds * weight

    def merge(self, other: Histogram) -> None:
        """Add another histogram."""
        self.counts = [mine + its for mine, its in zip(self.counts, other.counts, strict=True)]
        self.sum += other.sum


class Tried:
    """Attempts of one task by one worker. Each slot has its own numbers, so that no two threads add to the same.

    Attributes:
        ran: attempts that have ended, by slot.
        due: number of the next attempt that is timed, by slot.
        each: one of this many attempts is timed, and stands for all of them.
    """

    __slots__ = ("_seen", "due", "each", "ran", "timed")

    def __init__(self, slots: int) -> None:
        self.ran, self.due, self.timed = [0] * slots, [1] * slots, [0] * slots
        self.each = EACH
        self._seen = 0

    def choose(self, times: list[float]) -> None:
        """How many are timed from now on, by what those took that were timed since the last snapshot."""
        ran = sum(self.ran)
        since, self._seen = ran - self._seen, ran
        few = max(EACH, since // MOST_TIMED)
        if not times:  # the next one comes soon, after many as after few
            self.each = min(self.each, few)
        else:
            self.each = few if sum(times) / len(times) < _SHORT_S else 1
        for slot, done in enumerate(self.ran):
            self.due[slot] = min(self.due[slot], done + self.each)

    def weight(self, slot: int) -> int:
        """The number of attempts that the attempt timed now stands for. Chooses the next one."""
        ran = self.ran[slot]
        weight, self.timed[slot] = ran - self.timed[slot], ran
        self.due[slot] = ran + self.each
        return weight


class Measures:
    """The measurements of one process.

    Args:
        seat: ``agent``, or ``worker 0``. A process that replaces another one has its seat.
        ear: receives the snapshots.
    """

    def __init__(self, seat: str, ear: Ear) -> None:
        self._seat, self._ear = seat, ear
        self._id = f"{os.getpid()}-{secrets.token_hex(4)}"
        self._samples: deque[tuple[tuple[str, str], str, float, float, int]] = deque(maxlen=_MOST)
        self._ended: deque[tuple[str, str, str]] = deque(maxlen=_MOST)
        self._requests: deque[tuple[tuple[str, str, str], float]] = deque(maxlen=_MOST)
        self._tried: dict[tuple[str, str], Tried] = {}
        self._lock = threading.Lock()
        self._durations: dict[tuple[str, str], Histogram] = {}
        self._waits: dict[str, Histogram] = {}
        self._results: dict[tuple[str, str, str], int] = {}
        self._store: dict[tuple[str, str, str], Histogram] = {}
        #: By `clock`, when the store answered last.
        self.answered = 0.0
        self._sent_at = 0.0

    # ---- measuring, in any thread ------------------------------------------------------------------------------------

    def task(self, queue: str, task: str, slots: int) -> Tried:
        """The counts of one task in a worker with this many slots."""
        with self._lock:
            return self._tried.setdefault((queue, task), Tried(slots))

    def ran(self, queue: str, task: str, source: str, began: float, seconds: float, weight: int) -> None:
        """Record the time of an attempt that stands for ``weight`` attempts.

        Args:
            source: path of its batch if it was the first attempt; otherwise empty.
            began: in seconds of `clock`.
            seconds: that it took.
        """
        self._samples.append(((queue, task), source, began, seconds, weight))

    def ended(self, queue: str, task: str, result: str) -> None:
        """Count an attempt that did not end well."""
        self._ended.append((queue, task, result))

    def request(self, role: str, op: str, result: str, seconds: float) -> None:
        """Record a request to the store, and the seconds that it took."""
        self._requests.append(((role, op, result), seconds))
        if result in ("ok", "conflict"):
            self.answered = clock()

    # ---- sorting, in one thread --------------------------------------------------------------------------------------

    def tick(self, **more: Any) -> None:
        """Send a snapshot, if it is time.

        Args:
            more: further fields of it.
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
        """Everything since the start of the process."""
        self._sort()
        return {
            "seat": self._seat,
            "id": self._id,
            "ran": [[*label, sum(it.ran)] for label, it in list(self._tried.items())],
            "durations": _rows(self._durations),
            "waits": [[queue, it.counts, it.sum] for queue, it in self._waits.items()],
            "results": [[*label, many] for label, many in self._results.items()],
            "store": _rows(self._store),
            "answered": self.answered,
        }

    def _sort(self) -> None:
        for request, seconds in _taken(self._requests):
            _at(self._store, request).add(seconds)
        for result in _taken(self._ended):
            self._results[result] = self._results.get(result, 0) + 1
        wall_s = time.time() - clock()
        took: dict[tuple[str, str], list[float]] = {}
        for label, path, began, seconds, weight in _taken(self._samples):
            _at(self._durations, label).add(seconds, weight)
            took.setdefault(label, []).append(seconds)
            if path:
                self._waited(path, wall_s + began, weight)
        for label, it in list(self._tried.items()):
            it.choose(took.get(label, []))

    def _waited(self, path: str, began: float, weight: int) -> None:
        """Record the wait of a message until then (wall clock)."""
        try:
            source = parse_source(path)
        except CorruptRecord:
            return
        # How long those that were moved waited on purpose is not known any more, nor when a dead one was redriven.
        if not source.moved and source.kind != "dead":
            could_ms = max(min(source.order, MAX_ORDER - source.order), source.due_ms or 0)
            _at(self._waits, source.queue).add(max(0.0, began - could_ms / 1000), weight)


def _taken(measured: deque[Any]) -> list[Any]:
    """Everything that is in the deque now. Others may append meanwhile."""
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
    def bare(self) -> ObjectStore:
        """The store itself, which may have more methods than `ObjectStore`."""
        return self._store

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
