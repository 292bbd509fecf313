"""A leader whose clock is a minute off the median of its hosts' holds its schedules."""

from __future__ import annotations

import pytest

from s3queue.core.clocks import Clocks
from s3queue.core.records import Ledger
from tests.core.world import NOW_MS, ledger

AGE_S = 30.0


def look(clocks: Clocks, now: float, **ahead_s: float | None) -> Clocks:
    """By session, how far the leader's clock is ahead of its own; None: it does not say. Each ledger is new."""

    def one(session: str, ahead: float | None) -> tuple[str, Ledger, float]:
        clock_ms = 0 if ahead is None else NOW_MS + int((now - ahead) * 1000)
        return f"{session}{now}", ledger(session, clock_ms=clock_ms), AGE_S

    clocks.look({name: one(name, ahead) for name, ahead in ahead_s.items()}, "me", now, NOW_MS + int(now * 1000))
    return clocks


def of(**ahead_s: float | None) -> Clocks:
    """After two surveys a second apart, of which the second finds every ledger written anew."""
    return look(look(Clocks(10.0), 0.0, **ahead_s), 1.0, **ahead_s)


@pytest.mark.parametrize(
    ("ahead_s", "off"),
    [
        ({"me": 500.0}, False),
        ({"me": 0.0, "a": 50.0}, False),
        ({"me": 0.0, "a": 3600.0, "b": 3600.0}, True),
        ({"me": 0.0, "a": -3600.0, "b": -3600.0}, True),
        ({"me": 0.0, "a": 3600.0, "b": 0.0}, False),
        ({"me": 0.0, "a": 70.0, "b": 70.0, "c": 70.0}, True),
        ({"me": 0.0, "a": 59.0, "b": 59.0, "c": 59.0}, False),
    ],
)
def test_it_is_off_a_minute_off_the_median(ahead_s: dict[str, float], off: bool) -> None:
    assert of(**ahead_s).is_off is off


def test_ledger_that_may_be_old_proves_nothing_until_it_is_written_again() -> None:
    """What a host wrote half a minute ago shows a time half a minute ago."""
    first = look(Clocks(10.0), 0.0, me=0.0, a=85.0, b=85.0)
    assert first.is_off is False
    assert look(first, 1.0, me=0.0, a=85.0, b=85.0).is_off is True


def test_ledger_that_does_not_change_proves_no_more_than_when_it_was_read() -> None:
    clocks, old = Clocks(10.0), ledger("a", clock_ms=NOW_MS)
    for now in (0.0, 1000.0):
        clocks.look({"a": ("v", old, AGE_S)}, "me", now, NOW_MS + int(now * 1000))
    assert clocks.is_off is False


def test_ledger_that_cannot_be_read_is_waited_for_or_counts_as_it_was() -> None:
    """A new leader that reads the few that agree with it would tick by a clock that most contradict."""
    clocks = Clocks(10.0)
    clocks.look({"a": ("v1", None, AGE_S), "b": ("v1", None, AGE_S)}, "me", 0.0, NOW_MS)
    assert clocks.is_off is True
    known = look(Clocks(10.0), 0.0, me=0.0, a=3600.0, b=3600.0)
    known.look({"a": ("v2", None, AGE_S), "b": ("v2", None, AGE_S)}, "me", 20.0, NOW_MS)
    assert known.off_s > 60


def test_nothing_ticks_until_the_others_have_said_what_time_it_is_or_had_time_to() -> None:
    clocks = look(Clocks(10.0), 0.0, me=None, a=None)
    assert (clocks.is_off, clocks.off_s) == (True, 0.0)
    assert look(clocks, 11.0, me=None, a=None).is_off is False
