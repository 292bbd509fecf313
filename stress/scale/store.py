"""A bucket that is only numbers: what it holds, when it answers, what it refuses, what it counted.

An operation takes effect halfway between question and answer, at one moment. Refused requests are repeated as the
production driver repeats them, with the same pauses.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right, insort
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from typing import Any

from s3queue.core.ops import Delete, Gather, Get, List, Missed, Put
from s3queue.errors import StoreUnavailable
from s3queue.io.drive import _FIRST_PAUSE_S, _LAST_PAUSE_S
from s3queue.runtime.agent.main import PATIENCE_S
from s3queue.store import Conflict, Found, Listed, Missing, Stored, Unchanged
from stress.scale.models import Model
from stress.scale.world import Running, World

_CHUNK = 2000
#: Bytes of JSON that a host decodes per second; measured, see ``docs/explanation/scale.md``. What a coordinator decodes is
#: measured as it does.
_DECODE_BYTES_S = 150e6


class SortedKeys:
    """Keys in order, in chunks, so that neither end of a long backlog costs more than the middle of a short one."""

    def __init__(self) -> None:
        self._chunks: list[list[str]] = [[]]
        self._firsts: list[str] = [""]

    def add(self, key: str) -> None:
        at = bisect_right(self._firsts, key) - 1
        chunk = self._chunks[at]
        insort(chunk, key)
        if len(chunk) > 2 * _CHUNK:
            self._chunks[at : at + 1] = [chunk[:_CHUNK], chunk[_CHUNK:]]
            self._firsts.insert(at + 1, chunk[_CHUNK])

    def remove(self, key: str) -> None:
        at = bisect_right(self._firsts, key) - 1
        chunk = self._chunks[at]
        del chunk[bisect_left(chunk, key)]
        if not chunk and len(self._chunks) > 1:
            del self._chunks[at], self._firsts[at]
            self._firsts[0] = ""

    def after(self, key: str, prefix: str, limit: int) -> list[str]:
        """At most ``limit`` keys with the prefix, greater than ``key``."""
        found: list[str] = []
        at = bisect_right(self._firsts, max(key, prefix)) - 1
        chunk = self._chunks[at]
        place = bisect_right(chunk, key) if key >= prefix else bisect_left(chunk, prefix)
        while len(found) < limit:
            part = chunk[place : place + limit - len(found)]
            if part and not part[-1].startswith(prefix):
                part = part[: bisect_left(part, prefix + "\U0010ffff")]
                return found + part
            found += part
            at += 1
            if at == len(self._chunks):
                return found
            chunk, place = self._chunks[at], 0
        return found


class Bucket:
    """What one prefix of the bucket takes per second: tokens that refill, at most one second's worth."""

    def __init__(self, per_s: float) -> None:
        self._per_s = self._left = per_s
        self._at = 0.0

    def takes(self, many: int, now: float) -> bool:
        if not self._per_s:
            return True
        self._left = min(self._per_s, self._left + (now - self._at) * self._per_s)
        self._at = now
        if self._left < 1.0:
            return False
        self._left -= many
        return True


class Counts:
    """Requests by role and kind, bytes by role, refusals by kind."""

    def __init__(self) -> None:
        self.requests: defaultdict[str, Counter[str]] = defaultdict(Counter)
        self.received: Counter[str] = Counter()
        self.sent: Counter[str] = Counter()
        self.refused: Counter[str] = Counter()
        self.conflicts: Counter[str] = Counter()

    def totals(self) -> dict[str, int]:
        whole: Counter[str] = Counter()
        for kinds in self.requests.values():
            whole += kinds
        return dict(whole)


class SimStore:
    """
    Args:
        group: the part of the bucket that a key belongs to, as far as limits are concerned.
        readers: reads of one `Gather` in flight.
    """

    def __init__(self, world: World, model: Model, *, group: Callable[[str], str], readers: int = 8, slow: float = 1.0):
        self.world, self.model = world, model
        self._group, self._readers, self._slow = group, readers, slow
        self._objects: dict[str, tuple[bytes, int, int]] = {}
        self._keys = SortedKeys()
        self._version = 0
        self._written_at: dict[str, float] = {}
        self._writes: defaultdict[str, Bucket] = defaultdict(lambda: Bucket(model.writes_per_s))
        self._reads: defaultdict[str, Bucket] = defaultdict(lambda: Bucket(model.reads_per_s))
        self.counts = Counts()
        #: Told of each put that took effect: key, size.
        self.watch: Callable[[str, int], None] | None = None

    # ---- without time: for producers, and for whoever counts ----------------------------------------------

    def __len__(self) -> int:
        return len(self._objects)

    def size(self, key: str) -> int:
        return self._objects[key][2] if key in self._objects else 0

    def create(self, key: str, size: int) -> bool:
        """A producer's put, counted; False where the store refuses it for now."""
        self.counts.requests["producer"]["put"] += 1
        if not self._writes[self._group(key)].takes(1, self.world.now):
            self.counts.refused["put"] += 1
            return False
        self._store(key, b"", size)
        return True

    def fill(self, key: str, size: int, body: bytes = b"") -> None:
        """As if it had always been there."""
        self._store(key, body, size)

    def read_s(self, key: str, role: str) -> float:
        """How long a worker's read of a source takes, repeats included."""
        took = 0.0
        size = self.size(key)
        while True:
            self.counts.requests[role]["get"] += 1
            took += self._latency_s("get", size)
            if self._reads[self._group(key)].takes(1, self.world.now):
                self.counts.received[role] += size
                return took
            self.counts.refused["get"] += 1
            took += self.world.random.uniform(0, _FIRST_PAUSE_S)

    # ---- in time -------------------------------------------------------------------------------------------

    def ask(self, running: Running, op: Any) -> None:
        if isinstance(op, Gather):
            if op.reads:
                _Gathering(self, running, op, self._readers)
            else:
                self.world.after(0.0, running.resume, [])
        else:
            self.request(running, op, running.resume, running.throw)

    def request(
        self,
        running: Running,
        op: Any,
        done: Callable[[Any], None],
        failed: Callable[[Exception], None],
        first: float | None = None,
        pause_s: float = _FIRST_PAUSE_S,
    ) -> None:
        kind = type(op).__name__.lower()
        self.counts.requests[running.role][kind] += 1
        size = len(op.body) if isinstance(op, Put) else self.size(op.key) if isinstance(op, Get) else 0
        delay = self._latency_s(kind, size)
        began = self.world.now if first is None else first

        def takes_effect(_: Any) -> None:
            if running.dead and not isinstance(op, Put):
                return
            if self._refuses(kind, op):
                self.counts.refused[kind] += 1
                now = self.world.now
                if now - began >= PATIENCE_S:
                    key = op[0] if isinstance(op[0], str) else ""
                    self.world.after(delay / 2, failed, StoreUnavailable(kind, key, "slow down"))
                    return
                wait = delay / 2 + self.world.random.uniform(0, pause_s)
                self.world.after(
                    wait,
                    lambda _: self.request(running, op, done, failed, began, min(2 * pause_s, _LAST_PAUSE_S)),
                )
                return
            outcome = self._apply(running.role, op)
            decode_s = (
                len(outcome.body) / _DECODE_BYTES_S if isinstance(outcome, Found) and running.role == "host" else 0.0
            )
            self.world.after(delay / 2 + decode_s, done, outcome)

        self.world.after(delay / 2, takes_effect)

    def _latency_s(self, kind: str, size: int) -> float:
        return self._slow * self.model.latency_s(kind, size, self.world.random.gauss(0.0, 1.0))

    def _refuses(self, kind: str, op: Any) -> bool:
        now = self.world.now
        match op:
            case Put(key):
                if self.model.min_rewrite_s and now - self._written_at.get(key, -1e9) < self.model.min_rewrite_s:
                    return True
                return not self._writes[self._group(key)].takes(1, now)
            case Delete(keys):
                many = Counter(map(self._group, keys))
                took = [self._writes[group].takes(count, now) for group, count in many.items()]  # every one of them
                return not all(took)
            case Get(key):
                return not self._reads[self._group(key)].takes(1, now)
            case List(prefix):
                return not self._reads[self._group(prefix)].takes(1, now)
        raise AssertionError(kind)

    def _apply(self, role: str, op: Any) -> Any:
        match op:
            case Get(key, unless):
                held = self._objects.get(key)
                if held is None:
                    return Missing()
                if str(held[1]) == unless:
                    return Unchanged()
                self.counts.received[role] += held[2]
                return Found(held[0], str(held[1]))
            case Put(key, body, if_version):
                held = self._objects.get(key)
                if (None if held is None else str(held[1])) != if_version:
                    self.counts.conflicts[role] += 1
                    return Conflict()
                if self.model.min_rewrite_s:
                    self._written_at[key] = self.world.now
                self.counts.sent[role] += len(body)
                self._store(key, body, len(body))
                if self.watch is not None:
                    self.watch(key, len(body))
                return Stored(str(self._version))
            case List(prefix, after, limit):
                return self._list(prefix, after, limit)
            case Delete(keys):
                for key in keys:
                    if self._objects.pop(key, None) is not None:
                        self._keys.remove(key)
                return None
        raise AssertionError(op)

    def _list(self, prefix: str, after: str, limit: int) -> Sequence[Listed]:
        objects = self._objects
        return [Listed(key, str(objects[key][1]), objects[key][2]) for key in self._keys.after(after, prefix, limit)]

    def _store(self, key: str, body: bytes, size: int) -> None:
        self._version += 1
        if key not in self._objects:
            self._keys.add(key)
        self._objects[key] = body, self._version, size


class _Gathering:
    """Many reads, so many in flight."""

    def __init__(self, store: SimStore, running: Running, op: Gather, lanes: int) -> None:
        self._store, self._running, self._op = store, running, op
        self._outcomes: list[Any] = [Missed()] * len(op.reads)
        self._next, self._open = 0, len(op.reads)
        self._over = False
        for _ in range(min(lanes, len(op.reads))):
            self._begin()
        if op.within_s is not None:
            store.world.after(op.within_s, self._end)

    def _begin(self) -> None:
        if self._next == len(self._op.reads) or self._over:
            return
        at, self._next = self._next, self._next + 1

        def done(outcome: Any) -> None:
            self._outcomes[at] = outcome
            self._open -= 1
            if self._open == 0:
                self._end()
            else:
                self._begin()

        def failed(fault: Exception) -> None:
            if self._op.within_s is not None:
                done(Missed(fault))
            elif not self._over:
                self._over = True
                self._running.throw(fault)

        self._store.request(self._running, self._op.reads[at], done, failed)

    def _end(self, _: Any = None) -> None:
        if not self._over:
            self._over = True
            self._running.resume(self._outcomes)
