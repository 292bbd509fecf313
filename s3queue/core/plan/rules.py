"""The rules of a queue that has limits, takes turns between its keys, or has a breaker; and what its rates allow now.

A rate is a token bucket by the coordinator's clock (`Board.uptime_ms`), which never runs ahead of time and survives a
change of leader. What a bucket holds stands on the board unless it is full.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Mapping

from s3queue.core.keys import Source
from s3queue.core.plan.planning import Planning
from s3queue.core.records import Board, Bucket, Control, Ledger, Limits
from s3queue.core.records.limits import NO_LIMITS, overlaid, strictest

#: Seconds of a rate that may be assigned at once: after a rest, and while messages wait for it all the time. In the second
#: case a late cycle loses nothing.
BURST_S, WAITED_S = 0.25, 2.0
#: Milliseconds between two cycles after which it is unknown whether messages waited all the time.
_ALL_THE_TIME_MS = 10_000
#: Milliseconds for which the buckets of a queue are kept while nobody serves it, it is paused, or it has no rate.
KEPT_MS = 86_400_000
#: Seconds of a rate that are worth a cycle.
_WORTH_S = 0.1
#: Most limits of one queue that are shown to people.
_TOLD = 10
#: Any number.
MANY = 1 << 40


class Rules:
    """
    Attributes:
        limits: what holds.
        held: nothing is assigned: its breaker is open. probes: one message is, to see whether it may be closed.
        after: the key after which the turns begin.
    """

    def __init__(self, limits: Limits, buckets: Mapping[str, Bucket], uptime_ms: int, after: str = "") -> None:
        self.limits, self.after = limits, after
        self.held = self.probes = False
        self._before, self._uptime_ms = buckets, uptime_ms
        #: By key ("": the queue), what is left of what was there.
        self._tokens: dict[str, float] = {}
        self._rates: dict[str, float] = {}
        self._asked: set[str] = set()

    def rate(self, key: str) -> float:
        """Of a key, or ("") of the queue; 0: any."""
        known = self._rates.get(key)
        if known is None:
            known = self._rates[key] = (self.limits.of(key).rate if key else self.limits.queue.rate) or 0.0
        return known

    def most_running(self, key: str) -> int:
        """How many messages of a key, or ("") of the queue, may run at once; 0: any number."""
        return (self.limits.of(key) if key else self.limits.queue).max_running or 0

    def left(self, source: Source) -> int:
        """How many messages of it the rates allow."""
        return min(self._left(""), self._left(source.key) if source.key else MANY)

    @property
    def left_of_queue(self) -> int:
        return self._left("")

    def _left(self, key: str) -> int:
        rate = self.rate(key)
        if not key and self.probes:
            return int(self._tokens.setdefault(key, 1.0))
        if not rate:
            return MANY
        if key not in self._tokens:
            self._tokens[key] = filled(self._before.get(key), rate, self._uptime_ms)
        tokens = int(self._tokens[key] + 1e-9)
        if tokens < 1:
            self._asked.add(key)
        return tokens

    def spend(self, key: str, many: int) -> None:
        """So many of a key, or of none, were assigned."""
        for name in {"", key}:
            if name in self._tokens:
                self._tokens[name] -= many

    def buckets(self) -> dict[str, Bucket]:
        """The buckets that are not full, unchanged where nothing was assigned."""
        now_ms, kept = self._uptime_ms, dict[str, Bucket]()
        for name in {**self._before, **self._tokens}:  # sorted, so that the order does not depend on hashes
            rate, before = self.rate(name), self._before.get(name)
            if not rate:
                continue
            was = filled(before, rate, now_ms)
            tokens = self._tokens.get(name, was)
            if tokens == was and before is not None:
                if tokens < _full(rate):
                    kept[name] = before
            elif tokens < _full(rate):
                kept[name] = Bucket(max(0.0, round(tokens, 6)), now_ms, name in self._asked)
        return kept

    def due_s(self) -> float:
        """Seconds until one of the rates that messages wait for is worth a cycle; infinity: none is waited for."""
        waits = [math.inf]
        for name in self._asked:
            rate = self.rate(name)
            waits.append((max(1.0, rate * _WORTH_S) - self._tokens[name]) / rate)
        return max(0.001, min(waits))


def _full(rate: float) -> float:
    return max(1.0, rate * BURST_S)


def filled(before: Bucket | None, rate: float, uptime_ms: int) -> float:
    """What is in a bucket by now."""
    if before is None:
        return _full(rate)
    passed_ms = max(0, uptime_ms - before.at_ms)
    waited = before.waited and passed_ms <= _ALL_THE_TIME_MS
    return min(before.tokens + rate * passed_ms / 1000, max(1.0, rate * WAITED_S) if waited else _full(rate))


def still_kept(buckets: Mapping[str, Bucket], uptime_ms: int) -> dict[str, Bucket]:
    """The buckets of a queue without rules that count if it gets rules again. The others go: a queue that no longer has a
    rate would leave them on the board for ever."""
    return {key: one for key, one in buckets.items() if uptime_ms - one.at_ms < KEPT_MS}


def in_force(ledgers: Iterable[Ledger], control: Control | None) -> dict[str, Limits]:
    """By queue, what holds: what operators have set, and otherwise what living hosts declare."""
    found: dict[str, Limits] = {}
    for ledger in ledgers:
        if ledger.limits and not ledger.over:
            for queue, limits in ledger.limits.items():
                found[queue] = strictest(found[queue], limits) if queue in found else limits
    if control is not None and control.limits:
        for queue, limits in control.limits.items():
            found[queue] = overlaid(limits, found.get(queue, NO_LIMITS))
    return found


def rules(planning: Planning, queues: Collection[str], turns: Mapping[str, str]) -> dict[str, Rules]:
    """By queue, of those that have any.

    Args:
        turns: by queue, the key after which they begin.
    """
    buckets, uptime_ms = planning.board.buckets, planning.uptime_ms
    return {
        queue: Rules(limits, buckets.get(queue, {}), uptime_ms, turns.get(queue, ""))
        for queue, limits in in_force(planning.ledgers.values(), planning.control).items()
        if queue in queues
    }


def reached(board: Board, limits: Mapping[str, Limits]) -> dict[str, tuple[str, ...]]:
    """By queue, which of its limits hold up messages or are used up; for people."""
    found: dict[str, list[str]] = {}
    used: dict[tuple[str, str], int] = {}
    for name, allowed in board.allowed.items():
        if name not in board.tickets:
            continue
        queue = board.tickets[name].queue
        for key in {"", allowed.key}:
            used[queue, key] = used.get((queue, key), 0) + allowed.at_once
    for (queue, key), many in sorted(used.items()):
        limit = limits.get(queue, NO_LIMITS)
        most = (limit.of(key) if key else limit.queue).max_running
        if most and many >= most:
            found.setdefault(queue, []).append(f"{f'key {key}: ' if key else ''}{many} running")
    for queue, buckets in sorted(board.buckets.items()):
        limit = limits.get(queue, NO_LIMITS)
        for key in sorted(key for key, bucket in buckets.items() if bucket.waited):
            if rate := (limit.of(key) if key else limit.queue).rate:
                found.setdefault(queue, []).append(f"{f'key {key}: ' if key else ''}{rate:g}/s")
    for queue, fuse in sorted(board.fuses.items()):
        if fuse.open_ms:
            found.setdefault(queue, []).append(f"breaker open after {fuse.failed} failures")
    return {queue: tuple(those[:_TOLD]) for queue, those in found.items()}
