"""Retired pages: when a finished source leaves the board, and what comes late."""

from __future__ import annotations

import pytest

from s3queue.core.cycle import Doubt, take_office
from s3queue.core.keys import parse_source
from s3queue.core.ops import Delete, Gather, Get, Put, Unknown
from s3queue.core.records import (
    Report,
    RetiredPage,
    decode,
)
from s3queue.store import Conflict
from tests.core.hands import run
from tests.core.office import BOARD, DONE, Office
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
)


class TestRetire:
    """A source is deleted when it is finished on a committed board, leaves the board when a later listing shows it gone
    and a page says so, and is refused for as long as the page stands."""

    def office(self, *paths: str, **fields: object) -> Office:
        return Office(board(states=dict.fromkeys(paths, DONE), **fields))

    def test_deleted_then_seen_to_be_gone_then_on_a_page_then_off_the_board(self) -> None:
        office = self.office(path(1))
        office.source(path(1))
        hand = office.begin()
        assert hand.until(Delete).keys == (LAYOUT.source(path(1)),)
        hand.finish()
        assert office.stored_board().sources == {path(1): DONE}

        hand = office.begin()
        put = hand.until(Put)
        assert (put.key, put.if_version) == (LAYOUT.page(1, 0), None)
        assert decode(RetiredPage, put.key, put.body) == RetiredPage((parse_source(path(1)).id,), 2000)
        hand.finish()
        assert office.stored_board().sources == {}
        assert office.lead.window == {parse_source(path(1)).id}

    def test_nothing_is_deleted_before_the_board_that_settles_it_is_committed(self) -> None:
        before, source = one_ticket()
        office = Office(before)
        office.source(source)
        office.host(claimed(report=Report(ok=(0, 1))))
        hand = office.begin()
        hand.until(Put, BOARD)
        assert office.has(LAYOUT.source(source))
        hand.until(Delete)
        assert office.stored_board().sources[source] == DONE
        hand.finish()
        assert not office.has(LAYOUT.source(source))

    def test_in_doubt_of_the_commit_nothing_is_deleted(self) -> None:
        before, source = one_ticket()
        office = Office(before)
        office.source(source)
        office.host(claimed(report=Report(ok=(0, 1))))
        hand = office.begin()
        hand.until(Put, BOARD)
        for _ in range(3):
            hand.tell(Unknown())
            hand.do()
        assert hand.result == Doubt()
        assert hand.count(Delete) == 0
        assert office.has(LAYOUT.source(source))
        assert isinstance(office.begin().finish(), Whole)
        office.cycle()
        assert not office.has(LAYOUT.source(source))

    def test_deposed_nothing_is_deleted(self) -> None:
        before, source = one_ticket()
        office = Office(before)
        office.source(source)
        office.host(claimed(report=Report(ok=(0, 1))))
        hand = office.begin()
        hand.until(Put, BOARD)
        office.another_leads()
        hand.finish()
        assert hand.count(Delete) == 0

    def test_a_late_request_brings_it_back_before_it_is_retired_and_it_is_deleted_again(self) -> None:
        office = self.office(path(1))
        office.source(path(1))
        office.cycle()
        office.source(path(1))  # the producer's first try, late
        hand = office.begin()
        hand.finish()
        assert hand.count(Put) == 0
        assert not office.has(LAYOUT.source(path(1)))
        office.cycle()
        assert office.stored_board().sources == {}

    def test_a_late_request_after_it_is_retired_is_refused_and_deleted_and_never_runs(self) -> None:
        office = self.office(path(1))
        office.host(ledger("h1"))
        office.cycle()
        assert office.stored_board().sources == {}
        office.source(path(1))
        office.cycle()
        assert not office.has(LAYOUT.source(path(1)))
        assert office.stored_board().sources == {}

    def test_a_late_request_between_listing_and_commit_is_refused_too(self) -> None:
        office = self.office(path(1))
        office.host(ledger("h1"))
        hand = office.begin()
        hand.until(Put, LAYOUT.retired)
        office.source(path(1))
        hand.finish()
        office.cycle()
        assert not office.has(LAYOUT.source(path(1)))
        assert office.stored_board().sources == {}

    def test_the_next_leader_refuses_it_as_well(self) -> None:
        office = self.office(path(1))
        office.cycle()
        office.lead = run(take_office(office.view, LAYOUT, SETTINGS, office.now, NOW_MS), office.store)
        office.host(ledger("h1"))
        office.source(path(1))
        office.cycle()
        assert office.stored_board().sources == {}
        assert not office.has(LAYOUT.source(path(1)))

    def test_finished_sources_share_a_page(self) -> None:
        office = self.office(*(path(n) for n in range(30)))
        assert office.cycle(after_s=0.9).committed is False
        hand = office.begin(after_s=0.1)
        hand.finish()
        assert len(office.lead.window) == 30
        assert len(office.keys(LAYOUT.retired)) == 1

    def test_many_do_not_wait_for_a_page(self) -> None:
        office = self.office(*(path(n) for n in range(500)))
        office.cycle(after_s=0.1)
        assert office.stored_board().sources == {}

    @pytest.mark.parametrize("answer", [Unknown(), Conflict()])
    def test_without_the_answer_that_the_page_is_stored_the_source_stays_on_the_board(self, answer: object) -> None:
        office = self.office(path(1))
        hand = office.begin()
        page = hand.until(Put, LAYOUT.retired)
        hand.tell(answer)
        hand.finish()
        assert office.stored_board().sources == {path(1): DONE}
        assert office.lead.window == set()
        again = office.begin().until(Put, LAYOUT.retired)
        assert again.key != page.key

    def test_an_unanswered_page_that_lands_late_is_deleted_in_its_time(self) -> None:
        office = self.office(path(1))
        hand = office.begin()
        page = hand.until(Put, LAYOUT.retired)
        hand.tell(Unknown())
        hand.finish()
        office.cycle()
        office.write(page.key, page.body)
        assert len(office.keys(LAYOUT.retired)) == 2
        office.cycle(after_s=SETTINGS.window_s)
        office.cycle(after_s=SETTINGS.leader_lease)
        assert office.keys(LAYOUT.retired) == []
        assert office.lead.window == set()

    def test_unavailable_in_the_middle_it_is_retired_next_time(self) -> None:
        office = self.office(path(1))
        hand = office.begin()
        hand.until(Put, LAYOUT.retired)
        hand.give_up()
        assert isinstance(hand.finish(), Whole)
        assert office.stored_board().sources
        office.cycle()
        assert office.stored_board().sources == {}

    def test_in_doubt_of_the_commit_the_page_stands_and_the_same_board_is_sent_again(self) -> None:
        office = self.office(path(1))
        hand = office.begin()
        hand.until(Put, BOARD)
        hand.lose()
        office.cycle()
        assert office.stored_board().sources == {}
        assert office.lead.window == {parse_source(path(1)).id}


class TestBehindTheHead:
    """Newer batches of a LIFO queue, or more urgent ones, push what was started earlier out of every survey's sight."""

    def office(self) -> tuple[Office, str]:
        old = path(1, priority=9)
        office = Office(board(states={old: DONE}))
        office.source(old, *(path(n) for n in range(2, 300)))
        return office, old

    def test_a_finished_source_that_no_listing_reaches_is_deleted_and_retired(self) -> None:
        office, old = self.office()
        office.cycle()
        assert not office.has(LAYOUT.source(old))
        assert office.stored_board().sources == {old: DONE}
        hand = office.begin()
        assert hand.until(Gather, LAYOUT.inbox).reads == (Get(LAYOUT.source(old)),)
        hand.finish()
        assert office.stored_board().sources == {}
        office.cycle()
        assert office.lead.chores.pages.swept == set()

    def test_it_is_deleted_once_and_not_in_every_cycle(self) -> None:
        office, _ = self.office()
        office.cycle(after_s=0.1)
        hand = office.begin(after_s=0.1)
        hand.finish()
        assert (hand.count(Delete), hand.count(Gather, LAYOUT.inbox)) == (0, 0)

    def test_a_late_request_brings_it_back_and_it_is_deleted_again(self) -> None:
        office, old = self.office()
        office.cycle()
        office.source(old)
        office.cycle()
        assert office.stored_board().sources == {old: DONE}
        office.cycle()
        assert not office.has(LAYOUT.source(old))
        office.cycle()
        assert office.stored_board().sources == {}

    def test_unavailable_while_deleting_it_is_deleted_next_time(self) -> None:
        office, old = self.office()
        hand = office.begin()
        hand.until(Delete)
        hand.give_up()
        assert isinstance(hand.finish(), Whole)
        assert office.lead.chores.pages.swept == set()
        office.cycle()
        assert not office.has(LAYOUT.source(old))

    def test_one_that_came_into_sight_again_is_retired_by_the_listing(self) -> None:
        office, _ = self.office()
        office.cycle(after_s=0.1)
        office.store.delete([LAYOUT.source(path(n)) for n in range(2, 300)])
        hand = office.begin()
        hand.finish()
        assert hand.count(Gather, LAYOUT.inbox) == 0
        assert office.stored_board().sources == {}


class TestWindow:
    """For how long ids are kept: as long as anybody says."""

    def test_the_longest_that_is_known_counts(self) -> None:
        office = Office()
        office.host(ledger("h1", window_s=5000.0))
        office.host(ledger("h2", window_s=9000.0, fenced=True))
        office.cycle()
        assert office.lead.window_s(office.now) == 5000.0
        assert Office().lead.window_s(1000.0) == SETTINGS.window_s

    def test_what_an_earlier_leader_said_counts_for_as_long_as_that(self) -> None:
        office = Office(board(window_s=5000.0))
        assert office.lead.window_s(office.now + 4999.0) == 5000.0
        assert office.lead.window_s(office.now + 5000.0) == SETTINGS.window_s
