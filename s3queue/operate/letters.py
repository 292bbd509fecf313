"""Dead letters, for people: one after the other, in groups, or one with all that is known of it.

Letters are listed as their messages were sent. Only some of them are in memory at a time, so a queue with a million
letters shows its first one at once.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import datetime
from typing import Any, NamedTuple

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from s3queue.core.keys import Layout, parse_message_id, parse_source
from s3queue.core.ops import get, get_all, list_page
from s3queue.core.records import CAUSES, decode
from s3queue.core.records import DeadLetter as Record
from s3queue.errors import ConfigError, CorruptRecord
from s3queue.io.drive import Driver
from s3queue.operate.views import FailedAttempt, decode_payload, history, last_line, time_of, with_payload
from s3queue.store import Found, Listed

__all__ = ["DeadGroup", "DeadLetter"]

#: Letters that are read at once: few at first, so that the first one comes soon; then up to eight times as many.
_FIRST, _MOST = 8, 64
#: Bytes of letters that are read at once. One letter always fits.
_MOST_BYTES = 16_000_000
#: Most groups, so that errors with ever new texts do not fill the memory of the reader.
_MOST_GROUPS = 1000
_WORD = re.compile(r"\w+")
_PAGE = 1000


class PastLife(Struct, frozen=True):
    """An earlier death of a message that was redriven.

    Attributes:
        life: counted from 1.
        attempt: the last one of that life.
        cause, error: of that attempt: see `FailedAttempt`, and the last line of its text.
    """

    life: int
    attempt: int
    cause: str
    error: str
    died_at: datetime


class DeadLetter(Struct, frozen=True, kw_only=True):
    """A message that is out of attempts, was rejected, or cannot be read.

    Attributes:
        id: of the message, as `Queue.enqueue` returned it.
        task: empty for a handler, and where the message cannot be read.
        attempt: the last one, counted from 1.
        cause: of the last attempt, see `FailedAttempt`.
        failures: its last attempts, oldest first; five at most.
        preview: the payload as JSON, up to 10,000 characters; empty if it has no such form.
        raw: whether the message could not be decoded.
        body: the payload, encoded (MessagePack). If ``raw``: the message, or the whole batch, as it is stored.
        sent_at: when it was enqueued; None if that cannot be read.
        life: lives that have ended: 1, and one more for each time that it was redriven and died again.
        lives: earlier deaths, oldest first; ten at most.
        payload_bytes: size of a payload that is too large for the letter and has an object of its own; otherwise 0.
            ``body`` is then empty, unless the letter was read with `Queue.dead_letter`.
    """

    id: str
    queue: str
    task: str
    attempt: int
    cause: str
    failures: tuple[FailedAttempt, ...]
    preview: str
    raw: bool
    headers: dict[str, str]
    body: bytes
    sent_at: datetime | None
    died_at: datetime
    life: int = 1
    lives: tuple[PastLife, ...] = ()
    payload_bytes: int = 0

    @property
    def payload(self) -> Any:
        """The payload, decoded to builtins; if ``raw``, its bytes. For a task: its arguments by name.

        Raises:
            CorruptRecord: it cannot be decoded, or was not read: see ``payload_bytes``.
        """
        if self.payload_bytes and not self.body:
            raise CorruptRecord(
                self.id, f"its payload has {self.payload_bytes:,} bytes: Queue.dead_letter(id) reads it"
            )
        return self.body if self.raw else decode_payload(self.id, self.body)

    @property
    def error(self) -> str:
        """The last line of the text of the last attempt. The last line of a traceback is the exception."""
        return last_line(self.failures[-1].text) if self.failures else ""

    def as_dict(self) -> dict[str, Any]:
        """All of it in values that JSON can hold: ``payload`` if it has such a form, otherwise ``payload_base64``."""
        told = msgspec.to_builtins(self)
        if self.payload_bytes and not self.body:
            told.pop("body")
        else:
            told = with_payload(told, raw=self.raw)
        return {**told, "error": self.error}


class DeadGroup(Struct):
    """Dead letters of one task with the same cause and the same error, which is the last line of its text. Words that
    contain digits may differ.

    Attributes:
        error: of the message that died last.
        count: letters in the group.
        example: the id of the message that died last.
    """

    task: str
    cause: str
    error: str
    count: int
    first_died_at: datetime
    last_died_at: datetime
    example: str


class Wanted(Struct, frozen=True):
    """Which letters are wanted. None: all."""

    task: str | None = None
    cause: str | None = None
    since: datetime | None = None

    def __post_init__(self) -> None:
        if self.cause is not None and self.cause not in CAUSES:
            close = difflib.get_close_matches(self.cause, CAUSES, 1)
            raise ConfigError(
                f"there is no cause {self.cause!r}" + (f"; do you mean {close[0]!r}?" if close else ""),
                ", ".join(sorted(CAUSES)),
            )
        if self.since is not None and (not isinstance(self.since, datetime) or self.since.tzinfo is None):
            raise ConfigError(f"since is {self.since!r}", "a datetime with a time zone, for example datetime.now(UTC)")

    @property
    def is_all(self) -> bool:
        return self.task is None and self.cause is None and self.since is None

    def takes(self, letter: DeadLetter) -> bool:
        return (
            (self.task is None or letter.task == self.task)
            and (self.cause is None or letter.cause == self.cause)
            and (self.since is None or letter.died_at >= self.since)
        )


def _kind(error: str) -> str:
    """The error without numbers, ids and addresses, in which errors of one kind differ."""
    return _WORD.sub(lambda word: "#" if any(map(str.isdigit, word[0])) else word[0], error)


def queue_of(message: str) -> str:
    """The queue of a message. Raises `ConfigError` where that is no id."""
    try:
        return parse_source(parse_message_id(message).path).queue
    except CorruptRecord as wrong:
        raise ConfigError(f"not the id of a message: {message!r}", "ids are what enqueue returns") from wrong


def read_one(driver: Driver, layout: Layout, message: str, *, tombstones: bool = False) -> DeadLetter | None:
    """The letter of one message; None where there is none, or it is decided. One GET.

    Args:
        tombstones: also one that is decided.

    Raises:
        ConfigError: that is no id. CorruptRecord: the letter cannot be decoded.
    """
    key = layout.dead(queue_of(message), message)
    found = driver.run(get(key))
    if not isinstance(found, Found):
        return None
    record = decode(Record, key, found.body)
    return None if record.tombstone and not tombstones else view(complete(driver, layout, record))


def complete(driver: Driver, layout: Layout, record: Record) -> Record:
    """A letter with its payload. Nothing, or one GET where that is in an object of its own."""
    if not record.payload_at:
        return record
    found = driver.run(get(layout.payload(record.queue, record.message, record.payload_at)))
    return replace(record, payload=found.body) if isinstance(found, Found) else record


def read_all(
    driver: Driver,
    layout: Layout,
    queue: str,
    wanted: Wanted,
    *,
    after: str | None = None,
    limit: int | None = None,
    unreadable: Callable[[CorruptRecord], None],
) -> Iterator[DeadLetter]:
    """The letters of a queue as their messages were sent, without decided ones.

    Args:
        after: id of a message: only those behind it.
        unreadable: told of each letter that cannot be decoded.

    Asks: one List per 1,000 letters, one Get for each; behind the last one wanted, for a few more.
    """
    given = 0
    most = limit if wanted.is_all else None
    for one in read_records(driver, layout, queue, after=after, most=most, unreadable=unreadable):
        if wanted.takes(one.letter):
            yield one.letter
            given += 1
            if given == limit:
                return


class Read(NamedTuple):
    """A dead letter as it is stored, and its version."""

    record: Record
    version: str
    letter: DeadLetter


def read_records(
    driver: Driver,
    layout: Layout,
    queue: str,
    *,
    after: str | None = None,
    most: int | None = None,
    unreadable: Callable[[CorruptRecord], None],
) -> Iterator[Read]:
    """The letters of a queue as they are stored, without decided ones.

    Args:
        most: how many will be wanted; None: not known.
    """
    at_once, given = _FIRST, 0
    for page in _pages(driver, layout.dead(queue), layout.dead(queue, after) if after else ""):
        rest = page
        while rest:
            now, rest = _portion(rest, at_once if most is None else min(at_once, max(_FIRST, most - given)))
            for one in _read(driver, [item.key for item in now], unreadable):
                yield one
                given += 1
            at_once = min(2 * at_once, _MOST)


def read_named(driver: Driver, layout: Layout, queue: str, messages: Sequence[str]) -> Iterator[Read]:
    """The letters of these messages, without those that are not there or decided. One Get for each.

    Raises:
        CorruptRecord: one cannot be decoded.
    """

    def fail(corrupt: CorruptRecord) -> None:
        raise corrupt

    for first in range(0, len(messages), _MOST):
        yield from _read(driver, [layout.dead(queue, one) for one in messages[first : first + _MOST]], fail)


def group(letters: Iterable[DeadLetter]) -> list[DeadGroup]:
    """The largest group first. Errors beyond the first 1,000 that differ are one group of their task and cause."""
    groups: dict[tuple[str, str, str], DeadGroup] = {}
    for letter in letters:
        error, died_at = letter.error, letter.died_at
        name = letter.task, letter.cause, _kind(error)
        if name not in groups and len(groups) >= _MOST_GROUPS:
            name, error = (letter.task, letter.cause, ""), "(other errors)"
        known = groups.get(name)
        if known is None:
            groups[name] = DeadGroup(letter.task, letter.cause, error, 1, died_at, died_at, letter.id)
            continue
        known.count += 1
        known.first_died_at = min(known.first_died_at, died_at)
        if died_at >= known.last_died_at:
            known.error, known.last_died_at, known.example = error, died_at, letter.id
    return sorted(groups.values(), key=lambda one: (-one.count, one.task, one.cause, one.error))


def _pages(driver: Driver, prefix: str, after: str) -> Iterator[Sequence[Listed]]:
    while True:
        page = driver.run(list_page(prefix, after))
        yield page
        if len(page) < _PAGE:
            return
        after = page[-1].key


def _portion(page: Sequence[Listed], most: int) -> tuple[Sequence[Listed], Sequence[Listed]]:
    """The letters to read at once, and the rest."""
    size = 0
    for number, item in enumerate(page[:most]):
        size += item.size
        if number and size > _MOST_BYTES:
            return page[:number], page[number:]
    return page[:most], page[most:]


def _read(driver: Driver, keys: list[str], unreadable: Callable[[CorruptRecord], None]) -> Iterator[Read]:
    for key, found in zip(keys, driver.run(get_all(keys)), strict=True):
        if not isinstance(found, Found):
            continue
        try:
            record = decode(Record, key, found.body)
        except CorruptRecord as corrupt:
            unreadable(corrupt)
            continue
        if not record.tombstone:
            yield Read(record, found.version, view(record))


def view(record: Record) -> DeadLetter:
    return DeadLetter(
        id=record.message,
        queue=record.queue,
        task=record.task,
        attempt=record.attempt,
        cause=record.failures[-1].cause if record.failures else "",
        failures=history(record.failures),
        preview=record.preview,
        raw=record.raw,
        headers=record.headers,
        body=record.payload,
        sent_at=time_of(record.sent_ms) if record.sent_ms else None,
        died_at=time_of(record.died_ms),
        life=record.life,
        lives=tuple(
            PastLife(
                one.life,
                one.attempt,
                one.failure.cause if one.failure is not None else "",
                last_line(one.failure.text) if one.failure is not None else "",
                time_of(one.died_ms),
            )
            for one in record.lives
        ),
        payload_bytes=record.payload_bytes if record.payload_at else 0,
    )
