"""Enqueuing, and settling, took several writes; what died between two of them left half of something.

The predecessor wrote a record and then an entry, updated an index in the background, wrote a dead letter before the write
that made it dead, and never removed what was completed. Here every step that counts is one write, and the rest follows from
it.
"""

from __future__ import annotations

from s3queue.core.ops import Delete, Put
from s3queue.core.produce import Accepted, enqueue
from s3queue.core.records import Failed, Failure
from s3queue.store import ObjectStore
from tests.core.hands import Hand
from tests.core.world import Whole, whole_cycle
from tests.regressions.town import Member, Town, drain, led


def test_enqueuing_is_one_write_whatever_the_number_of_messages(store: ObjectStore) -> None:
    town = Town(store)
    for many in (1, 1000):
        step = Hand(enqueue(town.layout, town.batch(many)), store)
        assert step.finish() == Accepted()
        assert step.count(Put) == len(step.asked) == 1


def test_a_producer_that_dies_before_that_write_leaves_nothing(store: ObjectStore) -> None:
    town = Town(store)
    step = Hand(enqueue(town.layout, town.batch(10)), store)
    assert step.op is not None
    assert store.list("") == []


def test_a_producer_that_dies_after_it_has_enqueued_everything(store: ObjectStore) -> None:
    town, first = led(store)
    step = Hand(enqueue(town.layout, town.batch(10)), store)
    step.do()  # whatever it would do next
    drain(town, first)
    assert town.board().totals["q"].done == 10


def dying(store: ObjectStore) -> tuple[Town, Member]:
    """A town in which one message is about to be found dead."""
    town, first = led(store)
    town.enqueue(1)
    first.cycle()
    (ticket,) = first.claim()
    first.fail(ticket, 0, Failed("dead", 0.0, Failure(1, "rejected", "no", 1)))
    first.flush()
    return town, first


def step_of(town: Town, first: Member, nonce: str) -> Hand[object]:
    assert first.lead is not None
    return Hand(whole_cycle(first.lead, now=town.now, now_ms=town.now_ms(), nonce=nonce), town.store)


def test_a_dead_letter_is_written_after_the_commit_that_made_it_one(store: ObjectStore) -> None:
    town, first = dying(store)
    step = step_of(town, first, "n")
    step.until(Put, town.layout.board)
    step.lose()
    assert not town.dead(), "it is not dead yet"
    assert isinstance(first.cycle(), Whole)
    first.cycle()
    assert len(town.dead()) == 1


def test_a_coordinator_that_dies_between_dead_letter_and_commit_leaves_one_letter(store: ObjectStore) -> None:
    town, first = dying(store)
    step = step_of(town, first, "n")
    step.until(Put, town.layout.board)
    step.do()  # dead, says the board
    step.until(Put, town.layout.board)  # the letter is written
    assert len(town.dead()) == 1
    second = town.host("h2")
    second.look()
    second.look()
    town.now += town.settings.leader_lease + 1
    second.look()
    second.stand()
    drain(town, second)
    assert len(town.dead()) == 1
    assert town.board().totals["q"].dead == 1


def test_what_is_completed_is_removed(store: ObjectStore) -> None:
    town, first = led(store)
    for _ in range(5):
        town.enqueue(3)
    drain(town, first)
    first.cycles(5)
    left = {item.key for item in store.list("")}
    assert left == {town.layout.board, first.host.key, *(k.key for k in store.list(town.layout.retired))}
    assert not town.board().sources


def test_nothing_is_removed_before_the_commit_that_completes_it(store: ObjectStore) -> None:
    town, first = led(store)
    path = town.enqueue(3)
    first.cycle()
    (ticket,) = first.claim()
    first.succeed(ticket)
    first.flush()
    step = step_of(town, first, "n")
    order = []
    while step.op is not None:
        order.append(type(step.op))
        step.do()
    assert order.index(Put) < order.index(Delete)
    assert path not in town.sources()
