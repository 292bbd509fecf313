"""Batches of messages, as producers store them."""

from __future__ import annotations

from msgspec import Raw, Struct, field

from s3queue.core.records.failures import Failure
from s3queue.core.records.format import FORMAT
from s3queue.core.records.memos import Memo


class Message(Struct, frozen=True, array_like=True):
    """One message of a batch.

    Attributes:
        task: the name of the task; empty for a queue without tasks.
        payload: MessagePack, as the producer encoded it.
        headers: for tracing and the like; not looked at by the queue.
    """

    task: str
    payload: Raw
    headers: dict[str, str] = {}


class Origin(Struct, frozen=True, array_like=True):
    """The origin of a message that was moved off the board while it waited.

    Attributes:
        message: its id, which stays the same.
        sent_ms: when it was enqueued.
        failures: its history up to then, oldest first, bounded.
        memo: what its attempts had noted by then.
    """

    message: str
    sent_ms: int
    failures: tuple[Failure, ...] = ()
    memo: Memo | None = None


class Moved(Message, frozen=True, array_like=True):
    """A message in a source that was moved off the board. Read as a `Message`, it is the message as enqueued."""

    origin: Origin | None = None


class Batch(Struct, frozen=True):
    """1 to 1,000 messages, stored in one object. Each stays encoded until it runs."""

    messages: list[Raw]
    sent_ms: int
    format: int = field(default_factory=lambda: FORMAT)
