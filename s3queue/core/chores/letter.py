"""Dead letters: the record, for people, of a message that is out of attempts."""

from __future__ import annotations

import msgspec
from msgspec.structs import replace

from s3queue.core.keys import Layout, parse_source
from s3queue.core.records import DeadLetter, Failure, Origin, decode_batch, decode_moved
from s3queue.core.settle import shortened
from s3queue.errors import CorruptRecord
from s3queue.store import Found, Missing


def dead_letter(
    layout: Layout,
    path: str,
    index: int,
    body: Found | Missing,
    failures: tuple[Failure, ...],
    nonce: str,
    now_ms: int,
    *,
    cancelled: bool = False,
) -> DeadLetter:
    """The letter of one dead message, with as much of it as can be read.

    A batch that cannot be decoded gets one letter for all its messages, under the id of the first. A batch with fewer
    messages than its key says gets one letter for the missing ones, under the id of the first of them. So each letter of
    a source has its own id. A message that was moved off the board keeps its first id and its whole history.
    """
    letter = DeadLetter(
        nonce,
        layout.message_id(path, index),
        parse_source(path).queue,
        attempt=failures[-1].attempt if failures else 0,
        failures=failures,
        died_ms=now_ms,
    )
    ended = replace(letter, tombstone=cancelled, ending="cancelled" if cancelled else "")
    if isinstance(body, Missing):
        return ended
    try:
        batch = decode_batch(path, body.body)
    except CorruptRecord:
        return replace(letter, message=layout.message_id(path, 0), payload=body.body, raw=True)
    if index >= len(batch.messages):
        first = layout.message_id(path, len(batch.messages))
        return replace(letter, message=first, payload=body.body, raw=True)
    try:
        message = decode_moved(path, batch.messages[index])
    except CorruptRecord:
        return replace(letter, payload=bytes(batch.messages[index]), raw=True, sent_ms=batch.sent_ms)
    origin = message.origin or Origin(letter.message, batch.sent_ms)
    failures = shortened((*origin.failures, *failures))
    return replace(
        ended,
        message=origin.message,
        attempt=failures[-1].attempt if failures else 0,
        failures=failures,
        task=message.task,
        payload=bytes(message.payload),
        preview=_preview(bytes(message.payload)),
        headers=message.headers,
        sent_ms=origin.sent_ms,
    )


def _preview(payload: bytes) -> str:
    try:
        return msgspec.json.encode(msgspec.msgpack.decode(payload)).decode()[:10_000]
    except (msgspec.MsgspecError, TypeError, ValueError, RecursionError):
        return ""
