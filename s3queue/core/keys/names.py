"""Names in keys: of queues, groups and keys of messages. What may stand in a key, and what is cut."""

from __future__ import annotations

import re
from functools import lru_cache
from hashlib import sha256
from urllib.parse import quote, unquote

from s3queue.errors import ConfigError

#: The longest part of a key between two slashes, in bytes: a file's name has 255 at most, and some servers append to it.
MAX_SEGMENT = 200
#: The longest name of a group or a key, in characters.
MAX_GROUP = 300
#: Most bytes of a group in a key: what a segment has left beside order, batch and count.
GROUP_IN_KEY = 128
_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,99}")
#: The folder of a key whose name was cut, see `shorten`.
_SHORTENED = re.compile(r"(?=.{128}\Z)[A-Za-z0-9_=]+=_[0-9a-f]{32}", re.ASCII)


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


@lru_cache(maxsize=4096)
def folder_of(queue: str) -> str:
    """The folder of a queue. Its name has no character below ``/``. Raises `ConfigError`: as `check_name`."""
    return check_name(queue).translate(_TO_FOLDER)


@lru_cache(maxsize=4096)
def queue_of(folder: str) -> str:
    """The queue with this folder."""
    return folder.translate(_FROM_FOLDER)


def check_group(group: str, what: str = "group") -> str:
    """The name itself, if it may name a group or a key.

    Raises:
        ConfigError: it may not: empty, too long, or no text (a lone surrogate).
    """
    if isinstance(group, str) and 1 <= len(group) <= MAX_GROUP:
        try:
            escape(group)
        except UnicodeEncodeError:
            pass
        else:
            return group
    raise ConfigError(f"not a {what}: {group!r}", f"1 to {MAX_GROUP} characters")


def escape(group: str) -> str:
    return quote(group, safe="").replace("~", "%7E").replace("%", "=")


def lane_of(key: str) -> str:
    """The folder of a key. Its name has no character below ``/``, as `Layout` says of queues."""
    if _SHORTENED.fullmatch(key):
        return key
    return shorten(escape(key).replace("-", "=2D").replace(".", "=2E"), GROUP_IN_KEY)


def key_of(lane: str) -> str:
    """The key that a folder stands for; for a long key the name of the folder, since the cut may be within a character."""
    return lane if _SHORTENED.fullmatch(lane) else unescape(lane)


def key_name(key: str) -> str:
    """The name of a key everywhere but in a producer's call: equal for equal keys, and short.

    Raises:
        ConfigError: that names no key.
    """
    return key_of(lane_of(check_group(key, "key")))


def unescape(segment: str) -> str:
    return unquote(segment.replace("=", "%"))


def shorten(name: str, most: int) -> str:
    """The name, if it is not longer than that; otherwise its beginning, ``=_`` and 128 bits of its hash.

    An escaped name never has ``=_``, and a message's id ends with a number, so what was shortened equals nothing else.
    """
    if len(name) <= most:
        return name
    mark = "=_" + sha256(name.encode()).hexdigest()[:32]
    return name[: most - len(mark)] + mark
