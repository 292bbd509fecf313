"""A lock that a local clock called expired was read and then deleted, whoever held it by then.

The predecessor compared its own wall clock with times that others had written, and deleted by a HEAD followed by an
unconditional DELETE. Here there is no lock: what may not change hands unseen is replaced by compare-and-swap, silence is
measured by a steady clock of whoever watches, and only what can never come back is deleted.
"""

from __future__ import annotations

import pytest

from s3queue.core.ops import Delete, Put
from s3queue.core.records import encode
from s3queue.store import Conflict, ObjectStore
from tests.core.hands import Hand
from tests.core.world import Whole, whole_cycle
from tests.regressions.town import Member, Town, drain, led

DAY_S = 86_400.0


@pytest.mark.parametrize("skew_s", [-DAY_S, 0.0, DAY_S])
def test_a_wall_clock_that_is_off_fences_nobody(store: ObjectStore, skew_s: float) -> None:
    town, first = led(store)
    first.skew_s = skew_s
    other = town.host("h2", skew_s=-skew_s)
    town.enqueue(8)
    first.cycle()
    assert other.claim()
    for _ in range(3):
        other.flush()
        first.flush()
        town.now += 5
        outcome = first.cycle()
        assert isinstance(outcome, Whole)
        assert outcome.fenced == ()
    assert not town.ledger("h2").over


@pytest.mark.parametrize("skew_s", [-DAY_S, DAY_S])
def test_a_wall_clock_that_is_off_takes_no_lead(store: ObjectStore, skew_s: float) -> None:
    town, first = led(store)
    hasty = town.host("h2", skew_s=skew_s)
    for _ in range(20):
        town.now += town.settings.leader_lease / 3
        first.flush()
        first.cycle()
        hasty.look()
        assert not hasty.may_stand()


def test_silence_is_counted_from_when_the_watcher_saw_it(store: ObjectStore) -> None:
    """A coordinator that has just been elected knows nothing of how long others were silent."""
    town, _ = led(store)
    quiet, second = town.host("h2"), town.host("h3")
    second.look()
    second.look()
    town.now += 10 * town.settings.visibility_timeout
    second.look()
    second.stand()
    outcome = second.cycle()
    assert isinstance(outcome, Whole)
    assert outcome.fenced == ()
    assert not town.ledger(quiet.session).over


def test_a_host_that_shows_life_in_the_last_moment_is_not_fenced(store: ObjectStore) -> None:
    """Between the look that found it silent and the write that fences it."""
    town, first = led(store)
    other = town.host("h2")
    first.cycles(2)
    town.now += town.settings.visibility_timeout + 1
    first.flush()
    assert first.lead is not None
    step = Hand(whole_cycle(first.lead, now=town.now, now_ms=town.now_ms(), nonce="n"), store)
    step.until(Put, town.layout.host("h2"))
    other.flush()  # it lives
    outcome = step.finish()
    assert isinstance(outcome, Whole)
    assert outcome.fenced == ()
    assert not town.ledger("h2").over


def test_nothing_is_deleted_that_could_come_back(store: ObjectStore) -> None:
    """Deletes carry no condition, so they are sent only for sources that are settled and ledgers that are over."""
    town, first = led(store)
    other = town.host("h2")
    town.enqueue(8)
    first.cycle()
    other.claim()
    deleted: list[str] = []
    for _ in range(2 * int(town.settings.visibility_timeout)):
        for ticket in first.claim():
            first.succeed(ticket)
        first.flush()
        town.now += 1
        deleted += _deleted(town, first)
    assert deleted
    board = town.board()
    for key in deleted:
        if key.startswith(town.layout.hosts):
            assert key != first.host.key
            assert store.put(key, encode(town.ledger("h1")), if_version="any") == Conflict(), (
                "nor can it be written again"
            )
        else:
            assert town.layout.path(key) not in town.sources()
    assert not board.tickets
    drain(town, first)


def _deleted(town: Town, first: Member) -> list[str]:
    assert first.lead is not None
    step = Hand(whole_cycle(first.lead, now=town.now, now_ms=town.now_ms(), nonce=first.nonce), town.store)
    step.finish()
    return [key for op in step.asked if isinstance(op, Delete) for key in op.keys]
