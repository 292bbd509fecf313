"""What checkers say where a history does not show enough."""

from __future__ import annotations

from s3queue.core.plan import Settings
from s3queue.testing.simulate import CHECKERS, SOMETIMES, Replay, Seeded, Story, by_chance, judge, run


def test_calm_schedule_is_ok_by_every_checker_that_can_tell() -> None:
    verdicts = run(Replay({})).verdicts
    assert {name for name, verdict in verdicts.items() if verdict.state == "unknown"} == {"I10", "I12"}
    assert {name for name, verdict in verdicts.items() if verdict.state == "bad"} == set()


def test_history_that_stops_early_is_not_called_ok_by_what_concerns_its_end() -> None:
    events = run(Seeded(1)).events
    verdicts = judge(Story(events[: len(events) // 2], Settings()))
    assert {verdicts[name].state for name in ("I8", "P1", "P2")} == {"unknown"}


def test_every_prefix_of_a_history_is_safe() -> None:
    """Checkers of safety need not wait for the end."""
    outcome = run(Seeded(3))
    for end in range(0, len(outcome.events), 7):
        verdicts = judge(Story(outcome.events[:end], outcome.scene.times.settings))
        assert [name for name, verdict in verdicts.items() if verdict.state == "bad"] == []


def test_what_ought_to_happen_happens() -> None:
    happened: set[str] = set()
    for first in range(1000, 2000, 50):
        happened |= set(by_chance(range(first, first + 50)).sometimes)
        if happened >= set(SOMETIMES):
            return
    raise AssertionError(f"never happened: {set(SOMETIMES) - happened}")


def test_checkers_are_named_after_invariants_and_promises() -> None:
    assert [*CHECKERS][:18] == [f"I{n}" for n in range(1, 13)] + [f"P{n}" for n in range(1, 7)]
