"""How long hosts live on what they hold, as far as the coordinator can measure it."""

from __future__ import annotations

import pytest

from s3queue.core.records import Ledger
from s3queue.core.rounds import LONGEST_S, Rounds
from tests.core.world import board, claimed, ledger, one_ticket

ONE, _ = one_ticket()


def went_round(rounds: Rounds, start: float, *, cycle_s: float, cycles: int) -> None:
    """A ticket is assigned, and seen claimed so many cycles later."""
    rounds.see({"h1": ledger("h1")}, start)
    rounds.commit(board(), ONE, start)
    for number in range(1, cycles + 1):
        now = start + number * cycle_s
        rounds.see({"h1": claimed() if number == cycles else ledger("h1")}, now)
        rounds.commit(ONE, ONE if number < cycles else board(), now)


def test_nothing_is_known_before_a_claim_was_seen() -> None:
    rounds = Rounds()
    rounds.see({}, 1.0)
    rounds.commit(board(), ONE, 1.0)
    rounds.see({"h1": ledger("h1")}, 2.0)
    assert rounds.work_s(0.2) == 0.0


def test_work_lasts_until_the_outcome_is_stored_seen_and_replaced() -> None:
    rounds = Rounds()
    went_round(rounds, 100.0, cycle_s=1.0, cycles=2)
    assert (rounds.period_s, rounds.lag_s) == (1.0, 2.0)
    assert rounds.work_s(0.2) > 0.2 + 0.5 + 2.0


def test_a_pause_without_work_is_no_cycle() -> None:
    rounds = Rounds()
    went_round(rounds, 100.0, cycle_s=1.0, cycles=2)
    went_round(rounds, 900.0, cycle_s=1.0, cycles=2)
    assert rounds.period_s == 1.0


def test_slower_rounds_are_learned_and_forgotten() -> None:
    rounds = Rounds()
    for cycle_s in (1.0, 4.0, 1.0):
        for number in range(30):
            went_round(rounds, number * 100.0, cycle_s=cycle_s, cycles=1)
        assert rounds.lag_s == pytest.approx(cycle_s, rel=0.01)


@pytest.mark.parametrize("end", [None, ledger("h1", fenced=True)])
def test_ticket_that_is_never_claimed_is_forgotten_with_its_host(end: Ledger | None) -> None:
    rounds = Rounds()
    rounds.commit(board(), ONE, 1.0)
    rounds.see({} if end is None else {"h1": end}, 2.0)
    rounds.see({"h1": claimed()}, 50.0)
    assert rounds.lag_s == 0.0


def test_one_host_that_is_slow_does_not_speak_for_the_others() -> None:
    rounds = Rounds()
    for start in (0.0, 10.0, 20.0):
        for session, after_s in (("h1", 1.0), ("h2", 1.0), ("h3", 9.0)):
            one, _ = one_ticket(session=session)
            rounds.commit(board(), one, start + 9.0 - after_s)
        rounds.see({session: claimed(session=session) for session in ("h1", "h2", "h3")}, start + 9.0)
    assert rounds.lag_s == 1.0


def test_it_has_a_limit() -> None:
    rounds = Rounds()
    went_round(rounds, 0.0, cycle_s=1000.0, cycles=1)
    assert rounds.work_s(0.2) <= 1.25 * LONGEST_S
