"""A message of a crashed worker stayed in processing for as long as there was a leader.

The predecessor looked for stalled messages behind a return that was taken whenever a leader was known, which was always.
Here it is the leader who recovers them, in the same cycle as everything else.
"""

from __future__ import annotations

import pytest

from s3queue.core.records import FATAL_CAUSES
from s3queue.store import ObjectStore
from tests.regressions.town import Member, Town, drain, led


def outlive(town: Town, first: Member) -> None:
    """Time passes, beyond the visibility timeout; only ``first`` writes heartbeats, and it leads all the time."""
    for _ in range(int(town.settings.visibility_timeout) + 3):
        first.flush()
        first.cycles(1)
        assert first.lead is not None


@pytest.mark.parametrize("claimed", [True, False])
def test_messages_of_a_host_that_died_are_recovered_by_a_leader_that_never_changed(
    store: ObjectStore, claimed: bool
) -> None:
    town, first = led(store)
    victim = town.host("h2")
    town.enqueue(8)
    first.cycle()
    if claimed:
        assert victim.claim()
    board = town.board()
    lost = sum(ticket.size for ticket in board.tickets.values() if ticket.session == "h2")
    assert lost == 4
    outlive(town, first)
    board = town.board()
    assert board.epoch == 1, "the same leader"
    assert not [ticket for ticket in board.tickets.values() if ticket.session == "h2"]
    drain(town, first)
    done = town.board().totals["q"]
    assert (done.done, done.dead) == (8, 0)
    assert done.failed == (lost if claimed else 0), "what was claimed may have run, and cost an attempt"


def test_the_leaders_own_messages_are_recovered_by_the_next_leader(store: ObjectStore) -> None:
    town, first = led(store)
    second = town.host("h2")
    town.enqueue(8)
    first.cycle()
    first.claim()
    second.look()
    second.look()
    town.now += town.settings.leader_lease + 1
    second.look()
    assert second.may_stand()
    second.stand()
    outlive(town, second)
    drain(town, second)
    assert town.board().totals["q"].done == 8


def test_what_was_recovered_says_why_and_is_tried_alone(store: ObjectStore) -> None:
    town, first = led(store)
    victim = town.host("h2")
    path = town.enqueue(8)
    first.cycle()
    for ticket in first.claim():  # so that the rest of the room is the victim's
        first.succeed(ticket)
    victim.claim()
    outlive(town, first)
    board = town.board()
    failures = board.sources[path].failures
    assert failures
    assert {one.cause for each in failures.values() for one in each} <= FATAL_CAUSES
    again = [ticket for ticket in board.tickets.values() if any(part.attempt == 2 for part in ticket.parts)]
    assert again
    assert all(ticket.size == 1 for ticket in again)
