"""Runs schedules: by chance, all of a small world, or one that is written down; and makes a failing one short."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

from s3queue.testing.simulate import render, simulation
from s3queue.testing.simulate.checkers import happened, judge
from s3queue.testing.simulate.choices import Choices, Replay, Seeded, every_schedule
from s3queue.testing.simulate.history import Event, Marked, digest
from s3queue.testing.simulate.scenes import Scene, draw
from s3queue.testing.simulate.story import Story
from s3queue.testing.simulate.verdicts import Verdict

#: How many schedules a failing one may cost to shorten.
_SHRINKS = 400


class Outcome(NamedTuple):
    """One schedule and what the checkers say of it.

    Attributes:
        schedule: the decisions that were not calm. `replay` of it gives this outcome again.
        marks: what happened in it that does not happen in every schedule.
        requests: how many reached the store.
    """

    scene: Scene
    schedule: dict[int, int]
    events: list[Event]
    verdicts: dict[str, Verdict]
    marks: set[str]
    requests: int

    @property
    def violations(self) -> dict[str, str]:
        """What was broken, by the name of the invariant."""
        return {name: verdict.why for name, verdict in self.verdicts.items() if verdict.state == "bad"}

    @property
    def digest(self) -> str:
        return digest(self.events)

    def show(self) -> str:
        return "\n".join(render.lines(self.events))


def run(choices: Choices, scene: Scene | None = None, **changes: Any) -> Outcome:
    """One schedule.

    Args:
        scene: what there is; None has the schedule choose.
        changes: fields of the scene to set, whatever was chosen.
    """
    scene = replace(draw(choices) if scene is None else scene, **changes)
    events, requests = simulation.run(choices, scene)
    story = Story(events, scene.times.settings)
    verdicts = judge(story)
    marks = {event.what for event in events if isinstance(event, Marked)}
    if all(verdict.state != "bad" for verdict in verdicts.values()):  # a broken history may make no sense
        marks.update(happened(story))
    return Outcome(scene, choices.taken, events, verdicts, marks, requests)


def replay(schedule: Mapping[int, int], scene: Scene | None = None, **changes: Any) -> Outcome:
    """A schedule that was written down."""
    return run(Replay(schedule), scene, **changes)


@dataclass
class Tally:
    """What many schedules came to.

    Attributes:
        failures: the seed or number of each failing schedule, and its outcome.
        sometimes: in how many schedules something happened.
    """

    schedules: int = 0
    requests: int = 0
    failures: list[tuple[int, Outcome]] = field(default_factory=list)
    sometimes: Counter[str] = field(default_factory=Counter)

    def add(self, number: int, outcome: Outcome) -> None:
        self.schedules += 1
        self.requests += outcome.requests
        self.sometimes.update(outcome.marks)
        if outcome.violations:
            self.failures.append((number, outcome))


def by_chance(
    seeds: Iterable[int], *, until: float = float("inf"), failures: int = 1, scene: Scene | None = None, **changes: Any
) -> Tally:
    """One schedule for each seed, until a number of them failed or a time (``time.monotonic``) has come."""
    tally = Tally()
    for seed in seeds:
        if time.monotonic() >= until:
            break
        tally.add(seed, run(Seeded(seed), scene, **changes))
        if len(tally.failures) >= failures:
            break
    return tally


def exhaust(scene: Scene, *, depth: int, deviations: int, until: float = float("inf")) -> Tally:
    """Every schedule of a small world that is not calm in at most ``deviations`` of its first ``depth`` decisions."""
    tally = Tally()
    for number, branch in enumerate(every_schedule(depth=depth, deviations=deviations)):
        if time.monotonic() >= until:
            break
        tally.add(number, run(branch, scene))
        if tally.failures:
            break
    return tally


def shorten(outcome: Outcome, again: Callable[[Mapping[int, int]], Outcome], names: Iterable[str] = ()) -> Outcome:
    """A calmer schedule that breaks the same, found by leaving out what is not needed.

    Args:
        again: runs a schedule.
        names: invariants of which one has to stay broken; those of the outcome if there are none.
    """
    wanted = set(names) or set(outcome.violations)
    left = _SHRINKS
    best = outcome
    size = max(1, len(best.schedule) // 2)
    while left > 0:
        before = len(best.schedule)
        positions = sorted(best.schedule)
        for start in range(0, len(positions), size):
            cut = set(positions[start : start + size])
            tried = again({at: index for at, index in best.schedule.items() if at not in cut})
            left -= 1
            if wanted & set(tried.violations) and len(tried.schedule) < len(best.schedule):
                best = tried
            if left <= 0:
                break
        if size == 1 and len(best.schedule) == before:
            break
        size = max(1, size // 2)
    return best


def report(seed: int, outcome: Outcome, version: str) -> str:
    """What a person needs to see a failure again: seed, version, and the schedule as a regression test."""
    short = shorten(outcome, replay)
    broken = "\n".join(f"    {name}: {why}" for name, why in short.violations.items())
    return (
        f"seed {seed} of s3queue {version} breaks\n{broken}\n"
        f"as a test:\n"
        f"    def test_schedule_{seed}() -> None:\n"
        f"        assert replay({short.schedule}).violations == {{}}\n"
    )
