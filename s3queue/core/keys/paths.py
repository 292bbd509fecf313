"""Paths: a source, a life of a message, a tick or a request, as the board names it."""

from __future__ import annotations

import contextlib
import re
from dataclasses import dataclass
from functools import lru_cache
from hashlib import sha256
from typing import Literal, NamedTuple

from msgspec import Struct
from msgspec.structs import replace

from s3queue.core.keys.names import (
    GROUP_IN_KEY,
    check_group,
    check_name,
    escape,
    folder_of,
    key_of,
    lane_of,
    queue_of,
    shorten,
    unescape,
)
from s3queue.core.keys.requests import REQUESTS
from s3queue.errors import ConfigError, CorruptRecord

#: Largest value of 13 decimal digits: the year 2286 in milliseconds.
MAX_ORDER = 9_999_999_999_999
#: The most messages in one batch: a slice of it fits a journal row, and a batch stays quick to read.
MAX_BATCH = 1000
#: Prefix of sources, except those of the next line.
INBOX = "in/"
#: Prefix of scheduled sources, and of those that were moved off the board.
LATER = "later/"
#: Paths that begin so name a source without an object of its own.
LETTER, TICKS = "dead/", "tick/"
BORROWED = (LETTER, TICKS)
#: In the path of every batch with a key.
KEYED = "/k/"
#: 0 goes first, 9 goes last.
PRIORITIES = range(10)
#: Parsed paths that are cached beyond twice the number that a board names.
_PARSED_SPARE = 2048
_SOURCE = re.compile(
    r"(?:in/|later/(?P<due>\d{13})-)(?P<folder>[A-Za-z0-9_][A-Za-z0-9_@=]{0,99})/(?:k/(?P<key>[A-Za-z0-9_=]{1,128})/)?"
    r"(?P<priority>\d)/(?P<order>\d{13})-(?P<batch>[0-9a-f]{1,32})-(?P<count>[1-9]\d{0,3})(?:x(?P<expires>\d{13}))?"
    r"(?:_(?P<gate>[a-z][0-9a-f]{24}))?"
    r"(?:\.(?P<attempt>[1-9]\d{0,5})(?P<alone>a?))?(?:-(?P<group>[A-Za-z0-9_.=-]{1,300}))?",
    re.ASCII,
)
_LIFE = re.compile(r"dead/(?P<queue>[^/]+)/(?P<life>[1-9]\d{0,8})/(?P<message>[^/]+)", re.ASCII)
_TIME = re.compile(
    r"tick/(?P<queue>[A-Za-z0-9_][A-Za-z0-9_.-]{0,99})/(?P<priority>\d)/"
    r"(?P<tick>\d{13})-(?P<object>[A-Za-z0-9_][A-Za-z0-9_.-]{0,99}\.[1-9]\d{0,9})(?:-(?P<beside>[0-9a-f]{1,32}))?",
    re.ASCII,
)
#: Finds the message key in a path, whatever follows: also in a path that is no batch, or that only a newer release can
#: read.
_SPOT = re.compile(
    r"(?:in/|later/(?P<due>\d{13})-)(?P<folder>[A-Za-z0-9_][A-Za-z0-9_@=]{0,99})/"
    r"(?:k/(?P<key>[A-Za-z0-9_=]{1,128})/)?(?:(?P<priority>\d)/)?",
    re.ASCII,
)
_INDEX = re.compile(r"0|[1-9][0-9]{0,2}")


class Source(Struct, frozen=True, gc=False):
    """A batch, as its key describes it.

    Attributes:
        group: equal for the batches of one group. For people, and of a long one only the beginning and a hash.
        rank: sorts the sources of one queue into dispatch order.
        id: short, and never used twice: what retired pages hold.
        attempt: of its messages when it is admitted.
        moved: its messages come from other sources, and each says from which.
        alone: each of its messages is ticketed alone: an earlier attempt ended with its process or its host.
        kind: ``in``, ``later``, ``dead`` (a further life of a dead message) or ``tick`` (one time of a schedule).
        message: of the kind ``dead``: the id of its message, which is that of all its lives.
        life: of its messages; the first one is 1.
        object: of the kind ``tick``: name and revision of the schedule.
        key: of its messages; "": none. expires_ms: wall clock by which those that have not begun end; None: never.
        gate: of its message, where that is enqueued only once; "": none.
        is_borrowed: it is no object of its own: it is never listed, deleted, retired, or in the window.
    """

    path: str
    queue: str
    priority: int
    order: int
    batch: str
    count: int
    group: str | None
    due_ms: int | None
    rank: tuple[int, int, str]
    id: str
    attempt: int = 1
    moved: bool = False
    alone: bool = False
    kind: Literal["in", "later", "dead", "tick"] = "in"
    message: str = ""
    life: int = 1
    object: str = ""
    key: str = ""
    expires_ms: int | None = None
    gate: str = ""
    is_borrowed: bool = False

    @property
    def stays(self) -> bool:
        """Whether its messages stay on the board while they wait."""
        return self.group is not None or self.is_borrowed or self.gate != ""


def source_path(
    queue: str,
    *,
    sent_ms: int,
    batch: str,
    count: int,
    priority: int = 5,
    group: str | None = None,
    due_ms: int | None = None,
    newest_first: bool = False,
    key: str | None = None,
    expires_ms: int | None = None,
    gate: str = "",
) -> str:
    """The path of a new batch. It has a group or a key, or neither. Raises: ConfigError: the path could not be parsed
    again. A batch under such a key would be accepted and never run.
    """
    order = MAX_ORDER - sent_ms if newest_first else sent_ms
    lane = "" if key is None else f"k/{lane_of(check_group(key, 'key'))}/"
    tail = f"{folder_of(queue)}/{lane}{priority}/{order:013}-{batch}-{count}"
    if expires_ms is not None:
        tail += f"x{expires_ms:013}"
    if gate:
        tail += f"_{gate}"
    if group is not None:
        tail += f"-{shorten(escape(check_group(group)), GROUP_IN_KEY)}"
    path = f"in/{tail}" if due_ms is None else f"later/{due_ms:013}-{tail}"
    if not _SOURCE.fullmatch(path) or count > MAX_BATCH:
        raise ConfigError(f"not the key of a batch: {path!r}", f"1 to {MAX_BATCH} messages")
    return path


#: Kinds of gates: of a ``dedup_id``; of arguments, until their message is over, and while it waits; of a debounced call.
DEDUP, UNIQUE, WAITING, DEBOUNCE = "d", "u", "w", "b"
#: Kinds of gates that hold only until their message gets its first ticket.
BRIEF = (WAITING, DEBOUNCE)


def gate_of(kind: str, *what: str) -> str:
    """The name of a gate: of a kind, for one value that must not be there twice."""
    return kind + sha256("\0".join(what).encode()).hexdigest()[:24]


def moved_path(like: Source, *, due_ms: int, batch: str, count: int, attempt: int, alone: bool) -> str:
    """The path for messages of the queue, key and priority of ``like`` that wait for this attempt until then. They have
    begun, and do not expire."""
    lane = f"k/{lane_of(like.key)}/" if like.key else ""
    tail = f"{folder_of(like.queue)}/{lane}{like.priority}/{like.order:013}-{batch}-{count}"
    return f"later/{due_ms:013}-{tail}.{attempt}{'a' if alone else ''}"


@lru_cache(maxsize=32768)  # more than a board names; some 700 bytes each
def parse_source(path: str) -> Source:
    """Raises `CorruptRecord` where the path is no source's."""
    return _parse(path)


def _parse(path: str) -> Source:
    """`parse_source`, of a path that is not asked for again."""
    match = _SOURCE.fullmatch(path)
    if match is None:
        if path.startswith(BORROWED):
            return _parse_life(path) if path.startswith(LETTER) else _parse_tick(path)
        raise CorruptRecord(path, "not the key of a batch")
    due, folder, key, priority, order, batch, count, expires, gate, attempt, alone, group = match.groups()
    if int(count) > MAX_BATCH:
        raise CorruptRecord(path, "not the key of a batch")
    rank = int(priority), int(order), batch
    return Source(
        path,
        queue_of(folder),
        *rank,
        int(count),
        # Earlier releases did not shorten long groups: shortened, they are equal to those of this release.
        None if group is None else unescape(shorten(group, GROUP_IN_KEY)),
        None if due is None else int(due),
        rank,
        f"{order}-{batch}",
        int(attempt or 1),
        attempt is not None,
        alone == "a",
        "in" if due is None else "later",
        key="" if key is None else key_of(key),
        expires_ms=None if expires is None else int(expires),
        gate=gate or "",
    )


def is_source(path: str) -> bool:
    """Whether ``parse_source(path)`` knows it; at a sixth of its cost. A newer release may name sources of another kind."""
    match = _SOURCE.fullmatch(path)
    if match is not None:
        return int(match["count"]) <= MAX_BATCH
    if path.startswith(BORROWED):
        with contextlib.suppress(CorruptRecord):
            parse_source(path)
            return True
    return False


class Spot(NamedTuple):
    """The folder that a key is in, as far as the key tells.

    Attributes:
        priority: None: it is in that of none.
    """

    queue: str
    key: str
    priority: int | None
    due_ms: int | None


def spot_of(path: str) -> Spot | None:
    """The folder of this key, even if it is no batch. None: it is in the folder of no queue."""
    match = _SPOT.match(path)
    if match is None:
        return None
    due, key, priority = match["due"], match["key"], match["priority"]
    return Spot(
        queue_of(match["folder"]),
        "" if key is None else key_of(key),
        None if priority is None else int(priority),
        None if due is None else int(due),
    )


def expires_of(path: str) -> int | None:
    """What ``parse_source(path).expires_ms`` is. For workers, which need nothing else of most paths: few are parsed for
    that, which costs 8 µs and some memory each."""
    if "x" not in path:
        return None  # most: the time stands behind that letter
    if path.startswith((INBOX, LATER)):
        fields = path[path.rfind("/") :].split("-", 3)
        if len(fields) > 2 and "x" not in fields[2]:
            return None
    return parse_source(path).expires_ms


@lru_cache(maxsize=2048)  # of the letters that a coordinator has looked at, and not redriven yet
def life_path(message: str, life: int) -> str:
    """The path of a further life of a dead message, of which this is the id. Raises `CorruptRecord`: it is none."""
    return f"{life_prefix(_first(message).queue)}{life}/{message}"


def life_prefix(queue: str) -> str:
    """The paths of all further lives of a queue's messages begin so, and no others."""
    return f"{LETTER}{queue}/"


def _first(message: str) -> Source:
    """The source of the first life of a message. Raises `CorruptRecord`: this is not the id of a message."""
    part, path, index = _split(message)
    first = _parse(path)
    if not part or index is None or index >= first.count:
        raise CorruptRecord(message, "not the id of a message")
    return first


def tick_path(queue: str, priority: int, tick_ms: int, name: str, revision: int, beside: str = "") -> str:
    """The path of one time of a schedule.

    Args:
        beside: random, of a message that was asked for beside its ticks.

    Raises:
        ConfigError: it would not be read back as such.
    """
    head, tail = _around_tick(queue, priority, f"{name}.{revision}", beside)
    return f"{head}{tick_ms:013}{tail}"


@lru_cache(maxsize=8192)
def _around_tick(queue: str, priority: int, of: str, beside: str) -> tuple[str, str]:
    """The parts of the path before and after the time."""
    head, tail = f"{TICKS}{check_name(queue)}/{priority}/", f"-{of}{beside and f'-{beside}'}"
    if not _TIME.fullmatch(f"{head}{0:013}{tail}"):
        raise ConfigError(f"not the path of a tick: {head!r} … {tail!r}")
    return head, tail


def schedule_in(path: str) -> str:
    """The name of the schedule in the path of one of its ticks."""
    return path.split("/", 3)[3][14:].rpartition(".")[0]


def _parse_life(path: str) -> Source:
    match = _LIFE.fullmatch(path)
    if match is None or (life := int(match["life"])) < 2:
        raise CorruptRecord(path, "not a further life of a message")
    first = _first(match["message"])
    if first.queue != match["queue"] or first.kind == "dead":
        raise CorruptRecord(path, "not a further life of a message of this queue")
    return replace(
        first,
        path=path,
        count=1,
        due_ms=None,
        id=path,
        attempt=1,
        moved=False,
        alone=False,
        kind="dead",
        message=match["message"],
        life=life,
        object="",
        expires_ms=None,
        is_borrowed=True,
    )


def _parse_tick(path: str) -> Source:
    match = _TIME.fullmatch(path)
    if match is None:
        raise CorruptRecord(path, "not a tick")
    tick_ms, priority, name = int(match["tick"]), int(match["priority"]), match["object"]
    batch = path.rpartition("-")[2] if match["beside"] else name
    rank = priority, tick_ms, batch
    return Source(
        path,
        match["queue"],
        priority,
        tick_ms,
        batch,
        1,
        None,
        None,
        rank,
        path,
        kind="tick",
        object=name,
        is_borrowed=True,
    )


def retired_id(path: str) -> str:
    """The id of a source or a request in the deduplication window."""
    return path if path.startswith(REQUESTS) else parse_source(path).id


def forget_parsed(named: int) -> None:
    """Empty the cache of parsed paths, if it holds many more than a board names. So a coordinator needs no more memory for
    a million batches than for ten thousand."""
    if parse_source.cache_info().currsize > 2 * named + _PARSED_SPARE:
        parse_source.cache_clear()


def batch_id(counter: int, random: int) -> str:
    """Unique together with the millisecond; batches of one producer in one millisecond sort as they were sent.

    Args:
        counter: 0, 1, 2 … within one millisecond of one process.
        random: 52 random bits.
    """
    return f"{counter & 0xFFF:03x}{random & 0xFFFFFFFFFFFFF:013x}"


def moved_batch(epoch: int, sequence: int) -> str:
    """Unique in a namespace, as ticket numbers are, and longer than the ids that producers make."""
    return f"{epoch:010x}{sequence:010x}"


@dataclass(frozen=True, slots=True)
class MessageRef:
    part: str
    path: str
    index: int


def parse_message_id(message: str) -> MessageRef:
    """Raises `CorruptRecord` where this is no message's id."""
    part, path, index = _split(message)
    if not part or index is None or index >= parse_source(path).count:
        raise CorruptRecord(message, "not the id of a message")
    return MessageRef(part, path, index)


def _split(message: str) -> tuple[str, str, int | None]:
    """Partition, path and index, as far as this is the id of a message."""
    part, _, rest = message.partition("~")
    tail, _, index = rest.rpartition("~")
    return part, tail.replace("~", "/"), int(index) if _INDEX.fullmatch(index) else None
