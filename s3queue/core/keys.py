"""Builds and parses every key. No key is written anywhere else.

::

    {root}/meta/{queue}
    {root}/{part}/board
    {root}/{part}/control
    {root}/{part}/do/{ms}-{random}[.dead]
    {root}/{part}/hosts/{session}
    {root}/{part}/in/{folder}/[k/{key}/]{priority}/{order}-{batch}-{count}[x{expires_ms}][_{gate}][-{group}]
    {root}/{part}/later/{due_ms}-{folder}/[k/{key}/]{priority}/{order}-{batch}-{count}[x{expires_ms}][_{gate}][.{attempt}[a]][-{group}]
    {root}/retired/{part}/{epoch}-{page}
    {root}/summary/{part}
    {root}/dead/{queue}/{message}
    {root}/answers/{part}/{ms}-{random}
    {root}/lost/{part}/{session}
    {root}/results/{message}[.{life}]
    {root}/unique/{queue}/{gate}
    {root}/schedules/{name}.{revision}
    {root}/payloads/{queue}/{message}.{life}

``board`` < ``control`` < ``do/`` < ``hosts/`` < ``in/`` < ``later/`` in byte order, so one listing of ``{root}/{part}/``
is a survey. ``order`` is 13-digit milliseconds, or its complement where the newest goes first, so a listing is in dispatch
order. ``count``
and ``group`` are in the key, so that dispatch never reads a payload. So are, of messages that were moved off the board
while they waited, the attempt that comes next, and whether each of them runs alone (``a``).

``folder`` is the queue's name with ``=`` for ``-`` and ``@`` for ``.``: a name must not continue another with a character
below ``/``. SeaweedFS sorts folders by their bare names, so their order would not be that of the keys; MinIO gives an empty
page for a listing that starts between two such folders.

The batches of one ``key`` have a folder of their own, a **lane**, so that a survey can pass from one key to the next
however many batches are in front. ``expires_ms`` is the wall clock by which a message that has not begun ends.

No segment is longer than `MAX_SEGMENT`: a long group, and a message's id in the keys of its dead letter and its result, are
cut and end with a hash of the whole. Two names are equal exactly where these are.

``gate`` is that of a message that is enqueued only once: one letter for its kind, and a hash of what must not be there
twice.

A **source** is named by its key below ``{root}/{part}/`` (its *path*). A **message** is named by partition, path and
index, joined by ``~``, which occurs in none of them.

Two kinds of source have one message and no object in the partition. No survey lists them, and they are neither deleted nor
retired nor in the window: a board admits one by what it decides, once, and drops it with the commit that settles its
message. Their messages are read from objects that are there for something else (`Layout.source`)::

    dead/{queue}/{life}/{message}                            a further life of a dead message: its letter
    tick/{queue}/{priority}/{tick_ms}-{name}.{revision}      one time of a schedule: {root}/schedules/{name}.{revision};
                                                             with -{random} behind it, one that was asked for beside these
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from functools import lru_cache
from hashlib import sha256
from typing import Literal
from urllib.parse import quote, unquote

from s3queue.errors import ConfigError, CorruptRecord

#: Largest value of 13 decimal digits: the year 2286 in milliseconds.
MAX_ORDER = 9_999_999_999_999
#: The most messages in one batch: a slice of it fits a journal row, and a batch stays quick to read.
MAX_BATCH = 1000
#: Requests lie there; such a path names one.
REQUESTS = "do/"
_ABOUT_LETTERS = ".dead"
#: Sources that are not to run yet lie there, and those that were moved off the board.
LATER = "later/"
#: Paths that begin so name a source without an object of its own.
_LETTER, TICKS = "dead/", "tick/"
BORROWED = (_LETTER, TICKS)
#: In the path of every batch with a key.
KEYED = "/k/"
#: Greater than every key that continues the string before it: U+10FFFF is the last code point in byte order.
END = "\U0010ffff"
#: 0 goes first, 9 goes last.
PRIORITIES = range(10)

#: The longest part of a key between two slashes, in bytes: a file's name has 255 at most, and some servers append to it.
MAX_SEGMENT = 200
#: The longest name of a group or a key, in characters.
MAX_GROUP = 300
#: Of a group in a key, so many bytes at most: what a segment has left beside order, batch and count.
_GROUP_IN_KEY = 128

#: Parsed paths that are kept beyond twice what a board names.
_PARSED_SPARE = 2048

_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,99}")
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
#: The folder of a key whose name was cut, see `_shorten`.
_SHORTENED = re.compile(r"(?=.{128}\Z)[A-Za-z0-9_=]+=_[0-9a-f]{32}", re.ASCII)
_INDEX = re.compile(r"0|[1-9][0-9]{0,2}")


def check_name(name: str, what: str = "queue") -> str:
    """The name itself, if it may stand in a key.

    Raises:
        ConfigError: it may not. Letters, digits, ``_ . -``, at most 100, not starting with ``.`` or ``-``.
    """
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise ConfigError(f"not a {what} name: {name!r}", "letters, digits, '_', '.', '-', at most 100")
    return name


_TO_FOLDER = str.maketrans("-.", "=@")
_FROM_FOLDER = str.maketrans("=@", "-.")


def check_group(group: str, what: str = "group") -> str:
    """The name itself, if it may name a group or a key.

    Raises:
        ConfigError: it may not: empty, too long, or no text (a lone surrogate).
    """
    if isinstance(group, str) and 1 <= len(group) <= MAX_GROUP:
        try:
            _escape(group)
        except UnicodeEncodeError:
            pass
        else:
            return group
    raise ConfigError(f"not a {what}: {group!r}", f"1 to {MAX_GROUP} characters")


def _escape(group: str) -> str:
    return quote(group, safe="").replace("~", "%7E").replace("%", "=")


def _lane(key: str) -> str:
    """The folder of a key. Its name has no character below ``/``, as `Layout` says of queues."""
    if _SHORTENED.fullmatch(key):
        return key
    return _shorten(_escape(key).replace("-", "=2D").replace(".", "=2E"), _GROUP_IN_KEY)


def _key_of(lane: str) -> str:
    """What its folder says of a key: of a long one the folder's name, since what was cut may end within a character."""
    return lane if _SHORTENED.fullmatch(lane) else _unescape(lane)


def key_name(key: str) -> str:
    """What a key is called everywhere but in a producer's call: equal for equal keys, and short.

    Raises:
        ConfigError: that names no key.
    """
    return _key_of(_lane(check_group(key, "key")))


def _unescape(segment: str) -> str:
    return unquote(segment.replace("=", "%"))


def _shorten(name: str, most: int) -> str:
    """The name, if it is not longer than that; otherwise its beginning, ``=_`` and 128 bits of its hash.

    An escaped name never has ``=_``, and a message's id ends with a number, so what was shortened equals nothing else.
    """
    if len(name) <= most:
        return name
    mark = "=_" + sha256(name.encode()).hexdigest()[:32]
    return name[: most - len(mark)] + mark


@dataclass(frozen=True, slots=True)
class Source:
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

    @property
    def is_borrowed(self) -> bool:
        """Whether it is no object of its own: it is never listed, deleted, retired, or in the window."""
        return self.kind in ("dead", "tick")

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
    """The path of a new batch. It has a group or a key, or neither.

    Raises:
        ConfigError: it would not be read back as such. A batch under such a key would be accepted and never run.
    """
    order = MAX_ORDER - sent_ms if newest_first else sent_ms
    lane = "" if key is None else f"k/{_lane(check_group(key, 'key'))}/"
    tail = f"{check_name(queue).translate(_TO_FOLDER)}/{lane}{priority}/{order:013}-{batch}-{count}"
    if expires_ms is not None:
        tail += f"x{expires_ms:013}"
    if gate:
        tail += f"_{gate}"
    if group is not None:
        tail += f"-{_shorten(_escape(check_group(group)), _GROUP_IN_KEY)}"
    path = f"in/{tail}" if due_ms is None else f"later/{due_ms:013}-{tail}"
    if not _SOURCE.fullmatch(path) or count > MAX_BATCH:
        raise ConfigError(f"not the key of a batch: {path!r}", f"1 to {MAX_BATCH} messages")
    return path


#: Kinds of gates: of a ``dedup_id``; of arguments, until their message is over, and while it waits; of a debounced call.
DEDUP, UNIQUE, WAITING, DEBOUNCE = "d", "u", "w", "b"
#: Those that hold only until their message gets its first ticket.
BRIEF = (WAITING, DEBOUNCE)


def gate_of(kind: str, *what: str) -> str:
    """The gate for what must not be there twice."""
    return kind + sha256("\0".join(what).encode()).hexdigest()[:24]


def moved_path(like: Source, *, due_ms: int, batch: str, count: int, attempt: int, alone: bool) -> str:
    """The path for messages of the queue, key and priority of ``like`` that wait for this attempt until then. They have
    begun, and do not expire."""
    lane = f"k/{_lane(like.key)}/" if like.key else ""
    tail = f"{like.queue.translate(_TO_FOLDER)}/{lane}{like.priority}/{like.order:013}-{batch}-{count}"
    return f"later/{due_ms:013}-{tail}.{attempt}{'a' if alone else ''}"


@lru_cache(maxsize=32768)  # more than a board names; some 700 bytes each
def parse_source(path: str) -> Source:
    """Raises `CorruptRecord` where the path is no source's."""
    if path.startswith(BORROWED):
        return _parse_life(path) if path.startswith(_LETTER) else _parse_tick(path)
    match = _SOURCE.fullmatch(path)
    if match is None or not 1 <= int(match["count"]) <= MAX_BATCH:
        raise CorruptRecord(path, "not the key of a batch")
    group, order, batch, priority = match["group"], match["order"], match["batch"], int(match["priority"])
    return Source(
        path,
        match["folder"].translate(_FROM_FOLDER),
        priority,
        int(order),
        batch,
        int(match["count"]),
        # Earlier releases wrote long groups out: they equal what this one makes of them.
        None if group is None else _unescape(_shorten(group, _GROUP_IN_KEY)),
        None if match["due"] is None else int(match["due"]),
        (priority, int(order), batch),
        f"{order}-{batch}",
        int(match["attempt"] or 1),
        match["attempt"] is not None,
        match["alone"] == "a",
        "in" if match["due"] is None else "later",
        key="" if match["key"] is None else _key_of(match["key"]),
        expires_ms=None if match["expires"] is None else int(match["expires"]),
        gate=match["gate"] or "",
    )


def life_path(message: str, life: int) -> str:
    """The path of a further life of a dead message, of which this is the id. Raises `CorruptRecord`: it is none."""
    return f"{_LETTER}{parse_source(parse_message_id(message).path).queue}/{life}/{message}"


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
    """What stands before and behind the time."""
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
    first = parse_source(parse_message_id(match["message"]).path)
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
    )


def _parse_tick(path: str) -> Source:
    match = _TIME.fullmatch(path)
    if match is None:
        raise CorruptRecord(path, "not a tick")
    tick_ms, priority, name = int(match["tick"]), int(match["priority"]), match["object"]
    batch = path.rpartition("-")[2] if match["beside"] else name
    rank = priority, tick_ms, batch
    return Source(path, match["queue"], priority, tick_ms, batch, 1, None, None, rank, path, kind="tick", object=name)


def request_path(ms: int, random: str, *, about_letters: bool = False) -> str:
    """The path of a new request: in the order of their senders' clocks, and never used twice.

    Args:
        about_letters: it is about dead letters, which are looked at beside the cycles.
    """
    return f"{REQUESTS}{ms:013}-{random}{_ABOUT_LETTERS if about_letters else ''}"


def is_about_letters(request: str) -> bool:
    return request.endswith(_ABOUT_LETTERS)


def retired_id(path: str) -> str:
    """What the deduplication window holds of a source, or of a request."""
    return path if path.startswith(REQUESTS) else parse_source(path).id


def forget_parsed(named: int) -> None:
    """Forget what was parsed, once that is much more than the batches that a board names: a coordinator that passes a
    million batches on needs no more memory than one that passes on ten thousand."""
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
    """Unique in a namespace, as tickets are, and longer than what producers make."""
    return f"{epoch:010x}{sequence:010x}"


@dataclass(frozen=True)
class Layout:
    """Where everything is, for one namespace and partition. Prefixes end with a slash.

    Attributes:
        home: prefix of everything that the coordinator surveys.
    """

    root: str = "s3queue"
    part: str = "p00"
    home: str = field(init=False)
    board: str = field(init=False)
    control: str = field(init=False)
    requests: str = field(init=False)
    hosts: str = field(init=False)
    inbox: str = field(init=False)
    later: str = field(init=False)
    retired: str = field(init=False)
    answers: str = field(init=False)
    summary: str = field(init=False)
    results: str = field(init=False)
    gates: str = field(init=False)

    def __post_init__(self) -> None:
        home = f"{self.root}/{self.part}/"
        places = {
            "home": home,
            "board": f"{home}board",
            "control": f"{home}control",
            "hosts": f"{home}hosts/",
            "inbox": f"{home}in/",
        }
        places |= {"later": f"{home}later/", "retired": f"{self.root}/retired/{self.part}/"}
        places |= {"requests": f"{home}{REQUESTS}", "answers": f"{self.root}/answers/{self.part}/"}
        places |= {"summary": f"{self.root}/summary/{self.part}", "results": f"{self.root}/results/{self.part}~"}
        places |= {"gates": f"{self.root}/unique/"}
        for name, place in places.items():
            object.__setattr__(self, name, place)

    def host(self, session: str) -> str:
        return self.hosts + session

    def session(self, key: str) -> str:
        return key.removeprefix(self.hosts)

    def queue(self, queue: str) -> str:
        """Prefix of the batches of a queue that are not scheduled."""
        return f"{self.inbox}{queue.translate(_TO_FOLDER)}/"

    def lanes(self, queue: str) -> str:
        """Greater than every key of a batch of the queue that has no key, and below all of those that have."""
        return f"{self.queue(queue)}9/{END}"

    def lane(self, queue: str, key: str) -> str:
        """Prefix of the batches of a key that are not scheduled."""
        return f"{self.queue(queue)}k/{_lane(key)}/"

    def source(self, path: str) -> str:
        """The object that holds the messages of a source, or the request of which this is the path."""
        if path.startswith(BORROWED):
            source = parse_source(path)
            return self.dead(source.queue, source.message) if source.kind == "dead" else self.schedule(source.object)
        return self.home + path

    def schedule(self, name: str) -> str:
        """Task and payload of a schedule.

        Args:
            name: with its revision: ``{name}.{revision}``.
        """
        return f"{self.root}/schedules/{name}"

    def path(self, key: str) -> str:
        return key.removeprefix(self.home)

    def page(self, epoch: int, number: int) -> str:
        return f"{self.retired}{epoch:010}-{number:010}"

    def answer(self, request: str) -> str:
        """Where the answer to a request is, of which this is the path."""
        return self.answers + request.removeprefix(REQUESTS)

    def lost(self, session: str) -> str:
        """A session's copy of a deleted board."""
        return f"{self.root}/lost/{self.part}/{session}"

    def meta(self, queue: str) -> str:
        return f"{self.root}/meta/{check_name(queue)}"

    def dead(self, queue: str, message: str = "") -> str:
        """The key of a dead letter; without a message, the prefix of all letters of the queue.

        What is cut off an id is behind its time and batch, so letters are listed as their messages were sent.
        """
        return f"{self.root}/dead/{check_name(queue)}/{_shorten(message, MAX_SEGMENT)}"

    def result(self, message: str, life: int = 1) -> str:
        """Where a life of a message leaves what its task returned."""
        name = f"{self.root}/results/{_shorten(message, MAX_SEGMENT - 8)}"
        return name if life == 1 else f"{name}.{life}"

    def payload(self, queue: str, message: str, life: int) -> str:
        """The payload of a dead letter that is too large to be in it, as it is since this life ended."""
        return f"{self.root}/payloads/{check_name(queue)}/{_shorten(message, MAX_SEGMENT - 10)}.{life}"

    def message_id(self, path: str, index: int) -> str:
        if path.startswith(_LETTER):
            return parse_source(path).message
        return f"{self.part}~{path.replace('/', '~')}~{index}"

    def gate(self, queue: str, gate: str) -> str:
        return f"{self.gates}{check_name(queue)}/{gate}"

    def message_ids(self, path: str, count: int) -> list[str]:
        """Of all messages of a batch."""
        start = f"{self.part}~{path.replace('/', '~')}~"
        return [f"{start}{index}" for index in range(count)]


def patterns(root: str, queue: str | None = None) -> dict[str, tuple[str, ...]]:
    """By kind, patterns of all keys of a namespace: ``*`` is any characters, ``?`` one. For policies of a bucket.

    Args:
        queue: only its keys, where keys tell that; the others are those of all queues.
    """
    folder = "*" if queue is None else check_name(queue).translate(_TO_FOLDER)
    name = "*" if queue is None else queue
    ms = "?" * 13
    messages = (f"in~{folder}~*", f"later~{ms}-{folder}~*", f"tick~{name}~*")
    return {
        "board": (f"{root}/p??/board",),
        "control": (f"{root}/p??/control",),
        "requests": (f"{root}/p??/{REQUESTS}*",),
        "hosts": (f"{root}/p??/hosts/*",),
        "inbox": (f"{root}/p??/in/{folder}/*",),
        "later": (f"{root}/p??/{LATER}{ms}-{folder}/*",),
        "meta": (f"{root}/meta/{name}",),
        "summary": (f"{root}/summary/*",),
        "dead": (f"{root}/dead/{name}/*",),
        "payloads": (f"{root}/payloads/{name}/*",),
        "results": tuple(f"{root}/results/p??~{message}" for message in messages),
        "unique": (f"{root}/unique/{name}/*",),
        "answers": (f"{root}/answers/*",),
        "schedules": (f"{root}/schedules/*",),
        "everything": (f"{root}/*",),
    }


@dataclass(frozen=True, slots=True)
class MessageRef:
    part: str
    path: str
    index: int


def parse_message_id(message: str) -> MessageRef:
    """Raises `CorruptRecord` where this is no message's id."""
    part, _, rest = message.partition("~")
    tail, _, index = rest.rpartition("~")
    path = tail.replace("~", "/")
    if not part or not _INDEX.fullmatch(index) or int(index) >= parse_source(path).count:
        raise CorruptRecord(message, "not the id of a message")
    return MessageRef(part, path, int(index))


def ticket_id(epoch: int, sequence: int) -> str:
    return f"{epoch}-{sequence}"


def fencing_token(ticket: str) -> int:
    """One number that only grows: every later ticket has a greater one.

    ``epoch * 2**32 + sequence``; fits a signed 64-bit column.
    """
    epoch, _, sequence = ticket.partition("-")
    return (int(epoch) << 32) + int(sequence)
