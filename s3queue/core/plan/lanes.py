"""The batches of a queue with rules, in the order in which they are assigned.

A **lane** holds the batches of one key; one more lane holds those without a key. Where a queue is fair, its lanes take
turns: each
gets as many messages as its weight says. Otherwise all are one lane, in dispatch order. Within a lane, priorities are
strict, unless the queue is ageing: then ``ageing_s`` of wait count as one priority, and the order is that of the time of
the enqueue plus priority times ``ageing_s``. Messages of a group keep their order; each has the place that the group has
at its turn.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import deque
from collections.abc import Callable

from s3queue.core.keys import MAX_ORDER, Source
from s3queue.core.plan.lines import Line, rank
from s3queue.core.plan.rules import MANY, Rules


class Lanes(Line):
    """
    Attributes:
        most: messages that may be taken of the batch that `first` gave.
        served: the key that was served last; None: nothing was.
        closed: keys of limits that are reached, as ``limited`` names them; None: messages without such a limit.
        limited: by whose limit a batch is bound.
    """

    takes_all = True

    def __init__(self, rules: Rules) -> None:
        super().__init__()
        self.rules = rules
        self.served: str | None = None
        self.closed: set[str | None] = set()
        self.limited: Callable[[Source], str | None] = lambda source: None
        self._is_fair = bool(rules.limits.fair)
        self._lanes: dict[str, list[Source]] = {}
        self._turns: deque[str] | None = None
        self._left = MANY
        self._size = 0

    @property
    def size(self) -> int:
        """How many messages could be assigned, if no group is busy."""
        return min(self._size, self.rules.left_of_queue) if self._size else 0

    @size.setter
    def size(self, size: int) -> None:
        self._size = size

    def add(self, source: Source, count: int) -> None:
        self._lanes.setdefault(source.key if self._is_fair else "", []).append(source)
        self._size += count if source.group is None else 1

    def first(self) -> Source | None:
        rules = self.rules
        turns = self._in_turn() if self._turns is None else self._turns
        while turns:
            lane = self._lanes[turns[0]]
            while lane:
                source = lane[-1]
                allowed = rules.left(source) if self.limited(source) not in self.closed else 0
                if allowed > 0:
                    self.most = min(self._left, allowed) if len(turns) > 1 else allowed
                    return source
                lane.pop()
            turns.popleft()
            self._begin()
        return None

    def drop(self) -> None:
        assert self._turns is not None
        self._lanes[self._turns[0]].pop()

    def took(self, many: int) -> None:
        assert self._turns is not None
        key = self._turns[0]
        self._size = max(0, self._size - many)
        self.rules.spend(self._lanes[key][-1].key, many)
        self.served = key
        self._left -= many
        if self._left <= 0:
            self._turns.rotate(-1)
            self._begin()

    def keep_new(self, out: set[str]) -> None:
        """From now on serve only keys that have no message out."""
        turns = self._in_turn() if self._turns is None else self._turns
        self._turns = deque(key for key in turns if key not in out)
        self._begin()

    def passes(self) -> None:
        """End the turn of the key that was served last."""
        assert self._turns is not None
        self._turns = deque(key for key in self._turns if key != self.served)
        self._begin()

    def _begin(self) -> None:
        """Give the turn to the next lane."""
        self._left = self.rules.limits.weights.get(self._turns[0], 1) if self._turns and self._is_fair else MANY

    def _in_turn(self) -> deque[str]:
        limits = self.rules.limits
        for lane in self._lanes.values():
            if limits.ageing_s:
                _age(lane, int(limits.ageing_s * 1000))
            else:
                lane.sort(key=rank, reverse=True)
        keys = sorted(self._lanes)
        begin = bisect_right(keys, self.rules.after)
        self._turns = deque(keys[begin:] + keys[:begin])
        self._begin()
        return self._turns


def _age(lane: list[Source], step_ms: int) -> None:
    """Sort by when they were sent, later by so much for each priority; the last one first."""

    def at(source: Source) -> tuple[int, str]:
        newest_first = source.order > MAX_ORDER // 2  # in a LIFO queue nothing gains by waiting
        return source.order + source.priority * (MAX_ORDER if newest_first else step_ms), source.batch

    places = {source.path: at(source) for source in lane}
    groups: dict[str, list[Source]] = {}
    for source in lane:
        if source.group is not None:
            groups.setdefault(source.group, []).append(source)
    for members in groups.values():
        in_order = sorted(members, key=rank)
        for source, place in zip(in_order, sorted(places[one.path] for one in members), strict=True):
            places[source.path] = place
    lane.sort(key=lambda source: (places[source.path], rank(source)), reverse=True)
