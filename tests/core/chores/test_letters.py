"""Dead letters, written beside the cycles."""

from __future__ import annotations

from msgspec import Raw
from msgspec.structs import replace
from s3queue_backends.memory import MemoryStore

from s3queue.core.cycle import take_office
from s3queue.core.elect import View, stand
from s3queue.core.keys import moved_path, parse_source
from s3queue.core.ops import Get, Put, Step
from s3queue.core.records import (
    DeadLetter,
    Ending,
    Failure,
    Leader,
    Moved,
    Origin,
    SourceState,
    decode,
    encode_batch,
    encode_message,
)
from tests.core.hands import Hand, run
from tests.core.office import BOARD, Office, land
from tests.core.world import (
    LAYOUT,
    NOW_MS,
    SETTINGS,
    Whole,
    board,
    body,
    claimed,
    one_ticket,
    path,
)


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

    def test_one_that_ends_in_a_way_of_a_newer_release_stays_and_holds_up_no_other(self) -> None:
        office = self.office((0, 1))
        source = path(1, 3)
        state = replace(office.lead.board.sources[source], endings={0: Ending("transferred")})
        office = Office(replace(office.lead.board, sources={source: state}), store=MemoryStore())
        office.write(LAYOUT.source(source), body(3))
        for _ in range(3):
            office.cycle()
        assert [letter.message for letter in self.letters(office)] == [LAYOUT.message_id(source, 1)]
        after = office.stored_board().sources[source]
        assert (after.settled, after.dying, after.endings) == (2, (0,), state.endings)

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

    def test_an_empty_object_in_its_place_is_replaced(self) -> None:
        office = self.office()
        office.write(self.LETTER, b"")
        office.cycle()
        (letter,) = self.letters(office)
        assert letter.payload == b"\x01"
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

    def test_a_leader_that_was_replaced_writes_no_letter_of_a_batch_that_is_settled_and_gone(self) -> None:
        first = path(1)
        source = moved_path(parse_source(first), due_ms=1, batch="a1", count=1, attempt=3, alone=False)
        message = Moved("", Raw(b"\x01"), origin=Origin(LAYOUT.message_id(first, 0), 5))
        before = board(states={source: SourceState(dying=(0,))})
        old = Office(before)
        old.write(LAYOUT.source(source), encode_batch([encode_message(message)], 5))
        began, chore = old.now, Hand(self.chore(old), old.store)
        new = View(before, old.view.version, looked=True)
        run(stand(new, LAYOUT, Leader("h2"), "theirs"), old.store)
        old.lead, replaced = run(take_office(new, LAYOUT, SETTINGS, old.now, NOW_MS), old.store), old.lead
        old.cycle()
        old.cycle()
        assert not old.has(LAYOUT.source(source))
        assert [letter.message for letter in self.letters(old)] == [LAYOUT.message_id(first, 0)]
        chore.finish()
        assert len(self.letters(old)) == 1
        assert replaced.chores.letters.written == set()
        assert replaced.chores.letters.take(began, NOW_MS, "n") is None, "not again and again"

    def test_a_batch_that_was_removed_by_hand_leaves_a_letter_without_a_payload(self) -> None:
        office = self.office()
        office.store.delete([LAYOUT.source(path(1, 3))])
        office.cycle()
        (letter,) = self.letters(office)
        assert (letter.payload, letter.failures) == (b"", self.HISTORY)
        assert office.stored_board().sources[path(1, 3)].settled == 3

    def chore(self, office: Office) -> Step[bool]:
        """The next one of its leader."""
        office.lead.chores.letters.follow(office.lead.board)
        step = office.lead.chores.take(office.now, NOW_MS, "n")
        assert step is not None
        return step

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
