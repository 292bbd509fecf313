"""The record of a dead message, for people. Its further lives are read from it."""

from __future__ import annotations

from msgspec import Struct, field

from s3queue.core.records.failures import Failure
from s3queue.core.records.format import FORMAT, Count


class Life(Struct, frozen=True, array_like=True):
    """One life of a redriven message: how many attempts it had, and when and why it died."""

    life: Count
    attempt: Count
    died_ms: Count
    failure: Failure | None = None


class DeadLetter(Struct, frozen=True, omit_defaults=True):
    """A message out of attempts, kept for people.

    Attributes:
        message: its id. For a source that cannot be decoded: the id of its first message.
        payload: MessagePack as enqueued (base64 in JSON). Where ``raw`` is true, what could not be decoded, as it is: the
            whole object, or the one message.
        preview: the payload as JSON, for reading; empty where it has no such form.
        failures: how its last attempts ended, oldest first: five at most. ``attempt`` says how many there were.
        tombstone: its message has ended otherwise than by death; the record stays so that this is remembered.
        ending: how a tombstone's message ended: ``cancelled``, ``expired``, ``purged``, or ``done`` after it was redriven.
        life: how many of its lives have ended: 1 when it dies first.
        lives: those before the last one, oldest first: ten at most.
        turn: of the board that tells of its last ending.
        ticket: of one that is ``done``.
        ended_ms: when a tombstone's message ended; 0 where that was at ``died_ms``.
        edit: the request by which its payload was replaced last.
        payload_at: life with which an object of its own holds the payload; 0: it is here.
        payload_bytes: its size there.
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
    life: Count = 1
    lives: tuple[Life, ...] = ()
    turn: Count = 0
    ticket: str = ""
    ended_ms: Count = 0
    edit: str = ""
    payload_at: Count = 0
    payload_bytes: Count = 0
