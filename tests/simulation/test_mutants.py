"""Each rule of the protocol, taken away, is missed by somebody."""

from __future__ import annotations

from pathlib import Path

import pytest

from s3queue.testing.simulate import CHECKERS, replay, run, shorten
from s3queue.testing.simulate.choices import Replay
from tests.simulation import catalogue
from tests.simulation.catalogue import MUTANTS, Mutant


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name)
def test_mutant_is_caught(mutant: Mutant) -> None:
    caught = mutant.catch()
    assert caught is not None, f"not caught in {mutant.within} schedules: {mutant.rule}"
    schedules, outcome = caught
    assert schedules <= mutant.within
    assert set(mutant.caught_by) & set(outcome.violations)


def test_every_module_with_mutants_is_in_the_catalogue() -> None:
    folder = Path(__file__).parent
    named = {file.stem for file in folder.glob("*.py") if "@mutant(" in file.read_text()}
    assert named - {Path(__file__).stem} == {name for name in vars(catalogue) if name in named} != set()


def test_every_checker_catches_a_mutant() -> None:
    """A checker that nothing breaks is not tested."""
    assert {name for mutant in MUTANTS for name in mutant.caught_by} == set(CHECKERS)


def test_failing_schedule_is_made_short_and_still_fails() -> None:
    mutant = next(mutant for mutant in MUTANTS if mutant.name == "no-window")
    with mutant.applied():
        caught = mutant.catch()
        assert caught is not None
        outcome = caught[1]
        short = shorten(outcome, lambda schedule: replay(schedule, **mutant.scene), mutant.caught_by)
        assert len(short.schedule) < len(outcome.schedule) / 2
        assert set(run(Replay(short.schedule), **mutant.scene).violations) & set(mutant.caught_by)
    assert replay(short.schedule, **mutant.scene).violations == {}
