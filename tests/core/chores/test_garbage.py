"""Deletions of what the committed board made garbage."""

from __future__ import annotations

from msgspec.structs import replace
from s3queue_backends.memory import MemoryStore

from s3queue.core.chores.pages import Page
from s3queue.core.cycle import Deposed, take_office
from s3queue.core.ops import Delete, Put
from s3queue.core.records import (
    Part,
    Report,
    RetiredPage,
    SourceState,
    Ticket,
    encode,
)
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


class TestCleanUp:
    def test_a_ledger_that_is_over_stays_for_as_long_as_the_committed_board_names_it(self) -> None:
        before, source = one_ticket()
        office = Office(before)
        office.source(source)
        office.host(claimed(report=Report(ok=(0, 1)), left=True))
        hand = office.begin()
        hand.until(Put, BOARD)
        assert office.has(LAYOUT.host("h1"))
        assert LAYOUT.host("h1") in hand.until(Delete).keys
        hand.finish()
        assert not office.has(LAYOUT.host("h1"))

    def test_an_ended_session_without_tickets_is_deleted_with_the_next_board(self) -> None:
        office = Office()
        office.host(ledger("h1", left=True))
        hand = office.begin()
        hand.finish()
        assert (hand.count(Put), hand.count(Delete)) == (0, 0)
        office.cycle(after_s=SETTINGS.leader_lease)
        assert office.keys(LAYOUT.hosts) == []

    def test_a_leader_that_was_replaced_does_not_delete_a_ledger_that_a_later_board_has_yet_to_take_over(self) -> None:
        """It still believes to lead, and has nothing to write. Its own board does not name the session that it sees
        end, but the other leader's does."""
        office = Office()
        office.host(ledger("h1"))
        office.cycle()
        theirs = office.another_leads()
        ticket = Ticket("h1", (Part(path(1), 0, 1, 1),))
        office.write(BOARD, encode(replace(theirs, turn=9, tickets={"2-0": ticket}, sources={path(1): SourceState()})))
        office.host(claimed("2-0", Report(ok=(0, 1)), left=True))
        for _ in range(3):
            hand = office.begin(after_s=0.5)
            hand.finish()
            assert hand.count(Put) == 0
        assert office.has(LAYOUT.host("h1"))

    def test_nor_one_that_it_fences_itself(self) -> None:
        office = Office()
        office.host(ledger("h1"))
        office.cycle()
        office.another_leads()
        office.host(claimed("2-0", Report(ok=(0, 1))))
        office.cycle(after_s=0.5)
        assert office.cycle(after_s=0.5, gone=["h1"]).fenced == ("h1",)
        assert office.has(LAYOUT.host("h1"))

    def test_a_living_ledger_is_never_deleted(self) -> None:
        office = Office()
        office.host(ledger("h1"))
        for _ in range(3):
            office.cycle()
        assert office.has(LAYOUT.host("h1"))

    def test_a_page_is_deleted_when_the_namespace_was_led_for_the_window_since(self) -> None:
        store = MemoryStore()
        store.put(LAYOUT.page(1, 0), encode(RetiredPage(("a",), 10_000)), if_version=None)
        store.put(LAYOUT.page(1, 1), encode(RetiredPage(("b",), 20_000)), if_version=None)
        office = Office(board(uptime_ms=20_000), store=store)
        office.cycle(after_s=SETTINGS.window_s - 11)
        assert office.lead.window == {"a", "b"}
        office.cycle(after_s=6.0)
        assert office.lead.window == {"b"}
        assert office.keys(LAYOUT.retired) == [LAYOUT.page(1, 1)]

    def test_time_in_which_nobody_led_does_not_count(self) -> None:
        store = MemoryStore()
        store.put(LAYOUT.page(1, 0), encode(RetiredPage(("a",), 10_000)), if_version=None)
        office = Office(board(uptime_ms=20_000), store=store)
        office.now += 1e6
        office.lead = run(take_office(office.view, LAYOUT, SETTINGS, office.now, NOW_MS), office.store)
        office.cycle(after_s=6.0)
        assert office.lead.window == {"a"}

    def test_expiry_follows_the_committed_uptime_and_not_the_clock_on_the_wall(self) -> None:
        store = MemoryStore()
        store.put(LAYOUT.page(1, 0), encode(RetiredPage(("a",), 0)), if_version=None)
        office = Office(store=store)
        run(office.lead.cycle(now=office.now + 6, now_ms=NOW_MS + 10**11, nonce="c"), office.store)
        assert office.lead.window == {"a"}

    def test_unavailable_while_deleting_everything_is_deleted_next_time(self) -> None:
        store = MemoryStore()
        store.put(LAYOUT.page(1, 0), encode(RetiredPage(("a",), 0)), if_version=None)
        office = Office(store=store)
        office.host(ledger("h1", left=True))
        hand = office.begin(after_s=SETTINGS.window_s)
        assert len(hand.until(Delete).keys) == 2
        hand.give_up()
        assert isinstance(hand.finish(), Whole), "what was decided is told all the same"
        assert office.lead.pending is None
        assert list(office.lead.chores.pages.pages) == [Page(LAYOUT.page(1, 0), 0, ("a",))]
        for _ in range(2):
            office.cycle()
        assert office.keys() == [BOARD]

    def test_a_coordinator_deposed_right_after_its_commit_may_finish_its_clean_up(self) -> None:
        before, source = one_ticket()
        office = Office(before)
        office.source(source)
        office.host(claimed(report=Report(ok=(0, 1))))
        hand = office.begin()
        hand.until(Delete)
        theirs = office.another_leads()
        hand.finish()
        assert not office.has(LAYOUT.source(source))
        assert theirs.sources[source] == DONE
        assert office.begin(after_s=6.0).finish() == Deposed()
