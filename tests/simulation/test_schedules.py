"""Schedules by chance, all of some small worlds, and whatever Hypothesis thinks of: nothing may break."""

from __future__ import annotations

import os
import subprocess
import sys
from itertools import accumulate
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, note, settings
from hypothesis import strategies as st

from s3queue.testing.simulate import SMALL, Replay, Seeded, by_chance, exhaust, replay, report, run

ROOT = Path(__file__).parents[2]


def test_nothing_breaks_by_chance() -> None:
    tally = by_chance(range(200))
    assert tally.schedules == 200 or not tally.failures, "\n".join(
        report(seed, outcome, "here") for seed, outcome in tally.failures
    )
    assert tally.failures == []


@pytest.mark.parametrize("name", SMALL)
def test_nothing_breaks_in_any_schedule_with_one_surprise(name: str) -> None:
    """With two or three: ``python -m stress simulate``."""
    small = SMALL[name]
    tally = exhaust(small.scene, depth=small.depth, deviations=1)
    assert tally.failures == []
    assert tally.schedules > small.depth / 2


@settings(max_examples=60, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(
    st.lists(st.integers(0, 4), max_size=12),
    st.lists(st.tuples(st.integers(1, 40), st.integers(1, 9)), max_size=40),
)
def test_nothing_breaks_by_design(scene: list[int], surprises: list[tuple[int, int]]) -> None:
    """The first decisions choose the world; the others are numbered from one surprise to the next, so that leaving one
    out leaves the rest where it was."""
    at = accumulate(gap for gap, _ in surprises)
    schedule = dict(enumerate(scene)) | {len(scene) + n: index for n, (_, index) in zip(at, surprises, strict=True)}
    outcome = run(Replay(schedule))
    note(f"replay({outcome.schedule})")
    assert outcome.violations == {}


def test_schedule_that_was_written_down_gives_the_same_history() -> None:
    for seed in range(12):
        outcome = run(Seeded(seed))
        assert replay(outcome.schedule).digest == outcome.digest


def test_history_does_not_depend_on_the_hash_seed() -> None:
    program = (
        "from s3queue.testing.simulate import Seeded, run\nprint(*(run(Seeded(seed)).digest for seed in range(40)))\n"
    )
    digests = {
        subprocess.run(
            [sys.executable, "-c", program],
            env=os.environ | {"PYTHONHASHSEED": hash_seed, "PYTHONPATH": f"{ROOT}:{ROOT / 'backends'}"},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for hash_seed in ("0", "1", "4711")
    }
    assert len(digests) == 1
