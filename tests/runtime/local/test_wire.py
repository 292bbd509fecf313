"""Notes between the processes of a machine."""

from __future__ import annotations

import typing

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from s3queue.core.records import Failed, Failure, Memo, Part
from s3queue.runtime.local import wire
from s3queue.runtime.local.wire import Deframer, Died, FailedNote, Finished, Note, Noted, Returned, frame, pack, unpack

KINDS: tuple[type[Note], ...] = typing.get_args(Note)
FULL: list[Note] = [
    wire.Deal(3, "7-9", "q", (Part("in/q/5/1-1-3", 0, 3, 2),), 1, {1: Memo(1.0, 2.0, "half", b"\x80")}, begun=True),
    FailedNote(1, 2, Failed("retry", 1.5, Failure(1, "error", "nö", 7))),
    Noted(1, 2, Memo(3.0)),
    Died(0, 77, "time_limit", "too long", ((1, 2), (1, 3))),
    Returned(((0, 1), (2, 3))),
    Finished(1, 0.25, 0.125),
]


@pytest.mark.parametrize("note", FULL, ids=lambda note: type(note).__name__)
def test_note_arrives_as_it_was_sent(note: Note) -> None:
    assert unpack(pack(note)) == note
    assert Deframer().feed(frame(note)) == [note]


def test_every_kind_is_told_from_the_others() -> None:
    tags = [kind.__struct_config__.tag for kind in KINDS]
    assert len(set(tags)) == len(KINDS) > 20


@given(st.lists(st.sampled_from(FULL), max_size=6), st.lists(st.integers(1, 40), min_size=1, max_size=20))
def test_stream_that_is_cut_anywhere_is_put_together_again(notes: list[Note], cuts: list[int]) -> None:
    data, deframer, found, at = b"".join(map(frame, notes)), Deframer(), list[Note](), 0
    while at < len(data):
        for size in cuts:
            found += deframer.feed(data[at : at + size])
            at += size
    assert found == notes


def test_part_of_a_note_is_kept_and_nothing_is_told_of_it() -> None:
    data = frame(FULL[0])
    deframer = Deframer()
    assert deframer.feed(b"") == []
    assert deframer.feed(data[:-1]) == []
    assert deframer.feed(data[-1:] + data[:3]) == [FULL[0]]
    assert deframer.feed(data[3:]) == [FULL[0]]


@pytest.mark.parametrize(
    "body", [b"", b"\xc1", msgspec.msgpack.encode(["Nonsense"]), msgspec.msgpack.encode(["Deal", "x"])]
)
def test_what_is_no_note_is_an_error(body: bytes) -> None:
    with pytest.raises(msgspec.DecodeError):
        unpack(body)
    with pytest.raises(msgspec.DecodeError):
        Deframer().feed(len(body).to_bytes(4, "little") + body)
