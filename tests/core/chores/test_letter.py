from __future__ import annotations

from msgspec import Raw, msgpack

from s3queue.core.chores.letter import dead_letter
from s3queue.core.records import DeadLetter, Ending, Failure, Message, encode_batch, encode_message
from s3queue.store import Found, Missing
from tests.core.world import LAYOUT, NOW_MS, path

SOURCE = path(1, 4)
FAILURES = (Failure(1, "error", "a"), Failure(2, "killed", "b"))


def letter(index: int, body: bytes | None, how: str = "dead", source: str = SOURCE) -> DeadLetter:
    found = Missing() if body is None else Found(body, "v")
    return dead_letter(LAYOUT, source, index, found, FAILURES, "n", NOW_MS, ending=Ending(how))


def batch(*payloads: object) -> bytes:
    return encode_batch([encode_message(Message("t", Raw(msgpack.encode(one)), {"h": "x"})) for one in payloads], 9)


def test_it_holds_the_payload_as_enqueued_and_for_reading_and_its_history() -> None:
    payload = msgpack.encode({"a": 1})
    assert letter(1, batch("x", {"a": 1})) == DeadLetter(
        "n",
        LAYOUT.message_id(SOURCE, 1),
        "q",
        task="t",
        attempt=2,
        failures=FAILURES,
        payload=payload,
        preview='{"a":1}',
        headers={"h": "x"},
        sent_ms=9,
        died_ms=NOW_MS,
    )


def test_a_payload_that_json_cannot_say_has_no_preview() -> None:
    assert letter(0, batch({(1, 2): 3})).preview == ""
    assert letter(0, batch(b"\xff")).payload == msgpack.encode(b"\xff")


def test_a_long_preview_is_cut() -> None:
    assert len(letter(0, batch("x" * 99_999)).preview) == 10_000


def test_of_a_batch_that_is_gone_the_history_is_kept() -> None:
    found = letter(1, None)
    assert (found.message, found.failures, found.payload) == (LAYOUT.message_id(SOURCE, 1), FAILURES, b"")


def test_a_batch_that_cannot_be_decoded_is_one_raw_letter_whichever_message_died() -> None:
    letters = [letter(index, b"junk") for index in range(4)]
    assert {(one.message, one.payload, one.raw) for one in letters} == {(LAYOUT.message_id(SOURCE, 0), b"junk", True)}


def test_a_message_that_cannot_be_decoded_does_not_take_the_letter_of_a_neighbour() -> None:
    body = encode_batch([encode_message(Message("t", Raw(b"\x01"))), Raw(b"\xa1x")], 9)
    good, bad = letter(0, body), letter(1, body)
    assert good.message != bad.message
    assert (bad.message, bad.payload, bad.raw) == (LAYOUT.message_id(SOURCE, 1), b"\xa1x", True)


def test_messages_that_a_batch_lacks_are_one_raw_letter_that_takes_no_neighbours() -> None:
    body = batch("only", "two")
    letters = [letter(index, body) for index in range(4)]
    assert [one.message for one in letters] == [LAYOUT.message_id(SOURCE, index) for index in (0, 1, 2, 2)]
    assert [one.raw for one in letters] == [False, False, True, True]
    assert letters[3].payload == body


def test_a_cancelled_message_that_cannot_be_decoded_is_no_dead_letter() -> None:
    body = encode_batch([encode_message(Message("t", Raw(b"\x01"))), Raw(b"\xa1x")], 9)
    bad = letter(1, body, "cancelled")
    assert (bad.message, bad.tombstone, bad.ending, bad.raw) == (LAYOUT.message_id(SOURCE, 1), True, "cancelled", True)


def test_a_cancelled_message_of_a_batch_that_cannot_be_decoded_takes_no_id_of_those_that_die() -> None:
    first, *others = (letter(index, b"junk", "cancelled") for index in range(4))
    assert (first.tombstone, first.raw, first.payload) == (False, True, b"junk")
    assert [(one.tombstone, one.ending) for one in others] == [(True, "cancelled")] * 3
    assert [one.message for one in others] == [LAYOUT.message_id(SOURCE, index) for index in (1, 2, 3)]


def test_the_only_message_that_cannot_be_decoded_is_no_dead_letter_if_it_was_cancelled() -> None:
    alone = path(1, 1)
    found = letter(0, b"junk", "cancelled", alone)
    assert (found.message, found.tombstone) == (LAYOUT.message_id(alone, 0), True)
    assert letter(3, batch(1, 2, 3), "cancelled").tombstone
