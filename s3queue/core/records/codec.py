"""Encodes and decodes records. For bytes that are no such record it raises `CorruptRecord`, and nothing else."""

from __future__ import annotations

import re
from typing import Any, TypeVar

import msgspec
from msgspec import Raw, Struct

from s3queue.core.records.board import Board
from s3queue.core.records.control import Control
from s3queue.core.records.format import FORMAT
from s3queue.core.records.gates import Gate
from s3queue.core.records.ledger import Ledger
from s3queue.core.records.letters import DeadLetter
from s3queue.core.records.messages import Batch, Message, Moved
from s3queue.core.records.pages import RetiredPage
from s3queue.core.records.queues import QueueMeta
from s3queue.core.records.requests import Answer, LetterRequest, Request
from s3queue.core.records.results import Result
from s3queue.core.records.summary import Summary
from s3queue.errors import CorruptRecord

R = TypeVar("R", bound=Struct)


class _Head(Struct):
    format: int = 0


_to_json = msgspec.json.Encoder().encode
_to_msgpack = msgspec.msgpack.Encoder().encode
_json_head = msgspec.json.Decoder(_Head).decode
_json: dict[type[Struct], Any] = {
    kind: msgspec.json.Decoder(kind).decode
    for kind in (
        Board,
        Gate,
        Control,
        Ledger,
        RetiredPage,
        DeadLetter,
        QueueMeta,
        Request,
        LetterRequest,
        Answer,
        Summary,
    )
}
_batch = msgspec.msgpack.Decoder(Batch).decode
_batch_head = msgspec.msgpack.Decoder(_Head).decode
_message = msgspec.msgpack.Decoder(Message).decode
_moved = msgspec.msgpack.Decoder(Moved).decode
_result = msgspec.msgpack.Decoder(Result).decode
_TICKET = re.compile(r"[0-9]{1,10}-[0-9]{1,10}")
#: What decoders raise; UnicodeDecodeError, for a string that is not UTF-8, is no DecodeError.
UNREADABLE = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)


def encode(record: Struct) -> bytes:
    """The JSON form. Defaults that a reader would supply are left out; ``format`` never is, since it has a factory."""
    return _to_json(record)


def decode(kind: type[R], key: str, body: bytes) -> R:
    """Raises `CorruptRecord`: not JSON, not this kind of record, or of a format that this release does not know."""
    try:
        version = _json_head(body).format
        if version != FORMAT:
            raise CorruptRecord(key, f"format {version}, and this release reads format {FORMAT}: upgrade s3queue here")
        record: R = _json[kind](body)
    except UNREADABLE as wrong:
        raise CorruptRecord(key, f"cannot be decoded as {kind.__name__}: {wrong}") from wrong
    return record


def encode_batch(messages: list[Raw], sent_ms: int) -> bytes:
    return _to_msgpack(Batch(messages, sent_ms))


def encode_message(message: Message) -> Raw:
    return Raw(_to_msgpack(message))


def decode_batch(key: str, body: bytes) -> Batch:
    """The batch with its messages still encoded. Raises `CorruptRecord`."""
    try:
        version = _batch_head(body).format
        if version != FORMAT:
            raise CorruptRecord(key, f"format {version}, and this release reads format {FORMAT}: upgrade s3queue here")
        return _batch(body)
    except UNREADABLE as wrong:
        raise CorruptRecord(key, f"cannot be decoded as a batch: {wrong}") from wrong


def decode_message(key: str, raw: Raw) -> Message:
    """Raises `CorruptRecord`."""
    try:
        return _message(raw)
    except UNREADABLE as wrong:
        raise CorruptRecord(key, f"not a message: {wrong}") from wrong


def decode_moved(key: str, raw: Raw) -> Moved:
    """A message with its origin, which is None where it was not moved off the board. Raises `CorruptRecord`."""
    try:
        return _moved(raw)
    except UNREADABLE as wrong:
        raise CorruptRecord(key, f"not a message: {wrong}") from wrong


def encode_result(result: Result) -> bytes:
    return _to_msgpack(result)


def decode_result(key: str, body: bytes) -> Result:
    """Raises `CorruptRecord`."""
    try:
        version = _batch_head(body).format
        if version != FORMAT:
            raise CorruptRecord(key, f"format {version}, and this release reads format {FORMAT}: upgrade s3queue here")
        result: Result = _result(body)
        if not _TICKET.fullmatch(result.ticket):
            raise CorruptRecord(key, f"a result of no ticket: {result.ticket!r}")
    except UNREADABLE as wrong:
        raise CorruptRecord(key, f"cannot be decoded as a result: {wrong}") from wrong
    return result
