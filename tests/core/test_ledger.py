"""The host's side: join, claim, report, drain, leave, end the session of another agent."""

from __future__ import annotations

import math

import pytest
from s3queue_backends.memory import MemoryStore

from s3queue.core import ranges
from s3queue.core.keys import moved_path, parse_source
from s3queue.core.ledger import Flushed, Host, Refused
from s3queue.core.ops import Get, Put, Unknown
from s3queue.core.records import (
    Allowed,
    Failed,
    Failure,
    Ledger,
    Offer,
    Part,
    Report,
    SourceState,
    Ticket,
)
from s3queue.store import Conflict, Found, Missing, Stored
from tests.core.hands import Hand
from tests.core.sessions import KEY, SOURCE, VISIBILITY, joined, new_host, running, sent, theirs, with_tickets
from tests.core.world import LAYOUT, board, path, retry


class TestJoin:
    def test_it_creates_the_ledger(self) -> None:
        host = new_host()
        hand = Hand(host.flush(5.0, "n"))
        assert isinstance(hand.op, Put)
        assert (hand.op.key, hand.op.if_version) == (KEY, None)
        assert sent(hand) == Ledger("n", "h1", slots=4, offers={"q": Offer()})
        hand.tell(Stored("v0"))
        assert hand.result == Flushed(Ledger("n", "h1", slots=4, offers={"q": Offer()}), ())
        assert (host.version, host.trusted_from, host.has_news) == ("v0", 5.0, False)

    def test_unanswered_and_it_landed(self) -> None:
        host = new_host()
        hand = Hand(host.flush(5.0, "n"))
        body = hand.op.body  # type: ignore[union-attr]
        assert hand.tell(Unknown()) == Get(KEY)
        hand.tell(Found(body, "v0"))
        assert isinstance(hand.result, Flushed)
        assert (host.version, host.pending, host.trusted_from) == ("v0", None, 5.0)

    def test_unanswered_and_without_a_trace_the_session_is_given_up_and_the_put_never_sent_again(self) -> None:
        host = new_host()
        hand = Hand(host.flush(5.0, "n"))
        hand.tell(Unknown())
        hand.tell(Missing())
        assert hand.result is Refused.FENCED
        assert host.over
        assert hand.count(Put) == 1

    def test_fenced_and_deleted_while_the_answer_was_outstanding_it_does_not_come_back(self) -> None:
        """The join landed unanswered, tickets were given to it, it was silent, and all of that is over. A second Put
        would create the ledger again, and its next write could claim a ticket that somebody else has by now."""
        host = new_host()
        hand = Hand(host.flush(5.0, "n"))
        hand.tell(Unknown())
        hand.lose()
        host.see(with_tickets("1-0"))  # a board from before it was fenced
        again = Hand(host.flush(99.0, "n2"))
        assert again.op == Get(KEY)
        again.tell(Missing())
        assert again.result is Refused.FENCED
        assert host.over

    def test_found_later_it_counts_from_when_it_was_first_sent(self) -> None:
        host = new_host()
        hand = Hand(host.flush(5.0, "n"))
        body = hand.op.body  # type: ignore[union-attr]
        hand.tell(Unknown())
        hand.lose()
        again = Hand(host.flush(12.0, "n2"))
        again.tell(Found(body, "v0"))
        assert isinstance(again.result, Flushed)
        assert (host.trusted_from, host.version) == (5.0, "v0")

    def test_a_put_that_was_certainly_not_applied_may_be_sent_again(self) -> None:
        host = new_host()
        Hand(host.flush(5.0, "n")).lose()
        assert host.pending is None
        hand = Hand(host.flush(6.0, "n2"))
        assert sent(hand).nonce == "n2"
        hand.tell(Stored("v0"))
        assert host.trusted_from == 6.0

    def test_a_conflict_with_our_own_put_is_a_success(self) -> None:
        host = new_host()
        hand = Hand(host.flush(5.0, "n"))
        body = hand.op.body  # type: ignore[union-attr]
        hand.tell(Conflict())
        hand.tell(Found(body, "v0"))
        assert host.version == "v0"

    def test_fenced_before_the_join_was_answered(self) -> None:
        host = new_host()
        hand = Hand(host.flush(5.0, "n"))
        hand.tell(Unknown())
        hand.tell(theirs(fenced=True))
        assert hand.result is Refused.FENCED

    def test_a_session_that_is_over_never_writes_again(self) -> None:
        host = new_host()
        host.over = True
        with pytest.raises(AssertionError):
            Hand(host.flush(5.0, "n"))


class TestClaim:
    def test_what_the_board_assigns_may_run_once_the_ledger_that_claims_it_is_stored(self) -> None:
        host = joined()
        host.see(with_tickets("1-0", "1-1"))
        assert host.has_news
        hand = Hand(host.flush(1.0, "n1"))
        assert sent(hand).claims == ("1-0", "1-1")
        assert hand.op.if_version == "v0"  # type: ignore[union-attr]
        hand.tell(Stored("v1"))
        assert isinstance(hand.result, Flushed)
        assert hand.result.claimed == ("1-0", "1-1")
        assert not host.has_news

    def test_what_was_claimed_before_is_not_handed_out_twice(self) -> None:
        host = running("1-0")
        host.see(with_tickets("1-0", "1-1"))
        hand = Hand(host.flush(2.0, "n2"))
        hand.tell(Stored("v2"))
        assert hand.result.claimed == ("1-1",)  # type: ignore[union-attr]

    def test_a_ticket_of_somebody_else_is_not_claimed(self) -> None:
        host = joined()
        host.see(with_tickets("1-0", session="h2"))
        assert not host.tickets
        assert not host.has_news

    def test_seeing_the_same_board_again_is_no_news(self) -> None:
        host = running("1-0")
        host.see(with_tickets("1-0"))
        assert not host.has_news

    def test_a_ticket_that_left_the_board_while_its_claim_was_on_its_way_does_not_run(self) -> None:
        host = joined()
        host.see(with_tickets("1-0"))
        hand = Hand(host.flush(1.0, "n1"))
        host.see(with_tickets())
        hand.tell(Stored("v1"))
        assert hand.result.claimed == ()  # type: ignore[union-attr]
        assert host.has_news  # the claim is to be dropped


class TestReport:
    @pytest.mark.parametrize(
        ("failures", "spared", "suspect"),
        [
            ((Failure(1, "killed"),), 1, True),
            ((Failure(1, "interrupted"),), 1, False),
            ((Failure(1, "interrupted"), Failure(2, "shutdown")), 2, True),
            ((Failure(1, "error"),), 0, False),
        ],
    )
    def test_a_ticket_says_whether_its_message_runs_alone_and_what_it_was_spared(
        self, failures: tuple[Failure, ...], spared: int, suspect: bool
    ) -> None:
        host = joined()
        state = SourceState(failures={3: failures}, spared={3: spared} if spared else {})
        tickets = {"1-0": Ticket("h1", (Part(SOURCE, 3, 4, 2),)), "1-1": Ticket("h1", (Part(SOURCE, 5, 9, 2),))}
        host.see(board(tickets, {SOURCE: state}))
        assert (host.tickets["1-0"].suspect, host.tickets["1-0"].spared) == (suspect, spared)
        assert (host.tickets["1-1"].suspect, host.tickets["1-1"].spared) == (False, 0)

    def test_claims_and_outcomes_go_in_one_write(self) -> None:
        host = running("1-0")
        host.see(with_tickets("1-0", "1-1"))
        host.succeed("1-0", (0, 3))
        host.fail("1-0", 4, retry())
        host.release("1-0", (5, 6))
        ledger = sent(Hand(host.flush(2.0, "n2")))
        assert ledger.claims == ("1-0", "1-1")
        assert ledger.reports == {"1-0": Report((0, 3), (5, 6), {4: retry()})}

    def test_the_first_word_on_a_message_holds(self) -> None:
        host = running("1-0")
        host.succeed("1-0", (0, 2))
        host.fail("1-0", 1, retry())
        host.fail("1-0", 2, retry())
        host.fail("1-0", 2, Failed("dead"))
        host.release("1-0", (0, 4))
        host.succeed("1-0", (0, 6))
        held = host.tickets["1-0"]
        assert (held.ok, held.released, held.failed) == ((0, 2, 4, 6), (3, 4), {2: retry()})
        assert held.open == (6, 10)

    def test_saying_it_twice_is_no_news(self) -> None:
        host = running("1-0")
        host.succeed("1-0", (0, 10))
        Hand(host.flush(2.0, "n2")).tell(Stored("v2"))
        host.succeed("1-0", (0, 10))
        host.release("1-0", (0, 10))
        host.fail("1-0", 0, retry())
        assert not host.has_news

    def test_a_word_on_a_ticket_that_is_off_the_board_is_dropped(self) -> None:
        host = running("1-0")
        host.see(with_tickets())
        host.succeed("1-0", (0, 1))
        host.fail("1-0", 1, retry())
        host.release("1-0", (2, 3))
        assert sent(Hand(host.flush(2.0, "n2"))).reports == {}

    def test_an_outcome_is_kept_until_a_board_has_taken_it_over(self) -> None:
        host = running("1-0")
        host.succeed("1-0", (0, 4))
        Hand(host.flush(2.0, "n2")).tell(Stored("v2"))
        host.succeed("1-0", (4, 6))
        hand = Hand(host.flush(3.0, "n3"))
        assert sent(hand).reports == {"1-0": Report(ok=(0, 6))}
        hand.tell(Stored("v3"))
        host.see(with_tickets("1-0", t0=(0, 4)))
        assert host.has_news
        assert sent(Hand(host.flush(4.0, "n4"))).reports == {"1-0": Report(ok=(4, 6))}

    def test_a_ticket_that_is_off_the_board_is_claimed_no_more(self) -> None:
        host = running("1-0", "1-1")
        host.succeed("1-0", (0, 10))
        host.see(with_tickets("1-1"))
        ledger = sent(Hand(host.flush(2.0, "n2")))
        assert (ledger.claims, ledger.reports) == (("1-1",), {})

    @pytest.mark.parametrize(
        ("asked", "stored"),
        [(math.inf, 315_360_000.0), (math.nan, 0.0), (-1.0, 0.0), (1e300, 315_360_000.0), (7.5, 7.5)],
    )
    def test_a_delay_that_json_cannot_say_does_not_make_the_ledger_unreadable(
        self, asked: float, stored: float
    ) -> None:
        host = running("1-0")
        host.fail("1-0", 0, Failed("snooze", asked))
        assert sent(Hand(host.flush(2.0, "n2"))).reports["1-0"].failed[0].delay_s == stored


class TestDrain:
    def test_a_draining_host_offers_no_slots_and_gives_back_what_comes(self) -> None:
        host = running("1-0")
        host.draining = True
        host.see(with_tickets("1-0", "1-1"))
        ledger = sent(Hand(host.flush(2.0, "n2")))
        assert ledger.slots == 0
        assert ledger.claims == ("1-0", "1-1")  # only what is claimed is read
        assert ledger.reports == {"1-1": Report(released=(0, 10))}
        assert host.tickets["1-0"].open == (0, 10)  # may be running

    def test_a_host_without_a_worker_offers_no_slots_until_one_is_there(self) -> None:
        host = running()
        host.resize(4)
        assert not host.has_news
        for slots in (0, 4):
            host.resize(slots)
            assert host.has_news
            hand = Hand(host.flush(2.0, f"n{slots}"))
            assert sent(hand).slots == slots
            hand.tell(Stored(f"v{slots}"))

    def test_the_last_write_says_left_and_ends_the_session(self) -> None:
        host = running("1-0")
        host.draining = host.leaving = True
        host.succeed("1-0", (0, 10))
        hand = Hand(host.flush(2.0, "n2"))
        assert sent(hand).left
        hand.tell(Stored("v2"))
        assert isinstance(hand.result, Flushed)
        assert host.over
        assert host.trusted_until(VISIBILITY) == 0.0

    def test_fenced_while_leaving(self) -> None:
        host = running("1-0")
        host.draining = host.leaving = True
        hand = Hand(host.flush(2.0, "n2"))
        hand.tell(Conflict())
        hand.tell(theirs(fenced=True))
        assert hand.result is Refused.FENCED


def test_entering_an_outcome_takes_no_longer_for_those_that_failed_before(monkeypatch: pytest.MonkeyPatch) -> None:
    """Counted in calls: nothing walks over what is already entered."""
    source = path(1, 1000)
    host = Host(LAYOUT, "h1", 4, {"q": Offer()})
    host.see(board({"1-0": Ticket("h1", (Part(source, 0, 1000, 1),))}, {source: SourceState()}))
    walked = 0
    original = ranges.union

    def counted(*many: object) -> object:
        nonlocal walked
        walked += 1
        return original(*many)  # type: ignore[arg-type]

    monkeypatch.setattr(ranges, "union", counted)
    for offset in range(1000):
        host.fail("1-0", offset, retry())
    assert walked == 0
    assert host.is_done


def test_a_ledger_of_nothing_but_failures_stays_small_and_has_room_again_once_they_are_taken_over() -> None:
    """The board takes over what it has room for; the rest is in every write of the ledger meanwhile."""
    host, source = joined(), path(1, 1000)
    tickets = {f"1-{number}": Ticket("h1", (Part(source, 0, 1000, 1),)) for number in range(10)}
    host.see(board(tickets, {source: SourceState()}))
    text = "x" * 1900 + "ValueError: no"
    for name in tickets:
        for offset in range(1000):
            host.fail(name, offset, Failed("dead", 0.0, Failure(1, "rejected", text)))
    hand = Hand(host.flush(1.0, "n1"))
    assert isinstance(hand.op, Put)
    assert len(hand.op.body) < 3_000_000
    failures = [one.failure for report in sent(hand).reports.values() for one in report.failed.values()]
    assert len(failures) == 10_000
    assert all(failure is not None and failure.text.endswith("ValueError: no") for failure in failures)
    hand.tell(Stored("v1"))
    left = {"2-0": Ticket("h1", (Part(source, 0, 10, 1),))}
    host.see(board(left, {source: SourceState()}))
    host.fail("2-0", 0, Failed("dead", 0.0, Failure(1, "rejected", text)))
    failure = sent(Hand(host.flush(2.0, "n2"))).reports["2-0"].failed[0].failure
    assert failure is not None
    assert failure.text == text


def test_a_suspect_that_was_moved_off_the_board_runs_in_a_process_with_nothing_else() -> None:
    for alone in (False, True):
        source = moved_path(parse_source(path(1)), due_ms=1, batch="a1", count=1, attempt=2, alone=alone)
        host = joined()
        host.see(board({"1-0": Ticket("h1", (Part(source, 0, 1, 2),))}, {source: SourceState()}))
        assert host.tickets["1-0"].suspect is alone


def test_host_holds_what_is_limited_once_its_stored_ledger_claims_it() -> None:
    """One that dozed reads of its first ticket when its last write is long past: it has not begun, and its session goes
    on."""
    host = Host(LAYOUT, "h1", slots=1, offers={"q": Offer()})
    store = MemoryStore()
    Hand(host.flush(0.0, "n1"), store).finish()
    host.see(board({"1-0": Ticket("h1", (Part(path(1), 0, 1, 1),))}, allowed={"1-0": Allowed("", 1)}))
    assert not host.holds_limited
    Hand(host.flush(300.0, "n2"), store).finish()
    assert host.holds_limited
    host.succeed("1-0", (0, 1))
    assert not host.holds_limited
