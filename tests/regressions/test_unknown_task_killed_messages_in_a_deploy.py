"""A message that the old release does not know became a dead letter, although hosts of the new one stood beside it."""

from __future__ import annotations

from s3queue.core.records import Failed, Failure, Offer
from s3queue.operate.inspection import stats
from s3queue.store import ObjectStore
from tests.regressions.town import QUEUE, Member, Town, led

NO_TASK = Failed("unfit", 0.0, Failure(1, "unknown_task", "no task 'work'", 1), "work@")


def settle(leader: Member, *members: Member, new: set[str]) -> None:
    """A cycle; each member runs what it is given. What is new is known to the member of that name only."""
    town = leader.town
    town.now += 0.5
    leader.cycle()
    for member in members:
        for ticket in member.claim():
            for offset, (path, _) in enumerate(member.messages(ticket)):
                if path in new and member.session != "new":
                    member.fail(ticket, offset, NO_TASK)
                else:
                    member.host.succeed(ticket, (offset, offset + 1))
        member.flush()


def knowing(town: Town, session: str, **tasks: str) -> Member:
    member = town.host(session, slots=2)
    member.host.offers = {QUEUE: Offer(tasks=tasks)}
    member.host.changes += 1
    member.flush()
    return member


def test_message_of_a_new_task_waits_for_a_host_that_knows_it(store: ObjectStore) -> None:
    town, leader = led(store)
    leader.host.slots = 0
    leader.host.changes += 1
    leader.flush()
    old = knowing(town, "old", send="1")
    message = town.enqueue()
    for _ in range(20):
        settle(leader, old, new={message})
    assert len(old.claimed) == 1, "it was given to the old host again and again"
    assert town.board().sources[message].ready[0].attempt == 1
    assert town.dead() == []
    seen = stats(store, "town", exact=True).queues[QUEUE]
    assert (seen.unfit, seen.ready) == ({"work@": 1}, 0)
    new = knowing(town, "new", send="1", work="2")
    for _ in range(5):
        settle(leader, old, new, new={message})
    assert len(new.claimed) == 1
    assert town.board().totals[QUEUE].done == 1
    assert town.board().totals[QUEUE].failed == 0


def test_others_of_the_queue_go_on_meanwhile(store: ObjectStore) -> None:
    town, leader = led(store)
    leader.host.slots = 0
    leader.host.changes += 1
    leader.flush()
    old = knowing(town, "old", send="1")
    stuck = [town.enqueue() for _ in range(5)]
    for _ in range(6):
        settle(leader, old, new=set(stuck))
    assert all(town.board().sources[path].ready for path in stuck)
    for _ in range(20):
        town.enqueue()
    for _ in range(15):
        settle(leader, old, new=set(stuck))
    assert town.board().totals[QUEUE].done == 20
