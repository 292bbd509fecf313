from __future__ import annotations

import pytest
from msgspec import Raw, msgpack

from s3queue.core.keys import parse_source
from s3queue.core.ops import Get, Put, Unknown
from s3queue.core.produce import Accepted, Unanswered, enqueue, ensure_meta, new_batch
from s3queue.core.records import Message, QueueMeta, decode_batch, decode_message, encode, encode_message
from s3queue.errors import ConfigError, CorruptRecord, StoreUnavailable
from s3queue.store import Conflict, Found, Missing, Stored
from tests.core.hands import Hand
from tests.core.world import LAYOUT, NOW_MS

MESSAGES = [encode_message(Message("t", Raw(msgpack.encode(index)), {"h": "x"})) for index in range(3)]
OUTGOING = new_batch("q", MESSAGES, sent_ms=NOW_MS, batch="0a")
PUT = Put(LAYOUT.source(OUTGOING.path), OUTGOING.body, None)


class TestNewBatch:
    def test_the_key_says_what_the_body_holds(self) -> None:
        out = new_batch("q", MESSAGES, sent_ms=NOW_MS, batch="0a", priority=2, group="g/1", due_ms=NOW_MS + 5)
        source = parse_source(out.path)
        assert (source.queue, source.count, source.priority, source.group, source.due_ms) == (
            "q",
            3,
            2,
            "g/1",
            NOW_MS + 5,
        )
        batch = decode_batch(out.path, out.body)
        assert (len(batch.messages), batch.sent_ms, out.count) == (3, NOW_MS, 3)
        assert decode_message("k", batch.messages[1]) == Message("t", Raw(b"\x01"), {"h": "x"})

    @pytest.mark.parametrize("messages", [[], MESSAGES * 334])
    def test_an_empty_or_oversized_batch_is_refused(self, messages: list[Raw]) -> None:
        with pytest.raises(ConfigError):
            new_batch("q", messages, sent_ms=NOW_MS, batch="0a")


class TestEnqueue:
    @pytest.mark.parametrize("answer", [Stored("v"), Conflict()])
    def test_stored_now_or_by_an_earlier_try_it_is_accepted(self, answer: object) -> None:
        hand = Hand(enqueue(LAYOUT, OUTGOING))
        assert hand.op == PUT
        hand.tell(answer)
        if isinstance(answer, Conflict):
            assert hand.op == Get(PUT.key)
            hand.tell(Found(OUTGOING.body, "v"))
        assert hand.result == Accepted()

    def conflict(self, found: Found | Missing) -> Hand[Accepted | Unanswered]:
        hand = Hand(enqueue(LAYOUT, OUTGOING))
        assert hand.tell(Conflict()) == Get(PUT.key)
        hand.tell(found)
        return hand

    def test_an_earlier_try_that_was_settled_meanwhile_is_accepted(self) -> None:
        assert self.conflict(Missing()).result == Accepted()

    @pytest.mark.parametrize("size", [0, 1, len(OUTGOING.body) - 1])
    @pytest.mark.parametrize(
        ("answer", "result"), [(Stored("w"), Accepted()), (Conflict(), Unanswered()), (Unknown(), Unanswered())]
    )
    def test_an_earlier_try_that_was_cut_short_is_put_right_and_not_taken_for_stored(
        self, size: int, answer: object, result: object
    ) -> None:
        hand = self.conflict(Found(OUTGOING.body[:size], "cut"))
        assert hand.op == Put(PUT.key, OUTGOING.body, "cut")
        hand.tell(answer)
        assert hand.result == result

    def test_a_look_at_an_earlier_try_that_fails_does_not_say_that_nothing_is_stored(self) -> None:
        step = enqueue(LAYOUT, OUTGOING)
        assert next(step) == PUT
        assert step.send(Conflict()) == Get(PUT.key)
        with pytest.raises(StopIteration) as end:
            step.throw(StoreUnavailable("get", PUT.key))
        assert end.value.value == Unanswered()

    def test_something_else_under_its_key_is_not_taken_for_it(self) -> None:
        with pytest.raises(CorruptRecord, match="not stored"):
            self.conflict(Found(b"something else", "v"))

    def test_unanswered_it_is_the_caller_who_sends_the_very_same_again(self) -> None:
        hand = Hand(enqueue(LAYOUT, OUTGOING))
        hand.tell(Unknown())
        assert hand.result == Unanswered()
        assert Hand(enqueue(LAYOUT, OUTGOING)).op == PUT

    def test_unavailable(self) -> None:
        Hand(enqueue(LAYOUT, OUTGOING)).lose()


class TestMeta:
    WANTED = QueueMeta("ours", order="lifo")
    THEIRS = QueueMeta("theirs", order="fifo")
    KEY = LAYOUT.meta("q")

    def begin(self) -> Hand[QueueMeta | Unanswered]:
        hand = Hand(ensure_meta(LAYOUT, "q", self.WANTED))
        assert hand.op == Get(self.KEY)
        return hand

    def create(self) -> Hand[QueueMeta | Unanswered]:
        hand = self.begin()
        assert hand.tell(Missing()) == Put(self.KEY, encode(self.WANTED), None)
        return hand

    def test_what_is_stored_holds(self) -> None:
        hand = self.begin()
        hand.tell(Found(encode(self.THEIRS), "v"))
        assert hand.result == self.THEIRS

    def test_the_first_user_decides(self) -> None:
        hand = self.create()
        hand.tell(Stored("v"))
        assert hand.result == self.WANTED

    def test_of_two_first_users_the_faster_decides(self) -> None:
        hand = self.create()
        for answer in (Conflict(), *[Found(encode(self.THEIRS), "v")] * 2):
            hand.tell(answer)
        assert hand.result == self.THEIRS

    def test_unanswered_and_it_landed(self) -> None:
        hand = self.create()
        hand.tell(Unknown())
        hand.tell(Found(encode(self.WANTED), "v"))
        assert hand.result == self.WANTED

    def test_never_answered_what_stands_there_holds(self) -> None:
        hand = self.create()
        for _ in range(3):
            hand.tell(Unknown())
            hand.tell(Missing())
        hand.tell(Found(encode(self.THEIRS), "v"))
        assert hand.result == self.THEIRS

    def test_settings_that_are_not_known_to_be_stored_do_not_hold(self) -> None:
        hand = self.create()
        for _ in range(3):
            hand.tell(Unknown())
            hand.tell(Missing())
        hand.tell(Missing())
        assert hand.result == Unanswered()

    def test_settings_that_cannot_be_read_are_left_alone(self) -> None:
        with pytest.raises(CorruptRecord):
            self.begin().tell(Found(b'{"format":2,"nonce":""}', "v"))

    def test_unavailable_in_the_middle(self) -> None:
        self.begin().lose()
        self.create().lose()
