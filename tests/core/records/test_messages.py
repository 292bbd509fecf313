from __future__ import annotations

import pytest
from msgspec import Raw, msgpack

from s3queue.core.records import (
    Message,
    decode_batch,
    decode_message,
    encode_batch,
    encode_message,
)
from s3queue.errors import CorruptRecord


class TestBatches:
    def test_payloads_stay_as_the_producer_encoded_them(self) -> None:
        payload = Raw(msgpack.encode({"a": [1, 2.5, b"x"]}))
        batch = decode_batch("k", encode_batch([encode_message(Message("t", payload))], 5))
        assert bytes(decode_message("k", batch.messages[0]).payload) == bytes(payload)

    @pytest.mark.parametrize(
        "body",
        [b"", b"\xc1", msgpack.encode({"messages": [], "sent_ms": 1, "format": 2}), msgpack.encode([1]),
         msgpack.encode({"messages": 5, "sent_ms": 1, "format": 1}), b"\x82\xa6format\x01\xa1x\xa1\xff"],
    )  # fmt: skip
    def test_a_batch_that_cannot_be_read_is_corrupt(self, body: bytes) -> None:
        with pytest.raises(CorruptRecord):
            decode_batch("k", body)

    @pytest.mark.parametrize("body", [b"", b"\xc1", b"\x91\xa1\xff", msgpack.encode({})])
    def test_a_message_that_cannot_be_read_is_corrupt(self, body: bytes) -> None:
        with pytest.raises(CorruptRecord):
            decode_message("k", Raw(body))
