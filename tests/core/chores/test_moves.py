"""Store the sources that moves name."""

from __future__ import annotations

import msgspec
import pytest
from msgspec import Raw
from msgspec.structs import replace
from s3queue_backends.memory import MemoryStore

from s3queue.core.chores import moves
from s3queue.core.chores.letter import dead_letter
from s3queue.core.chores.moves import Moves
from s3queue.core.chores.troubles import Troubles
from s3queue.core.keys import moved_batch, moved_path, parse_source
from s3queue.core.ops import Gather, Missed, Put, Unknown
from s3queue.core.records import (
    Board,
    Failure,
    Memo,
    Message,
    Moved,
    SourceState,
    decode_batch,
    decode_message,
    decode_moved,
    encode_batch,
    encode_message,
)
from s3queue.errors import StoreDenied
from s3queue.store import Found, Stored
from tests.core.hands import Hand
from tests.core.world import LAYOUT, NOW_MS, board, error, path

FAILED = (error(1, "ValueError: no"),)


def message(number: int, size: int = 0) -> Raw:
    return encode_message(Message("send", Raw(msgspec.msgpack.encode([number, "x" * size])), {"trace": str(number)}))


def stored(store: MemoryStore, source: str, *messages: Raw, sent_ms: int = 5) -> None:
    assert isinstance(store.put(LAYOUT.source(source), encode_batch(list(messages), sent_ms), if_version=None), Stored)


def target_of(source: str, count: int, number: int = 1) -> str:
    batch = moved_batch(1, number)
    return moved_path(parse_source(source), due_ms=NOW_MS, batch=batch, count=count, attempt=2, alone=False)


def moving(*members: tuple[str, int], number: int = 1, failures: tuple[Failure, ...] = FAILED) -> tuple[Board, str]:
    """A board that moves these messages, each of which failed once."""
    target = target_of(members[0][0], len(members), number)
    states = {
        source: SourceState(failures={index: failures for one, index in members if one == source})
        for source, _ in members
    }
    return board(states=states, moves={target: members}), target


def chore(of: Board) -> tuple[Moves, Troubles]:
    troubles = Troubles()
    chores = Moves(LAYOUT, troubles)
    chores.follow(of)
    return chores, troubles


def body(store: MemoryStore, target: str) -> bytes:
    found = store.get(LAYOUT.source(target))
    assert isinstance(found, Found)
    return found.body


class TestCopies:
    def test_what_attempts_have_noted_goes_along_and_further(self) -> None:
        store, source, memo = MemoryStore(), path(1, 2), Memo(3.0, 10.0, "half")
        stored(store, source, *map(message, range(2)))
        of, target = moving((source, 0), (source, 1))
        chores, _ = chore(replace(of, memos={source: {1: memo}}))
        step = chores.take(0.0)
        assert step is not None
        assert Hand(step, store).finish()
        again, further = moving((target, 1), (target, 0), number=2)
        chores, _ = chore(again)
        step = chores.take(0.0)
        assert step is not None
        assert Hand(step, store).finish()
        for at, expected in ((target, [None, memo]), (further, [memo, None])):
            origins = [decode_moved(at, raw).origin for raw in decode_batch(at, body(store, at)).messages]
            assert [None if one is None else one.memo for one in origins] == expected

    def test_messages_arrive_as_they_were_and_know_where_they_come_from(self) -> None:
        store, first, second = MemoryStore(), path(1, 3), path(2)
        stored(store, first, *map(message, range(3)), sent_ms=7)
        stored(store, second, message(9), sent_ms=8)
        of, target = moving((first, 2), (second, 0))
        chores, _ = chore(of)
        step = chores.take(0.0)
        assert step is not None
        assert Hand(step, store).finish()
        assert chores.parking.stored == {target}
        messages = decode_batch(target, body(store, target)).messages
        assert [decode_message(target, raw) for raw in messages] == [
            decode_message(target, message(number)) for number in (2, 9)
        ]
        origins = [decode_moved(target, raw).origin for raw in messages]
        assert [(one.message, one.sent_ms, one.failures) for one in origins if one is not None] == [
            (LAYOUT.message_id(first, 2), 7, FAILED),
            (LAYOUT.message_id(second, 0), 8, FAILED),
        ]
        assert chores.done == [(target, [LAYOUT.message_id(first, 2), LAYOUT.message_id(second, 0)])]

    def test_one_that_moves_again_keeps_its_first_id_and_all_of_its_history(self) -> None:
        store, source = MemoryStore(), path(1)
        stored(store, source, message(0))
        of, target = moving((source, 0))
        first = chore(of)[0].take(0.0)
        assert first is not None
        Hand(first, store).finish()
        of, second = moving((target, 0), number=2, failures=(error(2, "ValueError: again"),))
        again = chore(of)[0].take(0.0)
        assert again is not None
        Hand(again, store).finish()
        (raw,) = decode_batch(second, body(store, second)).messages
        origin = decode_moved(second, raw).origin
        assert origin is not None
        assert origin.message == LAYOUT.message_id(source, 0)
        assert [one.attempt for one in origin.failures] == [1, 2]

    def test_the_letter_of_one_that_was_moved_has_its_first_id_and_all_of_its_history(self) -> None:
        store, source = MemoryStore(), path(1)
        stored(store, source, message(0), sent_ms=77)
        of, target = moving((source, 0))
        step = chore(of)[0].take(0.0)
        assert step is not None
        Hand(step, store).finish()
        found = store.get(LAYOUT.source(target))
        assert isinstance(found, Found)
        letter = dead_letter(LAYOUT, target, 0, found, (error(2), error(3)), "n", NOW_MS)
        assert letter.message == LAYOUT.message_id(source, 0)
        assert [one.attempt for one in letter.failures] == [1, 2, 3]
        assert (letter.attempt, letter.sent_ms, letter.task, letter.raw) == (3, 77, "send", False)

    def test_a_message_that_was_never_moved_takes_no_byte_more(self) -> None:
        plain = Message("t", Raw(b"\xc0"), {})
        assert bytes(encode_message(plain)) == msgspec.msgpack.encode(["t", None, {}])
        assert decode_moved("k", encode_message(plain)) == Moved("t", Raw(b"\xc0"), {}, None)


class TestWhatGoesWrong:
    def test_two_coordinators_store_the_same_and_both_know_it(self) -> None:
        store, source = MemoryStore(), path(1)
        stored(store, source, message(0))
        of, target = moving((source, 0))
        for _ in range(2):
            chores, _ = chore(of)
            step = chores.take(0.0)
            assert step is not None
            assert Hand(step, store).finish()
            assert chores.parking.stored == {target}

    def test_half_an_object_under_its_name_is_no_copy(self) -> None:
        store, source = MemoryStore(), path(1)
        stored(store, source, message(0))
        of, target = moving((source, 0))
        store.put(LAYOUT.source(target), b"", if_version=None)
        chores, _ = chore(of)
        step = chores.take(0.0)
        assert step is not None
        assert Hand(step, store).finish()
        assert (chores.parking.stored, chores.parking.refused) == (set(), {target})

    def test_a_put_without_an_answer_is_sent_again_later(self) -> None:
        store, source = MemoryStore(), path(1)
        stored(store, source, message(0))
        of, target = moving((source, 0))
        chores, troubles = chore(of)
        step = chores.take(0.0)
        assert step is not None
        hand = Hand(step, store)
        hand.until(Put)
        hand.tell(Unknown())
        assert not hand.finish()
        assert chores.parking.stored == set()
        assert chores.take(0.0) is None
        later = chores.take(troubles.next_at(0.0) + 0.01)
        assert later is not None
        assert Hand(later, store).finish()
        assert chores.parking.stored == {target}

    @pytest.mark.parametrize("damage", [b"", None])
    def test_a_source_of_which_nothing_can_be_read_stays_on_the_board(self, damage: bytes | None) -> None:
        store, source = MemoryStore(), path(1)
        if damage is not None:
            store.put(LAYOUT.source(source), damage, if_version=None)
        of, target = moving((source, 0))
        chores, _ = chore(of)
        step = chores.take(0.0)
        assert step is not None
        assert Hand(step, store).finish()
        assert (chores.parking.refused, chores.parking.unmovable) == ({target}, {source})

    def test_a_source_that_is_refused_again_and_again_holds_up_nobody(self) -> None:
        of, target = moving((path(1), 0))
        chores, troubles = chore(of)
        now = 0.0
        for news in (False, True):
            step = chores.take(now)
            assert step is not None
            hand = Hand(step)
            assert isinstance(hand.op, Gather)
            hand.tell([Missed(StoreDenied("get", "x"))])
            assert hand.result is news
            now = troubles.next_at(now) + 0.01
        assert (chores.parking.refused, chores.parking.unmovable) == ({target}, {path(1)})

    def test_what_does_not_fit_one_object_is_moved_in_smaller_ones(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(moves, "_MOST_BYTES", 5000)
        store = MemoryStore()
        sources = [path(order) for order in range(9)]
        for number, source in enumerate(sources):
            stored(store, source, message(number, size=1000))
        of, target = moving(*((source, 0) for source in sources))
        chores, _ = chore(of)
        step = chores.take(0.0)
        assert step is not None
        assert Hand(step, store).finish()
        assert chores.parking.refused == {target}
        assert 2 <= chores.parking.most <= 4

    def test_one_message_always_fits(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(moves, "_MOST_BYTES", 10)
        store = MemoryStore()
        stored(store, path(1), message(0, size=1000))
        of, target = moving((path(1), 0))
        chores, _ = chore(of)
        step = chores.take(0.0)
        assert step is not None
        assert Hand(step, store).finish()
        assert chores.parking.stored == {target}

    def test_large_sources_are_read_few_at_a_time(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(moves, "_MOST_BYTES", 30_000)
        store = MemoryStore()
        sources = [path(order) for order in range(40)]
        for number, source in enumerate(sources):
            stored(store, source, message(number, size=10_000))
        of, _ = moving(*((source, 0) for source in sources))
        step = chore(of)[0].take(0.0)
        assert step is not None
        hand = Hand(step, store)
        hand.finish()
        assert max(len(op.reads) for op in hand.asked if isinstance(op, Gather)) <= 3
