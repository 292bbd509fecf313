"""What runs with real processes and real faults have found."""

from __future__ import annotations

from s3queue.core.ledger import Flushed
from s3queue.core.ops import Delete, List
from s3queue.store import ObjectStore
from tests.core.hands import Hand
from tests.core.world import Whole, whole_cycle
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
    step = Hand(whole_cycle(first.lead, now=town.now, now_ms=town.now_ms(), nonce="n"), store)
    step.until(Delete)
    step.give_up()
    outcome = step.result
    assert isinstance(outcome, Whole)
    assert [(one.start, one.stop, one.outcome) for one in outcome.settled] == [(0, 4, "done")]
    drain(town, first)
    assert not town.sources(), "and it is cleaned up later"


def test_a_store_that_goes_away_before_anything_is_decided_ends_the_cycle(store: ObjectStore) -> None:
    town, first = led(store)
    town.enqueue(4)
    assert first.lead is not None
    step = Hand(whole_cycle(first.lead, now=town.now, now_ms=town.now_ms(), nonce="n"), store)
    step.until(List)
    step.lose()
    drain(town, first)


def test_an_outage_longer_than_every_timeout_fences_nobody(store: ObjectStore) -> None:
    """Whoever leads was cut off as well: that the others were silent meanwhile says nothing about them."""
    town, first = led(store)
    other = town.host("h2")
    town.enqueue(8)
    first.cycle()
    assert other.claim()
    first.cycles(3)
    for _ in range(10):
        town.now += town.settings.visibility_timeout / 2
        assert first.lead is not None
        step = Hand(whole_cycle(first.lead, now=town.now, now_ms=town.now_ms(), nonce=first.nonce), store)
        step.until(List)
        step.lose()
    first.cycles(3)  # it is back, and the other is not yet
    assert not town.ledger("h2").over
    assert isinstance(other.flush(), Flushed)
    drain(town, first, other)
    assert town.board().totals["q"].failed == 0


def test_a_host_that_stays_silent_after_an_outage_is_fenced(store: ObjectStore) -> None:
    town, first = led(store)
    town.host("h2")
    first.cycles(3)
    assert first.lead is not None
    step = Hand(whole_cycle(first.lead, now=town.now, now_ms=town.now_ms(), nonce="n"), store)
    step.until(List)
    step.lose()
    first.cycles(town.settings.visibility_timeout + 9)
    assert "h2" not in first.lead.heard, "fenced, and cleaned up"
