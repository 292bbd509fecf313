"""Sets of small integers as sorted, disjoint, non-adjacent half-open ranges, flat in one tuple.

``(0, 3, 5, 6)`` is {0, 1, 2, 5}. Thousands of finished messages of one ticket are two numbers.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Iterator
from itertools import pairwise
from typing import TypeAlias

Ranges: TypeAlias = tuple[int, ...]
EMPTY: Ranges = ()


def is_proper(ranges: Ranges) -> bool:
    """Whether this is such a set: a stored record may hold anything."""
    return not ranges or (ranges[0] >= 0 and len(ranges) % 2 == 0 and all(a < b for a, b in pairwise(ranges)))


def pairs(ranges: Ranges) -> Iterator[tuple[int, int]]:
    return zip(ranges[::2], ranges[1::2], strict=True)


def size(ranges: Ranges) -> int:
    return sum(ranges[1::2]) - sum(ranges[::2])


def members(ranges: Ranges) -> Iterator[int]:
    for start, stop in pairs(ranges):
        yield from range(start, stop)


def contains(ranges: Ranges, member: int) -> bool:
    return bisect_right(ranges, member) % 2 == 1


def union(*many: Iterable[tuple[int, int]]) -> Ranges:
    """The ranges that cover exactly the union of the given pairs."""
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
    """The members of the first that are not in the second. Linear in both."""
    flat: list[int] = []
    cut, cuts = 0, len(gone)
    for start, stop in pairs(ranges):
        at = start
        while cut < cuts and gone[cut + 1] <= at:
            cut += 2
        ahead = cut  # the last cut may reach into the next range, too
        while ahead < cuts and gone[ahead] < stop:
            if gone[ahead] > at:
                flat += (at, gone[ahead])
            at = gone[ahead + 1]
            ahead += 2
        if at < stop:
            flat += (at, stop)
    return tuple(flat)


def of(members: Iterable[int]) -> Ranges:
    return union((member, member + 1) for member in members)
