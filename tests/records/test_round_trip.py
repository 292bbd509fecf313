"""What is written is read back as it was."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import Raw

from s3queue.core.keys import Layout, parse_message_id, parse_source
from s3queue.core.records import (
    FORMAT,
    Message,
    decode,
    decode_batch,
    decode_message,
    encode,
    encode_batch,
    encode_message,
)
from tests.records.kinds import KINDS, MESSAGES, RECORDS, _paths


@pytest.mark.parametrize("name", RECORDS)
@settings(max_examples=40, deadline=None)
@given(data=st.data())
def test_record_is_read_back_as_it_was(name: str, data: st.DataObject) -> None:
    record = data.draw(RECORDS[name])
    assert decode(KINDS[name], "key", encode(record)) == record


@pytest.mark.parametrize("name", RECORDS)
@settings(max_examples=30, deadline=None)
@given(data=st.data())
def test_equal_records_have_equal_bytes_that_name_their_format(name: str, data: st.DataObject) -> None:
    body = encode(data.draw(RECORDS[name]))
    assert encode(decode(KINDS[name], "key", body)) == body
    assert msgspec.json.decode(body)["format"] == FORMAT


@pytest.mark.parametrize("name", RECORDS)
@settings(max_examples=30, deadline=None)
@given(
    data=st.data(), later=st.dictionaries(st.text("xyz_", min_size=6, max_size=9), st.integers(0, 9) | st.text("ab"))
)
def test_fields_of_a_later_release_change_nothing(name: str, data: st.DataObject, later: dict[str, Any]) -> None:
    record = data.draw(RECORDS[name])
    body = msgspec.json.encode(msgspec.json.decode(encode(record)) | later)
    assert decode(KINDS[name], "key", body) == record


@settings(max_examples=40, deadline=None)
@given(st.lists(MESSAGES, max_size=5), st.integers(0, 2**53))
def test_messages_and_their_payloads_survive_untouched(messages: list[Message], sent_ms: int) -> None:
    body = encode_batch([encode_message(message) for message in messages], sent_ms)
    batch = decode_batch("key", body)
    found = [decode_message("key", raw) for raw in batch.messages]
    assert batch.sent_ms == sent_ms
    assert [(one.task, bytes(one.payload), one.headers) for one in found] == [
        (one.task, bytes(one.payload), one.headers) for one in messages
    ]


@settings(max_examples=40, deadline=None)
@given(MESSAGES, st.lists(st.integers(0, 9) | st.text("ab"), max_size=2))
def test_message_with_fields_of_a_later_release_is_read(message: Message, later: list[Any]) -> None:
    fields = [message.task, message.payload, message.headers, *later]
    assert decode_message("key", Raw(msgspec.msgpack.encode(fields))).task == message.task


@settings(max_examples=100, deadline=None)
@given(_paths, st.data())
def test_key_says_what_it_was_made_of(path: str, data: st.DataObject) -> None:
    source = parse_source(path)
    index = data.draw(st.integers(0, source.count - 1))
    ref = parse_message_id(Layout().message_id(path, index))
    assert (ref.part, ref.path, ref.index) == ("p00", path, index)
