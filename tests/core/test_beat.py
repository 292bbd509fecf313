"""Heartbeats of a coordinator between two cycles."""

from __future__ import annotations

from s3queue.core.cycle import Cycled, Deposed, Doubt
from s3queue.core.hearing import Heard
from s3queue.core.ops import Put, Unknown
from s3queue.store import Missing
from tests.core.hands import Hand
from tests.core.office import Office
from tests.core.world import (
    LAYOUT,
    NOW_MS,
    SETTINGS,
    claimed,
    ledger,
    one_ticket,
    path,
)


class TestBeat:
    """A leader that looks less often than it has to be seen."""

    def test_it_is_one_put_of_the_board_as_it_stands(self) -> None:
        office = Office(one_ticket()[0])
        office.source(path(1))
        before, office.now = office.stored_board(), office.now + 5.0
        hand = Hand(office.lead.beat(now=office.now, nonce="alive"), office.store)
        assert isinstance(hand.finish(), Cycled)
        assert [type(op) for op in hand.asked] == [Put]
        after = office.stored_board()
        assert (after.nonce, after.turn, after.uptime_ms) == ("alive", before.turn + 1, before.uptime_ms + 5000)
        assert (after.leader_lease, after.window_s) == (15.0, 1260.0)
        assert (after.tickets, after.sources, after.leader, after.epoch, after.sequence) == (
            before.tickets,
            before.sources,
            before.leader,
            before.epoch,
            before.sequence,
        )
        assert office.lead.written_at == office.now
        assert office.has(LAYOUT.source(path(1)))

    def test_without_work_it_announces_a_longer_lease_and_news_end_that(self) -> None:
        office = Office(settings=SETTINGS._replace(idle_lease=60.0))
        office.cycle(0.0)
        office.now += 5.0
        assert isinstance(Hand(office.lead.beat(now=office.now, nonce="alive"), office.store).finish(), Cycled)
        assert office.stored_board().leader_lease == 60.0
        assert office.lead.beat_at == office.now + 20.0
        office.host(ledger("h1"))
        office.source(path(1))
        assert office.cycle(0.0).committed
        assert office.stored_board().leader_lease == 15.0

    def test_what_is_due_within_the_longer_lease_keeps_the_normal_one(self) -> None:
        office = Office(settings=SETTINGS._replace(idle_lease=60.0))
        office.source(path(1, due_ms=NOW_MS + 50_000))
        office.cycle(0.0)
        assert isinstance(Hand(office.lead.beat(now=office.now, nonce="alive"), office.store).finish(), Cycled)
        assert office.stored_board().leader_lease == 15.0

    def test_what_an_ended_session_left_goes_although_nothing_else_is_written(self) -> None:
        office = Office()
        office.host(ledger("h1", left=True))
        assert not office.cycle(0.0).committed
        assert office.has(LAYOUT.host("h1"))
        assert isinstance(Hand(office.lead.beat(now=office.now, nonce="alive"), office.store).finish(), Cycled)
        assert office.has(LAYOUT.host("h1"))
        assert not office.cycle(0.0).committed
        assert not office.has(LAYOUT.host("h1"))

    def test_an_ended_session_keeps_its_ledger_while_the_board_lists_a_ticket_of_it(self) -> None:
        before, source = one_ticket()
        office = Office(before)
        office.source(source)
        office.host(claimed(fenced=True))
        office.lead.heard["h1"] = Heard("v", claimed(fenced=True))
        shown = Hand(office.lead.beat(now=office.now, nonce="alive"), office.store).finish()
        assert isinstance(shown, Cycled)
        assert office.lead.ended == {"h1"}
        assert office.lead.chores.take(office.now, NOW_MS, "n") is None
        assert office.has(LAYOUT.host("h1"))

    def test_leader_that_was_replaced_learns_of_it(self) -> None:
        office = Office()
        theirs = office.another_leads()
        hand = Hand(office.lead.beat(now=office.now, nonce="alive"), office.store)
        assert isinstance(hand.finish(), Deposed)
        assert office.stored_board() == theirs

    def test_leader_that_has_read_of_its_replacement_writes_nothing(self) -> None:
        office = Office()
        office.view.learn(office.another_leads(), "theirs")
        assert isinstance(Hand(office.lead.beat(now=office.now, nonce="alive"), office.store).result, Deposed)

    def test_unanswered_it_is_a_board_in_doubt_that_the_next_cycle_sends_again(self) -> None:
        office = Office()
        hand = Hand(office.lead.beat(now=office.now, nonce="alive"), office.store)
        while hand.op is not None:
            hand.tell(Unknown() if isinstance(hand.op, Put) else Missing())
        assert isinstance(hand.result, Doubt)
        assert office.cycle().committed
        assert office.stored_board().nonce == "alive"
