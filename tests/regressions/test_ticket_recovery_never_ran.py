"""The recovery of tickets never ran: it tested a flag that its only caller had just set.

Here nothing is remembered about whether to recover: each cycle derives it from the board and the ledgers, so it happens in
whichever cycle first sees the reason, once, and as often as there is one.
"""

from __future__ import annotations

from s3queue.store import ObjectStore
from tests.core.world import Whole
from tests.regressions.town import drain, led


def test_tickets_are_recovered_again_and_again(store: ObjectStore) -> None:
    town, first = led(store)
    recovered = 0
    for life in range(3):
        victim = town.host(f"h2-{life}")
        town.enqueue(8)
        first.cycle()
        assert victim.claim()
        for _ in range(int(town.settings.visibility_timeout) + 3):
            first.flush()
            town.now += 1
            outcome = first.cycle()
            assert isinstance(outcome, Whole)
            recovered += len(outcome.fenced)
        assert not [one for one in town.board().tickets.values() if one.session == victim.session]
        drain(town, first)
    assert recovered == 3
    assert town.board().totals["q"].done == 24


def test_a_ticket_whose_ledger_is_missing_altogether_is_recovered(store: ObjectStore) -> None:
    town, first = led(store)
    victim = town.host("h2")
    town.enqueue(8)
    first.cycle()
    victim.claim()
    store.delete([town.layout.host("h2")])
    first.cycles(2)
    assert not [one for one in town.board().tickets.values() if one.session == "h2"]
    drain(town, first)
    assert town.board().totals["q"].done == 8


def test_a_host_that_lives_keeps_its_tickets_however_long_they_take(store: ObjectStore) -> None:
    town, first = led(store)
    slow = town.host("h2")
    town.enqueue(8)
    first.cycle()
    (ticket,) = slow.claim()
    for _ in range(3 * int(town.settings.visibility_timeout)):
        first.flush()
        slow.flush()
        first.cycles(1)
    assert town.board().tickets[ticket].session == "h2"
    slow.succeed(ticket)
    slow.flush()
    drain(town, first, slow)
    assert town.board().totals["q"].failed == 0
