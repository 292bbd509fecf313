"""The record of a task's return value."""

from __future__ import annotations

from msgspec import Raw, Struct, field

from s3queue.core.keys import fencing_token
from s3queue.core.records.format import FORMAT, Count


class Result(Struct, frozen=True):
    """Stored by the worker before the outcome is reported. It counts once a board has committed that outcome.

    Attributes:
        nonce: one for each attempt that stores a result.
        message: its id.
        life: of the message; see `DeadLetter`.
        ticket: under which it ran. Only a later ticket replaces the result of an earlier one.
        value: MessagePack, as the task returned it.
        expires_ms: wall clock of the worker; from then on it is not shown.
        stored_ms: wall clock when it was stored; for people who look into the bucket.
    """

    nonce: str
    message: str
    ticket: str
    value: Raw
    expires_ms: Count
    stored_ms: Count = 0
    life: Count = 1
    format: int = field(default_factory=lambda: FORMAT)

    @property
    def token(self) -> int:
        """Orders the results of one message."""
        return fencing_token(self.ticket)
