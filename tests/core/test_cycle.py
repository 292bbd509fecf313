"""One cycle of the coordinator: survey, plan, commit."""

from __future__ import annotations

from typing import ClassVar

import pytest
from s3queue_backends.memory import MemoryStore

from s3queue.core.cycle import Cycled, Deposed, Doubt, Lead, take_office
from s3queue.core.elect import View
from s3queue.core.keys import moved_path, parse_source
from s3queue.core.ops import Gather, List, Put, Unknown
from s3queue.core.records import (
    Offer,
    Part,
    Report,
    RetiredPage,
    Ticket,
    encode,
)
from s3queue.store import Conflict, Missing
from tests.core.hands import Hand, run
from tests.core.office import BOARD, Office, land
from tests.core.world import (
    LAYOUT,
    NOW_MS,
    SETTINGS,
    Whole,
    board,
    claimed,
    ledger,
    one_ticket,
    path,
    whole_cycle,
)


class TestTakeOffice:
    def test_the_window_is_loaded_before_anything_is_decided(self) -> None:
        store = MemoryStore()
        for number in range(3):
            store.put(LAYOUT.page(1, number), encode(RetiredPage((f"id{number}", "x"), number)), if_version=None)
        office = Office(store=store)
        assert office.lead.window == {"id0", "id1", "id2", "x"}
        assert [page.uptime_ms for page in office.lead.chores.pages.pages] == [0, 1, 2]

    def test_it_asks_for_one_listing_and_each_page(self) -> None:
        hand = Hand(take_office(View(board(), "v", looked=True), LAYOUT, SETTINGS, 0.0, NOW_MS))
        assert hand.op == List(LAYOUT.retired, "", 1000)
        hand.tell([])
        assert hand.result.epoch == 1

    def test_a_page_that_cannot_be_read_is_reported_and_never_deleted(self) -> None:
        store = MemoryStore()
        store.put(LAYOUT.page(1, 0), b"junk", if_version=None)
        store.put(LAYOUT.page(1, 1), encode(RetiredPage(("id",), 0)), if_version=None)
        office = Office(store=store)
        assert [corrupt.key for corrupt in office.lead.chores.pages.corrupt] == [LAYOUT.page(1, 0)]
        assert office.lead.window == {"id"}
        office.cycle(after_s=1e6)
        assert office.keys(LAYOUT.retired) == [LAYOUT.page(1, 0)]

    def test_a_page_that_a_replaced_coordinator_deletes_meanwhile_is_expired_anyway(self) -> None:
        store = MemoryStore()
        store.put(LAYOUT.page(1, 0), encode(RetiredPage(("id",), 0)), if_version=None)
        hand = Hand(take_office(View(board(), "v", looked=True), LAYOUT, SETTINGS, 0.0, NOW_MS), store)
        hand.do()
        assert isinstance(hand.op, Gather)
        hand.tell([Missing()])
        assert not hand.result.window

    def test_unavailable_nobody_is_in_office(self) -> None:
        hand = Hand(take_office(View(board(), "v", looked=True), LAYOUT, SETTINGS, 0.0, NOW_MS))
        hand.lose()


class TestCycle:
    def test_one_listing_the_changed_ledgers_and_one_write(self) -> None:
        office = Office()
        office.host(ledger("h1"))
        office.source(path(1), path(2))
        hand = office.begin()
        assert [type(hand.op), type(hand.do())] == [List, Gather]
        put = hand.do()
        assert isinstance(put, Put)
        assert (put.key, put.if_version) == (BOARD, office.view.version)
        done = hand.finish()
        assert isinstance(done, Whole)
        assert (done.committed, done.planned.assigned) == (True, 2)
        after = office.stored_board()
        assert (after.nonce, after.turn, after.epoch, after.uptime_ms) == ("c1", 2, 1, 1000)
        assert office.view.board == after

    def test_where_nothing_changes_nothing_is_written_until_a_sign_of_life_is_due(self) -> None:
        office = Office()
        hand = office.begin(after_s=4.9)
        assert hand.finish().committed is False  # type: ignore[union-attr]
        assert hand.count(Put) == 0
        assert office.cycle(after_s=0.1).committed
        assert office.stored_board().uptime_ms == 5000
        assert not office.cycle(after_s=1.0).committed

    def test_uptime_goes_on_where_the_leader_before_left_it(self) -> None:
        office = Office(board(uptime_ms=50_000))
        office.cycle(after_s=6.0)
        assert office.stored_board().uptime_ms == 56_000

    def test_the_next_survey_looks_as_far_as_hosts_have_room(self) -> None:
        office = Office()
        office.host(ledger("h1", 50))
        office.cycle()
        assert office.lead.outlook.wanted == {"q": 50}

    def test_it_says_when_something_is_due(self) -> None:
        office = Office()
        office.source(path(1, due_ms=NOW_MS + 50))
        assert office.cycle().next_due_ms == NOW_MS + 50

    def test_what_cannot_be_read_is_reported_and_left_alone(self) -> None:
        office = Office()
        office.write(LAYOUT.source("in/junk"), b"")
        office.write(LAYOUT.host("odd"), b"junk")
        keys = {corrupt.key for corrupt in office.cycle().corrupt}
        assert keys == {"in/junk", LAYOUT.host("odd")}
        assert office.has(LAYOUT.source("in/junk"))

    def test_unavailable_anywhere_before_the_commit_leaves_nothing_pending(self) -> None:
        for kind in (List, Gather):
            office = Office()
            office.host(ledger("h1"))
            office.source(path(1))
            hand = office.begin()
            hand.until(kind)
            hand.lose()
            assert office.lead.pending is None
            assert office.cycle().planned.assigned == 1


class TestTicketSize:
    OFFERS: ClassVar = {"q": Offer(mean_s=1.0)}

    def held(self, cycle_s: float) -> int:
        """How many messages a host of four slots holds, if the cycles take so long."""
        office = Office(board())
        office.source(*(path(n) for n in range(200)))
        office.host(ledger(offers=self.OFFERS))
        for _ in range(5):
            office.cycle(after_s=cycle_s)
            names = tuple(office.stored_board().tickets)
            office.host(ledger(offers=self.OFFERS, claims=names))
        return sum(ticket.left for ticket in office.stored_board().tickets.values())

    def test_a_host_holds_the_target_where_a_round_is_shorter(self) -> None:
        assert self.held(0.1) == 4 + 4

    def test_and_work_for_a_round_where_that_is_longer(self) -> None:
        assert 4 + 4 * 3 <= self.held(2.0) <= 4 + 4 * 5


class TestCommit:
    def begin(self) -> tuple[Office, Hand[Cycled | Deposed | Doubt], Put]:
        """About to write a board that assigns one message."""
        office = Office()
        office.host(ledger("h1"))
        office.source(path(1))
        hand = office.begin()
        put = hand.until(Put, BOARD)
        assert isinstance(put, Put)
        return office, hand, put

    def test_unanswered_and_it_landed(self) -> None:
        office, hand, _ = self.begin()
        land(hand)
        assert isinstance(hand.finish(), Whole)
        assert office.view.board == office.stored_board()
        assert office.lead.pending is None

    def test_unanswered_and_it_did_not_land_so_the_same_is_sent_again(self) -> None:
        office, hand, put = self.begin()
        hand.tell(Unknown())
        assert hand.do() == put
        assert isinstance(hand.finish(), Whole)
        assert office.stored_board().turn == 2

    def test_it_lands_late_and_the_resend_conflicts_with_it(self) -> None:
        office, hand, put = self.begin()
        hand.tell(Unknown())
        hand.do()
        office.write(BOARD, put.body)
        assert isinstance(hand.finish(), Whole)
        assert office.view.board == office.stored_board()

    def test_somebody_else_was_elected(self) -> None:
        office, hand, _ = self.begin()
        theirs = office.another_leads()
        assert hand.finish() == Deposed()
        assert office.stored_board() == theirs

    def test_somebody_else_was_elected_while_it_was_unanswered(self) -> None:
        office, hand, _ = self.begin()
        hand.tell(Unknown())
        theirs = office.another_leads()
        assert hand.finish() == Deposed()
        assert office.stored_board() == theirs

    def doubt(self) -> tuple[Office, Put]:
        office, hand, put = self.begin()
        for _ in range(3):
            hand.tell(Unknown())
            hand.do()
        assert hand.result == Doubt()
        return office, put

    def test_in_doubt_the_next_cycle_begins_with_the_very_same_put(self) -> None:
        office, put = self.doubt()
        office.source(path(2))
        hand = office.begin()
        assert hand.op == put
        done = hand.finish()
        assert isinstance(done, Whole)
        assert done.planned.assigned == 1
        assert hand.count(List) == 0
        assert set(office.stored_board().sources) == {path(1)}
        assert office.cycle().planned.assigned == 1  # and goes on from there

    def test_in_doubt_and_it_landed_in_the_meantime(self) -> None:
        office, put = self.doubt()
        office.write(BOARD, put.body)
        assert isinstance(office.begin().finish(), Whole)
        assert office.stored_board().nonce == "c1"
        assert not office.cycle().planned.assigned

    def test_in_doubt_and_the_view_learned_elsewhere_that_it_landed(self) -> None:
        office, put = self.doubt()
        version = office.write(BOARD, put.body)
        office.view.learn(office.stored_board(), version)
        hand = office.begin()
        assert hand.op == put  # against the version that it was made from, not against itself
        assert isinstance(hand.finish(), Whole)

    def test_in_doubt_and_somebody_else_was_elected(self) -> None:
        office, _ = self.doubt()
        theirs = office.another_leads()
        assert office.begin().finish() == Deposed()
        assert office.stored_board() == theirs

    def test_in_doubt_and_the_view_learned_of_another_leader_his_board_is_not_replaced(self) -> None:
        """The host's side of a process shares the view: a resend against what it has learned would replace the board
        of a higher epoch."""
        office, put = self.doubt()
        theirs = office.another_leads()
        office.view.learn(theirs, office.store.get(BOARD).version)  # type: ignore[union-attr]
        hand = office.begin()
        assert hand.op == put
        assert hand.finish() == Deposed()
        assert office.stored_board() == theirs

    @pytest.mark.parametrize("answers", [[], [Unknown()], [Conflict()]])
    def test_unavailable_in_the_middle_the_same_is_sent_again(self, answers: list[object]) -> None:
        office, hand, put = self.begin()
        for answer in answers:
            hand.tell(answer)
        hand.lose()
        assert office.view.board == board()
        again = office.begin()
        assert again.op == put
        assert isinstance(again.finish(), Whole)

    def test_a_leader_whose_view_has_learned_of_another_decides_nothing(self) -> None:
        office = Office()
        office.host(ledger("h1"))
        office.source(path(1))
        hand = office.begin()
        hand.until(Gather)
        theirs = office.another_leads()
        office.view.learn(theirs, office.store.get(BOARD).version)  # type: ignore[union-attr]
        assert hand.finish() == Deposed()
        assert hand.count(Put) == 0

    def test_outcomes_are_told_only_of_a_board_that_was_committed(self) -> None:
        before, source = one_ticket()
        office = Office(before)
        office.source(source)
        office.host(claimed(report=Report(ok=(0, 1))))
        done = office.cycle()
        assert [(one.source, one.outcome) for one in done.settled] == [(source, "done")]
        assert office.cycle().settled == []


def test_a_leader_knows_its_epoch_however_it_is_made() -> None:
    assert Lead(LAYOUT, View(board(epoch=7), "v", looked=True), SETTINGS, 0.0, 0).epoch == 7


def test_a_ticket_goes_all_the_way() -> None:
    """Enqueued, assigned, claimed, done, deleted, retired, forgotten: only the board and the living ledger remain."""
    office = Office()
    office.host(ledger("h1"))
    office.source(path(1, 4))
    assert office.cycle().planned.assigned == 4
    assert office.stored_board().tickets == {"1-100": Ticket("h1", (Part(path(1, 4), 0, 4, 1),))}
    office.host(claimed("1-100", Report(ok=(0, 4))))
    office.cycle()
    office.host(ledger("h1"))
    office.cycle()
    office.cycle(after_s=SETTINGS.window_s)
    office.cycle(after_s=SETTINGS.leader_lease)
    assert office.keys() == [BOARD, LAYOUT.host("h1")]
    after = office.stored_board()
    assert (after.sources, after.tickets, after.totals["q"].done) == ({}, {}, 4)


def test_step_of_the_leaders_wall_clock_starts_what_is_scheduled_and_no_retry_that_was_moved_off_the_board() -> None:
    office = Office()
    moved = moved_path(parse_source(path(1)), due_ms=NOW_MS + 60_000, batch="a1", count=1, attempt=2, alone=False)
    scheduled = path(2, due_ms=NOW_MS + 60_000)
    office.source(moved, scheduled)
    office.host(ledger())
    office.now += 1.0
    run(whole_cycle(office.lead, now=office.now, now_ms=NOW_MS + 86_400_000, nonce="c"), office.store)
    assert set(office.stored_board().sources) == {scheduled}
    office.now += 60.0
    run(whole_cycle(office.lead, now=office.now, now_ms=NOW_MS + 86_400_000, nonce="d"), office.store)
    assert set(office.stored_board().sources) == {scheduled, moved}
