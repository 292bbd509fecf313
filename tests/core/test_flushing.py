"""Writes of a ledger: unanswered, overtaken, and for how long they are trusted."""

from __future__ import annotations

import pytest

from s3queue.core.ledger import Flushed, Host, Refused
from s3queue.core.ops import Put, Unknown
from s3queue.core.records import Ledger, Report, encode
from s3queue.errors import StoreUnsupported
from s3queue.store import Conflict, Found, Missing, Stored
from tests.core.hands import Hand
from tests.core.sessions import VISIBILITY, joined, new_host, running, sent, theirs, with_tickets
from tests.core.world import retry


class TestFlush:
    def begin(self, now: float = 2.0) -> tuple[Host, Hand[Flushed | Refused], Put]:
        """A flush of one outcome, on its way."""
        host = running("1-0")
        host.succeed("1-0", (0, 1))
        hand = Hand(host.flush(now, "n2"))
        assert isinstance(hand.op, Put)
        assert hand.op.if_version == "v1"
        return host, hand, hand.op

    def test_every_write_has_a_nonce_of_its_own(self) -> None:
        host = running("1-0")
        bodies = set()
        for number in range(3):
            hand = Hand(host.flush(2.0, f"x{number}"))
            bodies.add(hand.op.body)  # type: ignore[union-attr]
            hand.tell(Stored(f"v{number}"))
        assert len(bodies) == 3

    def test_unanswered_and_it_landed(self) -> None:
        host, hand, put = self.begin()
        hand.tell(Unknown())
        hand.tell(Found(put.body, "v2"))
        assert isinstance(hand.result, Flushed)
        assert (host.version, host.pending) == ("v2", None)

    def test_unanswered_and_it_did_not_land_the_same_is_sent_again(self) -> None:
        host, hand, put = self.begin()
        hand.tell(Unknown())
        assert hand.tell(theirs()) == put
        hand.tell(Stored("v2"))
        assert host.version == "v2"

    def test_it_lands_late_and_the_resend_conflicts_with_it(self) -> None:
        host, hand, put = self.begin()
        hand.tell(Unknown())
        hand.tell(theirs())
        hand.tell(Conflict())
        hand.tell(Found(put.body, "v2"))
        assert isinstance(hand.result, Flushed)
        assert host.version == "v2"

    def test_without_any_answer_nothing_is_built_on_it_and_the_same_is_sent_next_time(self) -> None:
        host, hand, put = self.begin(now=2.0)
        for _ in range(3):
            hand.tell(Unknown())
            hand.tell(theirs())
        assert hand.result is Refused.UNSURE
        assert (host.version, host.trusted_from) == ("v1", 0.0)
        assert host.has_news

        host.succeed("1-0", (1, 10))  # what comes meanwhile has to wait
        host.see(with_tickets("1-0", "1-1"))
        again = Hand(host.flush(9.0, "n3"))
        assert again.op == put
        again.tell(Stored("v2"))
        assert again.result.claimed == ()  # type: ignore[union-attr]
        assert host.trusted_from == 2.0  # not longer than from when it was first sent
        assert host.has_news
        then = sent(Hand(host.flush(10.0, "n4")))
        assert then.claims == ("1-0", "1-1")
        assert then.reports == {"1-0": Report(ok=(0, 10))}

    def test_what_an_unanswered_write_claims_runs_only_after_it_is_stored(self) -> None:
        host = joined()
        host.see(with_tickets("1-0"))
        hand = Hand(host.flush(1.0, "n1"))
        put = hand.op
        for _ in range(3):
            hand.tell(Unknown())
            hand.tell(Missing())
        assert hand.result is Refused.UNSURE
        again = Hand(host.flush(2.0, "n2"))
        assert again.op == put
        again.tell(Stored("v1"))
        assert again.result.claimed == ("1-0",)  # type: ignore[union-attr]

    def test_unavailable_anywhere_leaves_the_write_to_be_sent_again_as_it_was(self) -> None:
        for answers in ([], [Unknown()], [Conflict()], [Unknown(), theirs()]):
            host, hand, put = self.begin()
            for answer in answers:
                hand.tell(answer)
            hand.lose()
            assert (host.version, host.over) == ("v1", False)
            assert Hand(host.flush(9.0, "n3")).op == put

    @pytest.mark.parametrize("there", [theirs(fenced=True), Missing()])
    def test_overtaken_means_fenced_or_gone_and_the_session_is_over(self, there: Found | Missing) -> None:
        host, hand, _ = self.begin()
        hand.tell(Conflict())
        hand.tell(there)
        assert hand.result is Refused.FENCED
        assert host.over
        assert host.trusted_until(VISIBILITY) == 0.0

    def test_fenced_while_a_write_was_on_its_way(self) -> None:
        host, hand, _ = self.begin()
        hand.tell(Unknown())
        hand.tell(theirs(fenced=True))
        hand.tell(Conflict())  # of the resend
        hand.tell(theirs(fenced=True))
        assert hand.result is Refused.FENCED
        assert host.over


class TestTrust:
    def test_nothing_may_start_before_the_first_ledger_is_stored(self) -> None:
        assert new_host().trusted_until(VISIBILITY) == 0.0

    def test_half_the_visibility_timeout_from_when_the_last_write_was_sent(self) -> None:
        host = running("1-0", now=100.0)
        assert host.trusted_until(VISIBILITY) == 115.0
        Hand(host.flush(110.0, "n2")).tell(Stored("v2"))
        assert host.trusted_until(VISIBILITY) == 125.0


def test_a_stored_ledger_that_is_replaced_by_a_living_one_is_proof_that_two_writers_won() -> None:
    """Who fences writes one that is over; nobody else writes it but its host."""
    host = running("1-0")
    host.fail("1-0", 0, retry())
    hand = Hand(host.flush(2.0, "n2"))
    hand.tell(Conflict())
    with pytest.raises(StoreUnsupported, match=r"a stored write of .* has vanished"):
        hand.tell(Found(encode(Ledger("twin", "h1")), "v9"))
