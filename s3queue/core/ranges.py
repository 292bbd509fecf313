"""Sets of small integers as sorted, disjoint, non-adjacent half-open ranges, flat in one tuple.

``(0, 3, 5, 6)`` is {0, 1, 2, 5}. Thousands of finished messages of one ticket are two numbers.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import pairwise
from typing import TypeAlias

Ranges: TypeAlias = tuple[int, ...]
EMPTY: Ranges = ()


def is_proper(ranges: Ranges) -> bool:
    """Whether this is such a set, and not something that a stored record merely calls one."""
    return not ranges or (ranges[0] >= 0 and len(ranges) % 2 == 0 and all(a < b for a, b in pairwise(ranges)))


def pairs(ranges: Ranges) -> Iterator[tuple[int, int]]:
    return zip(ranges[::2], ranges[1::2], strict=True)


def size(ranges: Ranges) -> int:
    return sum(ranges[1::2]) - sum(ranges[::2])


def members(ranges: Ranges) -> Iterator[int]:
    for start, stop in pairs(ranges):
        yield from range(start, stop)


def contains(ranges: Ranges, member: int) -> bool:
    return any(start <= member < stop for start, stop in pairs(ranges))


def union(*many: Iterable[tuple[int, int]]) -> Ranges:
    """The ranges that cover exactly what any of the given pairs covers."""
    flat: list[int] = []
    for start, stop in sorted(pair for one in many for pair in one):
        if start >= stop:
            continue
        if flat and start <= flat[-1]:
            flat[-1] = max(flat[-1], stop)
        else:
            flat += (start, stop)
    return tuple(flat)


def minus(ranges: Ranges, gone: Ranges) -> Ranges:
    """What is in the first and not in the second."""
    flat: list[int] = []
    cuts = list(pairs(gone))
    for start, stop in pairs(ranges):
        at = start
        for lower, upper in cuts:
            if upper <= at or lower >= stop:
                continue
            if lower > at:
                flat += (at, lower)
            at = upper
            if at >= stop:
                break
        if at < stop:
            flat += (at, stop)
    return tuple(flat)


def of(members: Iterable[int]) -> Ranges:
    return union((member, member + 1) for member in members)
