"""Where every decision of a simulation comes from.

A world asks `Choices.choose` whenever something could go more than one way: who moves, what becomes of a request, who
crashes. The first option is always the calm one: the request is served, nobody crashes, the one whose turn it is moves.
So a schedule is a number per decision, nearly all of them 0, and is written as the decisions that were not calm::

    {17: 3, 240: 1}

Replaying that gives the same schedule; leaving some of it out gives a calmer one, which is how failures are shrunk.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping, Sequence
from typing import TypeVar

T = TypeVar("T")


class Choices:
    """The calm schedule, and the base of the others.

    Attributes:
        made: how many decisions were taken so far.
        taken: those that were not calm, by number.
    """

    def __init__(self) -> None:
        self.made = 0
        self.taken: dict[int, int] = {}

    def choose(self, options: Sequence[T], calm: float = 0.0) -> T:
        """One of the options.

        Args:
            options: the first is the calm one.
            calm: how probable that is where chance decides; 0: all are equally probable.
        """
        count = len(options)
        if count == 1:
            return options[0]
        index = self._pick(count, calm)
        if index:
            self.taken[self.made] = index
        self.made += 1
        return options[index]

    def _pick(self, count: int, calm: float) -> int:
        return 0


class Seeded(Choices):
    """Chance decides, always the same for one seed."""

    def __init__(self, seed: int) -> None:
        super().__init__()
        self._random = random.Random(seed).random

    def _pick(self, count: int, calm: float) -> int:
        drawn = self._random()
        if calm == 0.0:
            return int(drawn * count)
        if drawn < calm:
            return 0
        return 1 + int((drawn - calm) / (1.0 - calm) * (count - 1))


class Replay(Choices):
    """A written schedule. What it does not mention is calm."""

    def __init__(self, schedule: Mapping[int, int]) -> None:
        super().__init__()
        self._schedule = schedule

    def _pick(self, count: int, calm: float) -> int:
        return min(self._schedule.get(self.made, 0), count - 1)


class Branch(Choices):
    """One leaf of the tree of all schedules: a prefix, then calm. Remembers what else there was to choose."""

    def __init__(self, prefix: Sequence[int]) -> None:
        super().__init__()
        self.path = list(prefix)
        self.widths: list[int] = []

    def _pick(self, count: int, calm: float) -> int:
        if self.made >= len(self.path):
            self.path.append(0)
        self.widths.append(count)
        return self.path[self.made]


def every_schedule(*, depth: int, deviations: int) -> Iterator[Branch]:
    """All schedules that are not calm in at most ``deviations`` of their first ``depth`` decisions, calmest first in each
    branch. Run each to its end before asking for the next."""
    prefix: list[int] | None = []
    while prefix is not None:
        branch = Branch(prefix)
        yield branch
        prefix = _following(branch.path[:depth], branch.widths, deviations)


def _following(path: list[int], widths: list[int], deviations: int) -> list[int] | None:
    rough = [0]
    for index in path:
        rough.append(rough[-1] + bool(index))
    for at in range(len(path) - 1, -1, -1):
        if path[at] + 1 < widths[at] and rough[at] < deviations:
            return [*path[:at], path[at] + 1]
    return None
