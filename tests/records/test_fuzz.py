"""Bytes that nobody wrote: they are a record or a `CorruptRecord`, and never anything else."""

from __future__ import annotations

from contextlib import suppress

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from s3queue.core.keys import parse_message_id, parse_source
from s3queue.core.ops import carries
from s3queue.errors import CorruptRecord
from s3queue.store import Found
from tests.records.kinds import FORMS, Form

ids = pytest.mark.parametrize("form", FORMS, ids=lambda form: form.name)


@ids
@settings(max_examples=150, deadline=None)
@given(body=st.binary(max_size=64))
def test_noise(form: Form, body: bytes) -> None:
    with suppress(CorruptRecord):
        form.read(body)


@ids
@settings(max_examples=80, deadline=None)
@given(data=st.data())
def test_damaged_record(form: Form, data: st.DataObject) -> None:
    body = bytearray(data.draw(form.written))
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(body)))
        match data.draw(st.sampled_from(["change", "cut", "insert", "repeat"])):
            case "change" if at < len(body):
                body[at] = data.draw(st.integers(0, 255))
            case "cut":
                del body[at : at + data.draw(st.integers(1, 8))]
            case "insert":
                body[at:at] = data.draw(st.binary(max_size=6))
            case _:
                body[at:at] = body[at : at + data.draw(st.integers(1, 20))]
    with suppress(CorruptRecord):
        form.read(bytes(body))


@ids
@settings(max_examples=100, deadline=None)
@given(
    st.recursive(
        st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.floats() | st.text(max_size=4),
        lambda inner: (
            st.lists(inner, max_size=4)
            | st.dictionaries(
                st.sampled_from(
                    ["format", "nonce", "session", "tickets", "sources", "reports", "messages", "sent_ms", "x"]
                ),
                inner,
                max_size=5,
            )
        ),
        max_leaves=12,
    )
)
def test_well_formed_and_of_the_wrong_shape(form: Form, value: object) -> None:
    for encode in (msgspec.json.encode, msgspec.msgpack.encode):
        with suppress(CorruptRecord):
            form.read(encode(value))


@ids
@pytest.mark.parametrize(
    "opening", [b"[", b'{"a":', b"\x91", b"\x81\xa1a", b"\xdd\xff\xff\xff\xff", b"\xdf\xff\xff\xff\xff"]
)
def test_nested_or_announced_without_end(form: Form, opening: bytes) -> None:
    with suppress(CorruptRecord):
        form.read(opening * 50_000)


@settings(max_examples=300, deadline=None)
@given(
    st.text(max_size=60) | st.from_regex(r"(in|later)/.{0,40}") | st.from_regex(r"p00~in~q~5~[0-9]{13}-a-1~[0-9٣²]+")
)
def test_key_that_nobody_made(key: str) -> None:
    with suppress(CorruptRecord):
        parse_source(key)
    with suppress(CorruptRecord):
        parse_message_id(key)


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=60))
def test_whose_write_it_is_can_be_asked_of_anything(body: bytes) -> None:
    assert not carries(Found(body, "v"), "a nonce")
