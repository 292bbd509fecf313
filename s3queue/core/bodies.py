"""The messages of a source, whatever object they are read from."""

from __future__ import annotations

from msgspec import Raw
from msgspec.structs import replace

from s3queue.core.keys import BORROWED, Layout, parse_source
from s3queue.core.ops import Step, get
from s3queue.core.records import Batch, DeadLetter, Message, decode, decode_batch, encode, encode_message
from s3queue.errors import CorruptRecord
from s3queue.store import Found

__all__ = ["batch_in", "with_payload"]


def batch_in(path: str, key: str, body: bytes) -> Batch:
    """The messages of this source, still encoded, by the content of the object that `Layout.source` names.

    A schedule is stored as a batch of one message. A further life of a dead message is read from its letter, see
    `with_payload`.

    Raises:
        CorruptRecord: it cannot be decoded.
    """
    if not path.startswith(BORROWED) or parse_source(path).kind != "dead":
        return decode_batch(key, body)
    letter = decode(DeadLetter, key, body)
    if letter.raw or letter.tombstone or letter.payload_at:
        raise CorruptRecord(
            key, f"no letter of which a message could run: {letter.ending or 'its payload is not there'}"
        )
    message = encode_message(Message(letter.task, Raw(letter.payload), letter.headers))
    return Batch([message], letter.sent_ms)


def with_payload(layout: Layout, path: str, key: str, body: bytes) -> Step[bytes]:
    """The object of a source, with all that `batch_in` needs in it.

    Args:
        path: of the source. key, body: of its object.

    Asks: nothing; one Get where its payload is in an object of its own.
    """
    if parse_source(path).kind != "dead":
        return body
    letter = decode(DeadLetter, key, body)
    if not letter.payload_at:
        return body
    found = yield from get(layout.payload(letter.queue, letter.message, letter.payload_at))
    if not isinstance(found, Found):
        return body
    return encode(replace(letter, payload=found.body, payload_at=0))
