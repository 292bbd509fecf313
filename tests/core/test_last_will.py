"""An agent ends the session of another: what the journals say, and what is left."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from s3queue.core.elect import View
from s3queue.core.last_will import end_session
from s3queue.core.ops import Get, Put, Unknown
from s3queue.core.records import Board, Failed, Failure, Ledger, Offer, Part, Report, Ticket, encode
from s3queue.store import Conflict, Found, Missing, Stored
from tests.core.hands import Hand
from tests.core.sessions import KEY, SOURCE, running, sent, theirs, with_tickets
from tests.core.world import LAYOUT, retry


class TestBequeath:
    """The agent died; the next one of the same host ends its session with what the journals say."""

    LEFT = Ledger("old", "h1", claims=("1-0",), reports={"1-0": Report(ok=(0, 2))}, slots=4)
    KILLED = Failed("retry", 0.0, Failure(0, "killed"))

    def begin(self, outcomes: dict[str, Report] | None = None, of: Board | None = None, tries: int = 3) -> Hand[bool]:
        view = View(of or with_tickets("1-0"), "b", looked=True)
        hand = Hand(end_session(view, LAYOUT, "h1", outcomes or {}, [f"n{number}" for number in range(tries)]))
        assert hand.op == Get(KEY)
        return hand

    def will(self, left: Ledger | None = None, **fields: object) -> Ledger:
        hand = self.begin(**fields)  # type: ignore[arg-type]
        hand.tell(Found(encode(left or self.LEFT), "v1"))
        assert isinstance(hand.op, Put)
        assert hand.op.if_version == "v1"
        return sent(hand)

    def test_the_stored_outcomes_and_those_of_the_journals_count_and_the_rest_is_released(self) -> None:
        will = self.will(outcomes={"1-0": Report(ok=(3, 5), failed={7: self.KILLED})})
        assert will.fenced
        assert will.nonce == "n0"
        assert will.claims == ("1-0",)
        assert will.reports["1-0"].ok == (0, 2, 3, 5)
        assert will.reports["1-0"].released == (2, 3, 5, 7, 8, 10)
        assert list(will.reports["1-0"].failed) == [7]

    def test_what_the_journal_does_not_know_of_the_attempt_the_ticket_says(self) -> None:
        of = with_tickets("1-0")
        ticket = Ticket("h1", (Part(SOURCE, 0, 5, 1), Part(SOURCE, 5, 10, 4)))
        of.tickets["1-0"] = ticket
        failed = (
            self.will(of=of, outcomes={"1-0": Report(failed={7: self.KILLED, 8: Failed("dead")})}).reports["1-0"].failed
        )
        assert failed[7].failure == Failure(4, "killed")
        assert failed[8] == Failed("dead")

    def test_what_is_stored_is_not_overruled_by_a_journal(self) -> None:
        left = Ledger("old", "h1", claims=("1-0",), reports={"1-0": Report((0, 1), (1, 2), {2: retry()})})
        will = self.will(left, outcomes={"1-0": Report(ok=(1, 3), failed={0: self.KILLED})})
        assert will.reports["1-0"] == Report((0, 1), (1, 2, 3, 10), {2: retry()})

    def test_what_was_taken_over_already_is_not_repeated(self) -> None:
        will = self.will(of=with_tickets("1-0", t0=(0, 2)), outcomes={"1-0": Report(ok=(1, 4))})
        assert will.reports["1-0"] == Report(ok=(2, 4), released=(4, 10))

    def test_what_was_assigned_and_never_claimed_is_left_to_the_board(self) -> None:
        will = self.will(of=with_tickets("1-0", "1-1"), outcomes={"1-1": Report(ok=(0, 3))})
        assert will.claims == ("1-0",)
        assert set(will.reports) == {"1-0"}

    def test_claims_that_no_board_lists_need_no_word(self) -> None:
        assert self.will(of=with_tickets()).reports == {}

    def test_outcomes_of_an_agent_that_died_while_the_board_was_deleted_are_kept(self) -> None:
        hand = Hand(end_session(View(looked=True), LAYOUT, "h1", {"1-0": Report(ok=(3, 5))}, ["n0"]))
        hand.tell(Found(encode(self.LEFT), "v1"))
        assert hand.result is False, "the next try, with the board put back, can tell what the journals mean"
        assert hand.count(Put) == 0

    def test_session_without_claims_is_ended_before_there_is_a_board(self) -> None:
        hand = Hand(end_session(View(looked=True), LAYOUT, "h1", {}, ["n0"]))
        hand.tell(Found(encode(replace(self.LEFT, claims=(), reports={})), "v1"))
        assert sent(hand).fenced

    @pytest.mark.parametrize(
        "there",
        [Missing(), theirs(fenced=True), theirs(left=True), Found(b"unreadable", "v")],
    )
    def test_it_is_settled_where_there_is_nothing_to_end(self, there: Found | Missing) -> None:
        hand = self.begin()
        hand.tell(there)
        assert hand.result is True
        assert hand.count(Put) == 0

    def test_a_write_of_the_old_agent_that_lands_in_between_is_not_lost(self) -> None:
        hand = self.begin({"1-0": Report(ok=(3, 5))})
        hand.tell(Found(encode(self.LEFT), "v1"))
        hand.tell(Conflict())
        late = Ledger("late", "h1", claims=("1-0",), reports={"1-0": Report(ok=(0, 3))})
        assert hand.tell(Found(encode(late), "v2")) == Get(KEY)
        hand.tell(Found(encode(late), "v2"))
        assert hand.op.if_version == "v2"  # type: ignore[union-attr]
        assert sent(hand).reports["1-0"].ok == (0, 5)
        hand.tell(Stored("v3"))
        assert hand.result is True

    def test_a_write_of_the_old_agent_that_lands_after_it_changes_nothing(self) -> None:
        hand = self.begin()
        hand.tell(Found(encode(self.LEFT), "v1"))
        put = hand.op
        assert isinstance(put, Put)
        hand.tell(Stored("v2"))
        assert hand.result is True
        assert put.if_version == "v1"  # as that of the late write: only one of the two can take effect

    def test_deleted_meanwhile_it_is_settled(self) -> None:
        hand = self.begin()
        hand.tell(Found(encode(self.LEFT), "v1"))
        hand.tell(Conflict())
        hand.tell(Missing())
        assert hand.result is True

    def test_unanswered_and_it_landed(self) -> None:
        hand = self.begin()
        hand.tell(Found(encode(self.LEFT), "v1"))
        body = hand.op.body  # type: ignore[union-attr]
        hand.tell(Unknown())
        hand.tell(Found(body, "v2"))
        assert hand.result is True

    def test_never_answered_it_is_not_settled(self) -> None:
        hand = self.begin(tries=1)
        hand.tell(Found(encode(self.LEFT), "v1"))
        for _ in range(3):
            hand.tell(Unknown())
            hand.tell(Found(encode(self.LEFT), "v1"))
        assert hand.result is False

    def test_an_unanswered_will_that_lands_late_is_found_on_the_next_try(self) -> None:
        hand = self.begin(tries=2)
        hand.tell(Found(encode(self.LEFT), "v1"))
        body = hand.op.body  # type: ignore[union-attr]
        for _ in range(3):
            hand.tell(Unknown())
            hand.tell(Found(encode(self.LEFT), "v1"))
        assert hand.op == Get(KEY)
        hand.tell(Found(body, "v2"))
        assert hand.result is True

    def test_unavailable_in_the_middle_ends_it_and_it_may_be_begun_again(self) -> None:
        self.begin().lose()
        hand = self.begin()
        hand.tell(Found(encode(self.LEFT), "v1"))
        hand.lose()


def test_what_was_done_and_died_is_counted_whether_the_board_has_taken_it_over_or_not() -> None:
    host = running("1-1", "1-2")
    host.succeed("1-1", (0, 5))
    host.fail("1-1", 5, Failed("dead", 0.0, Failure(1, "rejected", "no", 0)))
    host.fail("1-1", 6, retry())
    assert host.tally() == {"q": (5, 1)}
    host.see(with_tickets("1-2"))
    host.succeed("1-2", (0, 2))
    assert host.tally() == {"q": (7, 1)}
    host.offers["q"] = Offer(max_attempts=1)  # then a failed first attempt is the last
    host.fail("1-2", 3, retry())
    assert host.tally() == {"q": (7, 2)}
