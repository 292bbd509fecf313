"""Where everything is: the keys of one namespace and partition."""

from __future__ import annotations

from dataclasses import dataclass, field

from s3queue.core.keys.names import (
    MAX_SEGMENT,
    check_name,
    folder_of,
    lane_of,
    shorten,
)
from s3queue.core.keys.paths import BORROWED, LATER, LETTER, parse_source
from s3queue.core.keys.requests import REQUESTS

#: Greater than every key that continues the string before it: U+10FFFF is the last code point in byte order.
END = "\U0010ffff"


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
        return f"{self.inbox}{folder_of(queue)}/"

    def lanes(self, queue: str) -> str:
        """Greater than the keys of all batches of the queue without a message key, and less than those of all batches with
        one."""
        return f"{self.queue(queue)}9/{END}"

    def lane(self, queue: str, key: str) -> str:
        """Prefix of the batches of a key that are not scheduled."""
        return f"{self.queue(queue)}k/{lane_of(key)}/"

    def source(self, path: str) -> str:
        """The object that holds the messages of a source, or the request with this path."""
        if path.startswith(BORROWED):
            source = parse_source(path)
            return self.dead(source.queue, source.message) if source.kind == "dead" else self.schedule(source.object)
        return self.home + path

    def key(self, path: str) -> str:
        """The key of a path that names an object of its own, as most sources and all requests do. `path` is the inverse."""
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
        """The key of the answer to the request with this path."""
        return self.answers + request.removeprefix(REQUESTS)

    def aside(self, request: str) -> str:
        """The key of the copy of an unreadable request with this path."""
        return f"{self.root}/aside/{self.part}/{request.removeprefix(REQUESTS)}"

    def lost(self, session: str) -> str:
        """A session's copy of a deleted board."""
        return f"{self.root}/lost/{self.part}/{session}"

    def meta(self, queue: str) -> str:
        return f"{self.root}/meta/{check_name(queue)}"

    def dead(self, queue: str, message: str = "") -> str:
        """The key of a dead letter; without a message, the prefix of all letters of the queue.

        What is cut off an id is behind its time and batch, so letters are listed as their messages were sent.
        """
        return f"{self.root}/dead/{check_name(queue)}/{shorten(message, MAX_SEGMENT)}"

    def result(self, message: str, life: int = 1) -> str:
        """The key of the result of one life of a message."""
        name = f"{self.root}/results/{shorten(message, MAX_SEGMENT - 8)}"
        return name if life == 1 else f"{name}.{life}"

    def payload(self, queue: str, message: str, life: int) -> str:
        """The key of the payload of a dead letter, if it is too large to be in the letter; as it is since this life
        ended."""
        return f"{self.root}/payloads/{check_name(queue)}/{shorten(message, MAX_SEGMENT - 10)}.{life}"

    def message_id(self, path: str, index: int) -> str:
        if path.startswith(LETTER):
            return parse_source(path).message
        return f"{self.part}~{path.replace('/', '~')}~{index}"

    def gate(self, queue: str, gate: str) -> str:
        return f"{self.gates}{check_name(queue)}/{gate}"

    def message_ids(self, path: str, count: int) -> list[str]:
        """Of all messages of a batch."""
        start = f"{self.part}~{path.replace('/', '~')}~"
        if count == 1:
            return [f"{start}0"]
        return [f"{start}{index}" for index in range(count)]


def patterns(root: str, queue: str | None = None) -> dict[str, tuple[str, ...]]:
    """By kind, patterns of all keys of a namespace: ``*`` is any characters, ``?`` one. For policies of a bucket.

    Args:
        queue: only its keys, where keys tell that; the others are those of all queues.
    """
    folder = "*" if queue is None else folder_of(queue)
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
        "aside": (f"{root}/aside/*",),
        "schedules": (f"{root}/schedules/*",),
        "everything": (f"{root}/*",),
    }
