"""A conditional write that was refused was taken for one that had succeeded.

The predecessor's calls returned null on a conflict, and their callers only looked for an exception. Here each outcome is a
value of a type of its own, nothing is built on a write before its outcome is known, and what was not stored did not
happen.
"""

from __future__ import annotations

import pytest

from s3queue.core.cycle import Deposed
from s3queue.core.ledger import Flushed, Refused
from s3queue.core.ops import Overtaken
from s3queue.store import Conflict, ObjectStore, Stored
from tests.regressions.town import led


def test_an_outcome_is_never_an_empty_value(store: ObjectStore) -> None:
    won = store.put("k", b"1", if_version=None)
    assert isinstance(won, Stored)
    lost = store.put("k", b"2", if_version=None)
    assert lost == Conflict()
    assert store.put("missing", b"2", if_version=won.version) == Conflict(), "replacing what is not there is a conflict"


def test_a_claim_that_was_refused_lets_nothing_run(store: ObjectStore) -> None:
    town, first = led(store)
    other = town.host("h2")
    town.enqueue(8)
    first.cycle()
    other.look()
    assert other.host.tickets, "assigned, not yet claimed"
    for _ in range(int(town.settings.visibility_timeout) + 3):  # fenced, since it never showed life
        first.flush()
        first.cycles(1)
    outcome = other.flush()
    assert outcome is Refused.FENCED
    assert not other.claimed
    assert other.host.trusted_until(town.settings.visibility_timeout) == 0.0


def test_a_candidate_that_was_refused_does_not_lead(store: ObjectStore) -> None:
    town, _ = led(store)
    rivals = [town.host(f"h{number}") for number in (2, 3, 4)]
    for rival in rivals:
        rival.look()
        rival.look()
    town.now += town.settings.leader_lease + 1
    outcomes = [rival.stand() for rival in rivals]
    assert [isinstance(outcome, Stored) for outcome in outcomes] == [True, False, False]
    assert all(isinstance(outcome, Overtaken) for outcome in outcomes[1:])
    assert [rival.lead is not None for rival in rivals] == [True, False, False]


def test_a_coordinator_that_was_refused_has_decided_nothing(store: ObjectStore) -> None:
    town, first = led(store)
    second = town.host("h2")
    second.look()
    second.look()
    town.now += town.settings.leader_lease + 1
    assert isinstance(second.stand(), Stored)
    town.enqueue(4)
    assert isinstance(first.cycle(), Deposed)
    board = town.board()
    assert board.leader is not None
    assert board.leader.session == "h2"
    assert not board.tickets, "what the old leader assigned was not stored, so nobody was assigned anything"
    assert not first.claim()


@pytest.mark.parametrize("again", [1, 3])
def test_a_write_that_won_is_known_to_have_won_however_often_it_is_sent(store: ObjectStore, again: int) -> None:
    """The same body, sent again after no answer, meets its own first try: a conflict that is a success."""
    _, first = led(store)
    stored = first.flush()
    assert isinstance(stored, Flushed)
    first.host.pending = stored.ledger, 1000.0, first.host.changes
    replaced = first.host.version
    for _ in range(again):
        first.host.version = "a version from before"
        assert isinstance(first.flush(), Flushed)
        assert first.host.version == replaced
        first.host.pending = stored.ledger, 1000.0, first.host.changes
