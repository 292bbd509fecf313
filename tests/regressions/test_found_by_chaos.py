"""What runs with real processes and real faults have found."""

from __future__ import annotations

from s3queue.core.coordinate import Cycled, cycle
from s3queue.core.ops import Delete, List
from s3queue.store import ObjectStore
from tests.core.hands import Hand
from tests.regressions.town import drain, led


def test_a_commit_is_told_though_the_store_went_away_before_its_clean_up(store: ObjectStore) -> None:
    """The outcomes of a committed board were dropped, and an audit took the messages for lost."""
    town, first = led(store)
    town.enqueue(4)
    first.cycle()
    (ticket,) = first.claim()
    first.succeed(ticket)
    first.flush()
    assert first.lead is not None
    step = Hand(cycle(first.lead, now=town.now, now_ms=town.now_ms(), nonce="n"), store)
    step.until(Delete)
    step.give_up()
    outcome = step.result
    assert isinstance(outcome, Cycled)
    assert [(one.start, one.stop, one.outcome) for one in outcome.settled] == [(0, 4, "done")]
    drain(town, first)
    assert not town.sources(), "and it is cleaned up later"


def test_a_store_that_goes_away_before_anything_is_decided_ends_the_cycle(store: ObjectStore) -> None:
    town, first = led(store)
    town.enqueue(4)
    assert first.lead is not None
    step = Hand(cycle(first.lead, now=town.now, now_ms=town.now_ms(), nonce="n"), store)
    step.until(List)
    step.lose()
    drain(town, first)
