"""Checks and encodes messages with their options: the result is a `Load`. Makes no request."""

from __future__ import annotations

import time
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

import msgspec
from msgspec import Raw

from s3queue.core import produce
from s3queue.core.keys import PRIORITIES, check_group
from s3queue.core.records import Message, encode_message
from s3queue.enqueue.sending import Load
from s3queue.errors import ConfigError
from s3queue.middleware.enqueuing import Enqueue, Enqueuing, those_that_enqueue
from s3queue.observe.tracing import SendSpan, begin_send
from s3queue.options.once import Unique, once_of
from s3queue.options.policies import RESERVED
from s3queue.options.times import due_ms_of, seconds_of
from s3queue.registry import registry

if TYPE_CHECKING:
    from s3queue.queue import Queue

__all__ = ["load"]

_NO_HEADERS: dict[str, str] = {}


def load(
    queue: Queue,
    task: str,
    payloads: list[Raw],
    *,
    delay: float | timedelta | None = None,
    at: datetime | None = None,
    priority: int = 5,
    group: str | None = None,
    headers: Mapping[str, str] | None = None,
    limits: Mapping[str, str] | None = None,
    key: str | None = None,
    expires_in: float | timedelta | None = None,
    middleware: tuple[object, ...] = (),
    dedup_id: str | None = None,
    dedup_window: float | timedelta | None = None,
    unique: Unique = False,
    debounce: float | timedelta | None = None,
) -> Load:
    """Messages checked and encoded, ready to be sent. Makes no request.

    Args:
        payloads: encoded; of the task with this name, or for the handler of the queue where that is empty.
        limits: headers of our own, see `s3queue.options.policies.own_headers`.
        middleware: of the task, inside of what `s3queue.use` named.

    The rest, and errors, as of `s3queue.Queue.enqueue`.
    """
    once = None
    if dedup_id is not None or unique or debounce is not None or dedup_window is not None:
        if debounce is not None and delay is None and at is None:
            delay = debounce
        once = once_of(
            task,
            payloads,
            dedup_id=dedup_id,
            dedup_window=dedup_window,
            unique=unique,
            debounce=debounce,
            default_window_s=queue.config.dedup_window,
        )
    due_ms = None if delay is None and at is None else due_ms_of(delay, at)
    if type(priority) is not int or priority not in PRIORITIES:
        raise ConfigError(f"priority is {priority!r}", "0 goes first, 9 goes last")
    if group is not None:
        check_group(group)
    if key is not None:
        if group is not None:
            raise ConfigError("a message was given a group and a key", "a group has an order, a key has limits")
        check_group(key, "key")
    expires_ms = None
    if expires_in is not None:
        expires_ms = int((time.time() + seconds_of(expires_in, "expires_in")) * 1000)
        if due_ms is not None and due_ms >= expires_ms:
            raise ConfigError("a message expires before it is due", "a longer expires_in, which counts from now")
    given = _NO_HEADERS if headers is None else _headers(headers)
    told: SendSpan | Enqueuing | None = None
    if around := those_that_enqueue(registry.middleware + middleware) if registry.middleware or middleware else ():
        told = Enqueuing(Enqueue(queue.name, task, len(payloads), dict(given)), around)
        given = _headers(told.begin())
    if limits:
        given = {**given, **limits}
    span = begin_send(queue.name, len(payloads))
    if span is not None:
        given = span.headers(given)
    if isinstance(told, Enqueuing):
        told.span = span
    else:
        told = span
    if told is not None:
        try:
            messages = _encoded(queue, task, payloads, given)
        except BaseException as fault:
            told.failed(fault)
            raise
        return Load(queue, messages, priority, group, due_ms, key, expires_ms, told, once)
    messages = _encoded(queue, task, payloads, given)
    return Load(queue, messages, priority, group, due_ms, key, expires_ms, None, once)


def _encoded(queue: Queue, task: str, payloads: list[Raw], headers: dict[str, str]) -> list[bytes]:
    """Raises `ConfigError` where one is too large."""
    messages = [bytes(encode_message(Message(task, payload, headers))) for payload in payloads]
    most, limit = queue.config.max_message_bytes, "max_message_bytes is"
    holds = queue.store.capabilities.max_body_bytes - produce.ENVELOPE_BYTES
    if holds < most:
        most, limit = holds, "one object of this store holds"
    for message in messages:
        if len(message) > most:
            raise ConfigError(
                f"a message of {len(message):,} bytes; {limit} {most:,}",
                "store the data under a key of your own, and enqueue the key",
            )
    return messages


def _headers(headers: Mapping[str, str]) -> dict[str, str]:
    try:
        given = msgspec.convert(dict(headers), dict[str, str])
        msgspec.msgpack.encode(given)  # a lone surrogate is a string that no record can hold
    except (msgspec.ValidationError, TypeError, ValueError) as wrong:
        raise ConfigError("headers are not a mapping of strings to strings") from wrong
    if any(name.startswith(RESERVED) for name in given):
        raise ConfigError(f"a header begins with {RESERVED!r}", "such names are kept for this library")
    return given
