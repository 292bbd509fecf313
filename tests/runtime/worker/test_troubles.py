from __future__ import annotations

import pytest

from s3queue.errors import StoreDenied, StoreUnavailable
from s3queue.runtime.worker.troubles import (
    AWAY_S,
    AWAY_SOURCES,
    FIRST_PARK_S,
    HOLD_S,
    LAST_PARK_S,
    REFUSED_S,
    Parked,
    Troubles,
)

DENIED, AWAY, ODD = StoreDenied("get", "k", "403"), StoreUnavailable("get", "k", "503"), ValueError("no XML")


@pytest.mark.parametrize(("fault", "hold_s"), [(AWAY, HOLD_S), (DENIED, REFUSED_S), (ODD, REFUSED_S)])
def test_source_is_tried_again_for_a_while_before_it_is_parked(fault: Exception, hold_s: float) -> None:
    troubles = Troubles()
    assert troubles.failed("a", fault, 0.0, 1.0) is None
    assert troubles.failed("a", fault, hold_s - 0.01, 1.0) is None
    assert troubles.failed("a", fault, hold_s, 1.0) == Parked(1, FIRST_PARK_S)


def test_source_that_was_parked_before_is_parked_at_once_and_for_longer_up_to_a_bound() -> None:
    troubles = Troubles()
    troubles.failed("a", DENIED, HOLD_S, 0.0)
    now, delays = FIRST_PARK_S, list[float]()
    for _ in range(100):
        parked = troubles.failed("a", DENIED, 0.0, now)
        assert parked is not None
        delays.append(parked.delay_s)
        now += parked.delay_s
    assert delays[:3] == [FIRST_PARK_S * 2, FIRST_PARK_S * 4, FIRST_PARK_S * 8]
    assert max(delays) == LAST_PARK_S


def test_moment_is_one_try_however_many_tickets_hold_messages_of_the_source() -> None:
    """A batch whose messages ran alone waited for five minutes, for a store that refused it once."""
    troubles = Troubles()
    assert troubles.failed("a", DENIED, HOLD_S, 100.0) == Parked(1, FIRST_PARK_S)
    assert troubles.failed("a", DENIED, 0.0, 100.5) == Parked(1, FIRST_PARK_S - 0.5)
    assert troubles.failed("a", DENIED, 0.0, 101.0) == Parked(1, FIRST_PARK_S - 1.0)
    assert troubles.failed("a", DENIED, 0.0, 100.0 + FIRST_PARK_S) == Parked(2, FIRST_PARK_S * 2)


def test_source_that_was_read_begins_anew() -> None:
    troubles = Troubles()
    troubles.failed("a", DENIED, HOLD_S, 1.0)
    troubles.worked("a")
    assert troubles.failed("a", DENIED, 0.0, 1.0) is None
    assert troubles.failed("a", DENIED, HOLD_S, 1.0) == Parked(1, FIRST_PARK_S)


def test_store_that_lets_nothing_be_read_is_waited_for_and_does_not_turn_all_messages_into_outcomes() -> None:
    troubles = Troubles()
    for number in range(AWAY_SOURCES):
        troubles.failed(str(number), DENIED, 0.0, 0.0)
    assert [troubles.failed(str(number), DENIED, AWAY_S - 1, 0.0) for number in range(1000)] == [None] * 1000
    assert troubles.failed("0", DENIED, AWAY_S, 0.0) is not None
    # As soon as one can be read, it is the others that are to blame.
    troubles.worked("1")
    assert troubles.failed("2", DENIED, HOLD_S, 0.0) is not None


def test_what_is_remembered_is_bounded() -> None:
    troubles = Troubles()
    for number in range(5000):
        troubles.failed(str(number), DENIED, AWAY_S, 0.0)
    assert len(troubles._parked) == 1000
