"""The record of a dead message, for people."""

from __future__ import annotations

from msgspec import Struct, field

from s3queue.core.records.failures import Failure
from s3queue.core.records.format import FORMAT, Count


class DeadLetter(Struct, frozen=True, omit_defaults=True):
    """A message out of attempts, kept for people.

    Attributes:
        message: its id. For a source that cannot be decoded: the id of its first message.
        payload: MessagePack as enqueued (base64 in JSON). Where ``raw`` is true, what could not be decoded, as it is: the
            whole object, or the one message.
        preview: the payload as JSON, for reading; empty where it has no such form.
        failures: how its last attempts ended, oldest first: five at most. ``attempt`` says how many there were.
        tombstone: it was redriven, purged or cancelled; the record stays so that the decision is remembered.
        ending: how a tombstone's message ended: ``cancelled``.
    """

    nonce: str
    message: str
    queue: str
    task: str = ""
    attempt: Count = 0
    failures: tuple[Failure, ...] = ()
    payload: bytes = b""
    preview: str = ""
    raw: bool = False
    headers: dict[str, str] = {}
    sent_ms: Count = 0
    died_ms: Count = 0
    tombstone: bool = False
    format: int = field(default_factory=lambda: FORMAT)
    ending: str = ""
