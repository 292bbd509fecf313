"""Sessions that are ended, one compare-and-swap each."""

from __future__ import annotations

from msgspec.structs import replace
from s3queue_backends.memory import MemoryStore

from s3queue.core.chores.fences import Fences
from s3queue.core.chores.troubles import Troubles
from s3queue.core.hearing import Heard
from s3queue.core.ops import Gather, Put, Unknown
from s3queue.core.records import (
    Dozing,
    Ledger,
    Report,
    decode,
    encode,
)
from s3queue.core.silence import Silence
from s3queue.store import Conflict, Found
from tests.core.hands import run
from tests.core.office import BOARD, Office, land
from tests.core.world import (
    LAYOUT,
    SETTINGS,
    Whole,
    board,
    claimed,
    ledger,
    one_ticket,
    ready,
)


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

    def test_a_ledger_that_could_not_be_read_is_read_first_and_its_host_is_judged_by_it(self) -> None:
        """It may have begun to doze with the write that was not read. Then it may be silent for longer."""
        store, key = MemoryStore(), LAYOUT.host("h1")
        awake, dozes = ledger("h1"), replace(ledger("h1"), dozing=Dozing(60.0, 5.0))
        store.put(key, encode(dozes), if_version=None)
        found = store.get(key)
        assert isinstance(found, Found)
        heard = {"h1": Heard(found.version, awake, since=1000.0, is_read=False)}
        fences, silence = Fences(LAYOUT, heard, Troubles()), Silence(30.0)

        def judge(now: float) -> None:
            fences.follow(silence.ended(board(), heard, [], now))
            while (step := fences.take(now, f"n{now}")) is not None:
                run(step, store)

        judge(1031.0)
        assert fences.done == []
        assert heard["h1"].ledger == dozes
        judge(1180.0)
        assert fences.done == []
        judge(1181.0)
        assert fences.done == ["h1"]
        fenced = store.get(key)
        assert isinstance(fenced, Found)
        assert decode(Ledger, key, fenced.body).fenced
