"""Messages and dead letters for people: history, payload, times."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Any

import msgspec
from msgspec import Struct

from s3queue.core.keys import fencing_token
from s3queue.core.records import Failure
from s3queue.errors import CorruptRecord

__all__ = ["FailedAttempt"]

#: The last millisecond that a datetime can tell.
_LAST_MS = 253_402_300_799_000
#: What decoding and encoding raise. A number that is too large is a ValueError.
_UNFIT = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError, TypeError, ValueError)
#: The id of a ticket; a record may have been written by anybody.
_TICKET = re.compile(r"[0-9]{1,10}-[0-9]{1,10}")
#: Characters of a preview.
_PREVIEW = 10_000


class FailedAttempt(Struct, frozen=True):
    """How one attempt of a message ended.

    Attributes:
        attempt: counted from 1.
        cause: ``error`` (the task raised), ``rejected``, ``killed``, ``exited``, ``oom``, ``time_limit``, ``lost`` (its
            host fell silent), ``interrupted``, ``shutdown``, ``corrupt``, ``unreadable``, ``unknown_task``, ``signature``.
        text: the end of a traceback, or a description: up to 4,000 characters for the last attempt, 120 for earlier ones.
        at: when it ended.
        host: the name of the host that ran it, or its session if it has no name. Empty: not known.
        fencing_token: of the ticket under which it ran; later tickets of a message have greater ones. None: not known.
        max_attempts: number of the last attempt that its task allows. 0: not known, for example after the death of its
            process.
    """

    attempt: int
    cause: str
    text: str
    at: datetime
    host: str = ""
    fencing_token: int | None = None
    max_attempts: int = 0

    @property
    def place(self) -> str:
        """Where it ran, for people."""
        token = "" if self.fencing_token is None else f"fencing token {self.fencing_token}"
        return ", ".join(filter(None, (f"on {self.host}" if self.host else "", token)))


def history(failures: Iterable[Failure]) -> tuple[FailedAttempt, ...]:
    return tuple(
        FailedAttempt(one.attempt, one.cause, one.text, time_of(one.at_ms), one.host, _token(one.ticket), one.most)
        for one in failures
    )


def attempt_of(attempt: int, failures: Sequence[FailedAttempt]) -> str:
    """``2 of 5``; without the second number where none of the failures tells it."""
    most = max((one.max_attempts for one in failures), default=0)
    return f"{attempt} of {most}" if attempt <= most else str(attempt)


def _token(ticket: str) -> int | None:
    return fencing_token(ticket) if _TICKET.fullmatch(ticket) else None


def time_of(at_ms: int) -> datetime:
    return datetime.fromtimestamp(min(at_ms, _LAST_MS) / 1000, UTC)


def last_line(text: str) -> str:
    """Of a traceback: the exception."""
    return next((line.strip() for line in reversed(text.splitlines()) if line.strip()), "")


def decode_payload(message: str, body: bytes) -> Any:
    """In builtins.

    Raises:
        CorruptRecord: it cannot be decoded.
    """
    try:
        return msgspec.msgpack.decode(body)
    except _UNFIT as wrong:
        raise CorruptRecord(message, f"its payload cannot be decoded: {wrong}") from wrong


def preview(body: bytes) -> str:
    """As JSON, as far as a screen may show it; empty where it has no such form."""
    try:
        return msgspec.json.encode(msgspec.msgpack.decode(body)).decode()[:_PREVIEW]
    except _UNFIT:
        return ""


def with_payload(told: dict[str, Any], *, raw: bool) -> dict[str, Any]:
    """What JSON can carry, with ``payload`` for ``body`` (encoded, in base64), or ``payload_base64`` where it has no such
    form."""
    encoded = told.pop("body")
    if not raw:
        try:
            body = msgspec.convert(encoded, bytes)
            told["payload"] = msgspec.json.decode(msgspec.json.encode(msgspec.msgpack.decode(body)))
        except _UNFIT:
            pass
        else:
            return told
    told["payload_base64"] = encoded
    return told
