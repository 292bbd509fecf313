"""One cycle of the coordinator: survey, fence, bury, retire, plan, commit, clean up."""

from __future__ import annotations

from collections.abc import Collection
from typing import ClassVar, TypeVar

import pytest
from msgspec.structs import replace
from s3queue_backends.memory import MemoryStore

from s3queue.core.chores.pages import Page
from s3queue.core.cycle import Cycled, Deposed, Doubt, Lead, take_office
from s3queue.core.elect import View
from s3queue.core.keys import parse_source
from s3queue.core.ops import Delete, Gather, Get, List, Put, Unknown
from s3queue.core.plan import Settings
from s3queue.core.records import (
    Board,
    DeadLetter,
    Failure,
    Leader,
    Ledger,
    Offer,
    Part,
    Report,
    RetiredPage,
    SourceState,
    Ticket,
    decode,
    encode,
)
from s3queue.core.survey import Heard
from s3queue.store import Conflict, Found, Missing, Stored
from tests.core.hands import Hand, perform, run
from tests.core.world import (
    LAYOUT,
    NOW_MS,
    SETTINGS,
    Whole,
    board,
    body,
    claimed,
    ledger,
    one_ticket,
    path,
    ready,
    whole_cycle,
)

T = TypeVar("T")
BOARD = LAYOUT.board
DONE = SourceState(settled=1)


class Office:
    """A coordinator, its store, and its steady clock."""

    def __init__(
        self, before: Board | None = None, *, settings: Settings = SETTINGS, store: MemoryStore | None = None
    ) -> None:
        self.store = store or MemoryStore()
        self.now = 1000.0
        self.cycles = 0
        before = before or board()
        stored = self.store.put(BOARD, encode(before), if_version=None)
        assert isinstance(stored, Stored)
        self.view = View(before, stored.version, looked=True)
        self.lead = run(take_office(self.view, LAYOUT, settings, self.now, NOW_MS), self.store)

    # ---- the bucket ----------------------------------------------------------------------------------------

    def write(self, key: str, content: bytes) -> str:
        """Whatever stands there."""
        there = self.store.get(key)
        stored = self.store.put(key, content, if_version=there.version if isinstance(there, Found) else None)
        assert isinstance(stored, Stored)
        return stored.version

    def host(self, one: Ledger) -> None:
        self.write(LAYOUT.host(one.session), encode(one))

    def source(self, *paths: str) -> None:
        for one in paths:
            self.write(LAYOUT.source(one), body(parse_source(one).count))

    def has(self, key: str) -> bool:
        return isinstance(self.store.get(key), Found)

    def stored_board(self) -> Board:
        return decode(Board, BOARD, self.body(BOARD))

    def stored_ledger(self, session: str) -> Ledger:
        return decode(Ledger, session, self.body(LAYOUT.host(session)))

    def body(self, key: str) -> bytes:
        found = self.store.get(key)
        assert isinstance(found, Found)
        return found.body

    def keys(self, prefix: str = "") -> list[str]:
        return [item.key for item in self.store.list(prefix)]

    def another_leads(self) -> Board:
        """Somebody was elected behind our back."""
        now = self.stored_board()
        theirs = replace(now, nonce="theirs", epoch=now.epoch + 1, turn=now.turn + 1, leader=Leader("h9"))
        self.write(BOARD, encode(theirs))
        return theirs

    # ---- cycles --------------------------------------------------------------------------------------------

    def begin(self, after_s: float = 1.0, gone: Collection[str] = ()) -> Hand[Whole | Deposed | Doubt]:
        """A cycle and all that follows from it."""
        self.now += after_s
        self.cycles += 1
        nonce = f"c{self.cycles}"
        return Hand(whole_cycle(self.lead, now=self.now, now_ms=NOW_MS, nonce=nonce, gone=gone), self.store)

    def cycle(self, after_s: float = 1.0, gone: Collection[str] = ()) -> Whole:
        outcome = self.begin(after_s, gone).finish()
        assert isinstance(outcome, Whole)
        return outcome


def land(hand: Hand[object]) -> None:
    """The put takes effect, and nobody hears of it."""
    assert isinstance(hand.op, Put)
    assert isinstance(perform(hand.store, hand.op), Stored)  # type: ignore[arg-type]
    hand.tell(Unknown())


class TestTakeOffice:
    def test_the_window_is_loaded_before_anything_is_decided(self) -> None:
        store = MemoryStore()
        for number in range(3):
            store.put(LAYOUT.page(1, number), encode(RetiredPage((f"id{number}", "x"), number)), if_version=None)
        office = Office(store=store)
        assert office.lead.window == {"id0", "id1", "id2", "x"}
        assert [page.uptime_ms for page in office.lead.pages] == [0, 1, 2]

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
        assert office.lead.wanted == {"q": 50}

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


class TestFence:
    """A session with one ticket of three messages, of which it claimed all and reported one."""

    def office(self, heard: Ledger | None = None) -> tuple[Office, str]:
        before, source = one_ticket(3)
        office = Office(before)
        office.source(source)
        office.host(heard or claimed(report=Report(ok=(0, 1))))
        return office, source

    def silent(self, heard: Ledger | None = None) -> tuple[Office, str]:
        """It is just about to have been silent for too long."""
        office, source = self.office(heard)
        for _ in range(2):
            office.cycle()
        office.now += SETTINGS.visibility_timeout
        return office, source

    def test_not_before_the_visibility_timeout_since_it_was_seen_for_the_second_time(self) -> None:
        office, _ = self.silent()
        assert office.cycle(after_s=0.0).fenced == ()
        assert office.cycle(after_s=0.1).fenced == ("h1",)

    def test_a_host_with_a_longer_timeout_than_ours_is_waited_for_as_long_as_it_asks(self) -> None:
        office, _ = self.silent(
            claimed(report=Report(ok=(0, 1)), visibility_timeout=SETTINGS.visibility_timeout + 50.0)
        )
        assert office.cycle(after_s=50.0).fenced == ()
        assert office.cycle(after_s=0.1).fenced == ("h1",)

    def test_a_host_with_a_shorter_timeout_than_ours_is_given_ours(self) -> None:
        office, _ = self.silent(claimed(report=Report(ok=(0, 1)), visibility_timeout=2.0))
        assert office.cycle(after_s=0.0).fenced == ()
        assert office.cycle(after_s=0.1).fenced == ("h1",)

    def test_a_sign_of_life_begins_the_wait_anew(self) -> None:
        office, _ = self.silent()
        office.host(claimed(report=Report(ok=(0, 1)), slots=3))
        for _ in range(2):
            assert office.cycle(after_s=29.0).fenced == ()

    def test_its_ledger_is_replaced_by_the_same_fenced_and_its_tickets_taken_over_at_once(self) -> None:
        office, source = self.silent()
        before = office.stored_ledger("h1")
        version = office.lead.heard["h1"].version
        hand = office.begin(after_s=0.1)
        put = hand.until(Put, LAYOUT.hosts)
        assert put.if_version == version
        after = decode(Ledger, put.key, put.body)
        assert after == replace(before, fenced=True, nonce=after.nonce)
        assert after.nonce != before.nonce
        done = hand.finish()
        assert isinstance(done, Whole)
        state = office.stored_board().sources[source]
        assert (state.settled, state.ready) == (1, ready((1, 3, 2)))
        office.cycle()
        assert not office.has(LAYOUT.host("h1"))  # the committed board names it no more

    def test_it_lives(self) -> None:
        office, _ = self.silent()
        hand = office.begin(after_s=0.1)
        hand.until(Put, LAYOUT.hosts)
        office.host(claimed(report=Report(ok=(0, 2))))  # just in time
        done = hand.finish()
        assert isinstance(done, Whole)
        assert done.fenced == ()
        assert office.stored_board().tickets["1-0"].taken == (0, 2)
        assert not office.stored_ledger("h1").fenced

    def test_it_was_deleted_meanwhile(self) -> None:
        office, _ = self.silent()
        hand = office.begin(after_s=0.1)
        hand.until(Put, LAYOUT.hosts)
        office.store.delete([LAYOUT.host("h1")])
        assert hand.finish().fenced == ()  # type: ignore[union-attr]
        assert "h1" not in office.lead.heard
        assert office.cycle().fenced == ("h1",)

    def test_unanswered_and_it_landed(self) -> None:
        office, source = self.silent()
        hand = office.begin(after_s=0.1)
        hand.until(Put, LAYOUT.hosts)
        land(hand)
        assert hand.finish().fenced == ("h1",)  # type: ignore[union-attr]
        assert office.stored_board().sources[source].settled == 1

    def test_unanswered_and_it_did_not_land_the_same_is_sent_again(self) -> None:
        office, _ = self.silent()
        hand = office.begin(after_s=0.1)
        put = hand.until(Put, LAYOUT.hosts)
        hand.tell(Unknown())
        assert hand.do() == put
        assert hand.finish().fenced == ("h1",)  # type: ignore[union-attr]

    def never_answered(self) -> tuple[Office, Put, str]:
        office, source = self.silent()
        hand = office.begin(after_s=0.1)
        put = hand.until(Put, LAYOUT.hosts)
        for _ in range(2):
            hand.tell(Unknown())
            hand.do()
        assert hand.finish().fenced == ()  # type: ignore[union-attr]
        assert office.stored_board().tickets  # nothing was taken over
        return office, put, source

    def test_never_answered_it_is_tried_again_in_the_next_cycle(self) -> None:
        office, _, _ = self.never_answered()
        assert office.cycle().fenced == ("h1",)

    def test_never_answered_and_it_lands_late_the_next_cycle_reads_it(self) -> None:
        office, put, source = self.never_answered()
        office.write(put.key, put.body)
        office.cycle()
        assert office.stored_board().sources[source].settled == 1
        assert not office.stored_board().tickets

    def test_never_answered_and_it_lives_after_all_the_late_write_changes_nothing(self) -> None:
        office, put, _ = self.never_answered()
        office.host(claimed(report=Report(ok=(0, 2))))
        assert office.store.put(put.key, put.body, if_version=put.if_version) == Conflict()
        office.cycle()
        assert office.stored_board().tickets["1-0"].taken == (0, 2)

    def test_a_session_whose_processes_are_known_to_be_gone_is_fenced_at_once(self) -> None:
        office, _ = self.office()
        office.cycle()
        assert office.cycle(gone=["h1"]).fenced == ("h1",)

    def test_a_session_that_is_over_is_not_fenced(self) -> None:
        for end in ({"left": True}, {"fenced": True}):
            office, source = self.office(claimed(report=Report(ok=(0, 1)), **end))
            hand = office.begin(gone=["h1"])
            assert hand.finish().fenced == ()  # type: ignore[union-attr]
            assert office.stored_board().sources[source].settled == 1
            assert not office.has(LAYOUT.host("h1"))

    def test_a_missing_ledger_is_created_fenced_and_all_of_its_tickets_count_as_claimed(self) -> None:
        before, source = one_ticket(3)
        office = Office(before)
        office.source(source)
        hand = office.begin()
        put = hand.until(Put, LAYOUT.hosts)
        assert put.if_version is None
        written = decode(Ledger, put.key, put.body)
        assert (written.fenced, written.claims) == (True, ("1-0",))
        assert hand.finish().fenced == ("h1",)  # type: ignore[union-attr]
        assert office.stored_board().sources[source].ready == ready((0, 3, 2))
        office.cycle()
        assert not office.has(LAYOUT.host("h1"))

    def test_a_ledger_that_appears_after_the_listing_is_not_missing(self) -> None:
        before, source = one_ticket(3)
        office = Office(before)
        office.source(source)
        hand = office.begin()
        hand.until(Put, LAYOUT.hosts)
        office.host(claimed())
        assert hand.finish().fenced == ()  # type: ignore[union-attr]
        assert office.lead.heard["h1"].ledger == claimed()
        assert office.stored_board().tickets

    def test_created_fenced_too_late_it_is_just_garbage(self) -> None:
        before, source = one_ticket(3)
        office = Office(before)
        office.source(source)
        hand = office.begin()
        late = hand.until(Put, LAYOUT.hosts)
        for _ in range(2):
            hand.tell(Unknown())
            hand.do()
        hand.finish()
        assert office.cycle().fenced == ("h1",)
        office.write(late.key, late.body)  # deleted since
        office.cycle()
        assert not office.has(late.key)

    def test_an_unreadable_ledger_is_left_alone_while_it_changes(self) -> None:
        office, _ = self.office()
        for number in range(5):
            office.write(LAYOUT.host("h1"), b"newer format %d" % number)
            assert office.cycle(after_s=100.0).fenced == ()

    def test_an_unreadable_ledger_that_falls_silent_is_fenced_with_all_its_tickets_claimed(self) -> None:
        office, source = self.office()
        office.write(LAYOUT.host("h1"), b"junk")
        for _ in range(2):
            office.cycle()
        assert office.cycle(after_s=30.1).fenced == ("h1",)
        assert office.stored_board().sources[source].ready == ready((0, 3, 2))

    def test_several_in_one_cycle_each_with_a_nonce_of_its_own(self) -> None:
        office = Office()
        for session in ("h1", "h2", "h3"):
            office.host(ledger(session))
        office.cycle()
        hand = office.begin(gone=["h1", "h2", "h3"])
        assert hand.finish().fenced == ("h1", "h2", "h3")  # type: ignore[union-attr]
        nonces = [decode(Ledger, op.key, op.body).nonce for op in hand.asked if isinstance(op, Put) and op.key != BOARD]
        assert len(set(nonces)) == 3
        office.cycle(after_s=SETTINGS.leader_lease)
        assert office.keys(LAYOUT.hosts) == []

    def test_unavailable_in_the_middle_what_was_fenced_is_known(self) -> None:
        office = Office()
        for session in ("h1", "h2"):
            office.host(ledger(session))
        office.cycle()
        hand = office.begin(gone=["h1", "h2"])
        failed = hand.until(Put, LAYOUT.hosts).key
        hand.give_up()
        other = next(session for session in ("h1", "h2") if LAYOUT.host(session) != failed)
        assert hand.finish().fenced == (other,)  # type: ignore[union-attr]
        assert office.stored_ledger(other).fenced
        hand = office.begin(gone=["h1", "h2"])
        assert hand.finish().fenced == (LAYOUT.session(failed),)  # type: ignore[union-attr]

    def test_our_own_ledger_that_the_process_stored_itself_is_not_read(self) -> None:
        office = Office()
        one = ledger("h1")
        office.host(one)
        office.lead.heard["h1"] = Heard(office.store.get(LAYOUT.host("h1")).version, one)  # type: ignore[union-attr]
        hand = office.begin()
        hand.finish()
        assert hand.count(Gather) == 0


class TestBury:
    LETTER = LAYOUT.dead("q", LAYOUT.message_id(path(1, 3), 1))
    HISTORY = (Failure(3, "error", "boom"),)

    def office(self, dying: tuple[int, ...] = (1,), content: bytes | None = None) -> Office:
        source = path(1, 3)
        state = SourceState(settled=3 - len(dying), dying=dying, failures=dict.fromkeys(dying, self.HISTORY))
        office = Office(board(states={source: state}))
        office.write(LAYOUT.source(source), body(3) if content is None else content)
        return office

    def letters(self, office: Office) -> list[DeadLetter]:
        return [decode(DeadLetter, key, office.body(key)) for key in office.keys("s3queue/dead/")]

    def test_the_letter_is_stored_before_the_message_counts_as_settled(self) -> None:
        office = self.office()
        hand = office.begin()
        put = hand.until(Put)
        assert (put.key, put.if_version) == (self.LETTER, None)
        hand.until(Put, BOARD)
        assert office.has(self.LETTER)
        hand.finish()
        assert office.stored_board().sources[path(1, 3)] == SourceState(settled=3)
        assert office.lead.letters_written == set()
        (letter,) = self.letters(office)
        assert (letter.payload, letter.failures, letter.attempt) == (b"\x01", self.HISTORY, 3)

    def test_a_message_that_is_dying_only_in_this_plan_gets_none_yet(self) -> None:
        before, source = one_ticket(attempt=3)
        office = Office(before)
        office.source(source)
        office.host(claimed(fenced=True))
        hand = office.begin()
        hand.until(Put, BOARD)
        assert self.letters(office) == []
        hand.until(Put, LAYOUT.dead("q"))
        assert office.stored_board().sources[source].dying == (0,)
        hand.finish()
        assert len(self.letters(office)) == 1

    def test_one_that_was_written_before_is_not_written_over(self) -> None:
        office = self.office()
        office.write(self.LETTER, b"tombstone")
        office.cycle()
        assert office.body(self.LETTER) == b"tombstone"
        assert office.stored_board().sources[path(1, 3)].settled == 3

    def test_unanswered_the_message_stays_until_it_is_sure(self) -> None:
        office = self.office()
        hand = office.begin()
        hand.until(Put)
        land(hand)
        put = hand.until(Put)
        assert put.key == self.LETTER
        assert office.lead.letters_written == set()
        hand.finish()
        assert office.stored_board().sources[path(1, 3)].settled == 3
        assert len(self.letters(office)) == 1

    def test_unavailable_in_the_middle_what_was_written_is_known(self) -> None:
        office = self.office(dying=(0, 1, 2))
        hand = office.begin()
        hand.until(Put, LAYOUT.dead("q", LAYOUT.message_id(path(1, 3), 1)))
        hand.give_up()
        assert office.lead.letters_written == set()  # told together, so that one board is written for them
        hand.until(Put, BOARD)
        assert office.lead.letters_written == {(path(1, 3), 0), (path(1, 3), 2)}
        hand.finish()
        assert office.stored_board().sources[path(1, 3)] == SourceState(
            settled=2, dying=(1,), failures={1: self.HISTORY}
        )
        assert office.begin().until(Put).key == self.LETTER

    def test_in_doubt_of_the_commit_no_letter_is_written_twice(self) -> None:
        office = self.office()
        hand = office.begin()
        hand.until(Put, BOARD)
        hand.lose()
        again = office.begin()
        again.finish()
        assert [op.key for op in again.asked if isinstance(op, Put)] == [BOARD]
        assert office.stored_board().sources[path(1, 3)].settled == 3

    def test_the_next_leader_finds_the_letter_and_settles_the_message(self) -> None:
        office = self.office()
        hand = office.begin()
        hand.until(Put, BOARD)  # the letter is stored, and the leader dies
        view = View(office.stored_board(), office.view.version, looked=True)
        office.lead = run(take_office(view, LAYOUT, SETTINGS, office.now, NOW_MS), office.store)
        office.cycle()
        assert office.stored_board().sources[path(1, 3)].settled == 3
        assert len(self.letters(office)) == 1

    def test_a_source_that_cannot_be_decoded_is_one_raw_letter(self) -> None:
        office = self.office(dying=(0, 1, 2), content=b"junk")
        office.cycle()
        (letter,) = self.letters(office)
        assert (letter.message, letter.payload, letter.raw) == (LAYOUT.message_id(path(1, 3), 0), b"junk", True)
        assert office.stored_board().sources[path(1, 3)] == SourceState(settled=3)

    def test_a_chore_writes_a_bounded_number_and_reads_the_source_once_for_all_of_them(self) -> None:
        source = path(1, 250)
        office = Office(board(states={source: SourceState(dying=tuple(range(250)))}))
        office.source(source)
        hand = office.begin()
        hand.finish()
        assert len(self.letters(office)) == 250
        assert hand.count(Get, LAYOUT.source(source)) == 3
        hand = office.begin()
        hand.finish()
        assert hand.count(Get) == 0

    def test_a_letter_that_is_refused_for_ever_holds_up_no_other_and_no_cycle(self) -> None:
        office = self.office(dying=(0, 1, 2))
        for number in range(5):
            hand = office.begin()
            while hand.op is not None:
                if isinstance(hand.op, Put) and hand.op.key == self.LETTER:
                    hand.refuse()
                else:
                    hand.do()
            assert isinstance(hand.result, Whole)
            assert hand.count(Put, self.LETTER) == (number in (0, 1, 3)), "after pauses that grow"
        assert office.stored_board().sources[path(1, 3)].settled == 2
        assert office.lead.chores.troubles.keys == [f"{path(1, 3)}#1"]


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
        assert list(office.lead.pages) == [Page(LAYOUT.page(1, 0), 0, ("a",))]
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
