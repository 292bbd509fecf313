"""What producers store: batches of messages."""

from __future__ import annotations

from msgspec import Raw, Struct, field

from s3queue.core.records.format import FORMAT


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


class Batch(Struct, frozen=True):
    """1 to 1,000 messages, stored in one object. Each stays encoded until somebody runs it."""

    messages: list[Raw]
    sent_ms: int
    format: int = field(default_factory=lambda: FORMAT)
