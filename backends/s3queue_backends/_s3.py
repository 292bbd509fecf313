"""What the backends for S3 have in common."""

from __future__ import annotations

import base64
import os
import threading
from collections.abc import Callable, Sequence
from hashlib import md5
from typing import Generic, TypeVar
from urllib.parse import urlsplit

from s3queue.errors import ConfigError, StoreDenied, StoreUnavailable, StoreUnsupported
from s3queue.store import Capabilities

T = TypeVar("T")

CONNECT_TIMEOUT_S = 5.0
READ_TIMEOUT_S = 20.0
#: Connections kept open: as many as the threads that one agent reads with.
CONNECTIONS = 72

#: A connection that was not used for so long is closed, not used again, in seconds. Proxies and address translation drop
#: idle connections without a word, and the next request on one would wait for the whole read time-out. Servers close them
#: too (after 5 s, many), and a request that crosses with that is one whose outcome nobody knows.
IDLE_S = 2.0

#: Of every object. Without a type SeaweedFS stores an empty object where a put breaks off after its headers.
CONTENT_TYPE = "application/octet-stream"

#: For how long a signed URL is good, in seconds.
SIGNED_FOR_S = 300

#: Services that take one write per second for each key:
#: https://cloud.google.com/storage/quotas#objects, https://developers.cloudflare.com/r2/platform/limits/
_SLOW_KEYS = (".r2.cloudflarestorage.com", "storage.googleapis.com")


def check_bucket(name: str, scheme: str) -> str:
    """The name itself.

    Raises:
        ConfigError: none is given.
        StoreUnsupported: a directory bucket, whose listings are in no order.
    """
    if not name:
        raise ConfigError("a store needs a bucket", f"for example {scheme}")
    if name.endswith("--x-s3"):
        raise StoreUnsupported("ordered listing", "S3 directory buckets do not list in the order of keys")
    return name


def capabilities(name: str, endpoint: str | None) -> Capabilities:
    host = urlsplit(endpoint).hostname or "" if endpoint else ""
    return Capabilities(name, min_rewrite_s=1.0 if host.endswith(_SLOW_KEYS) else 0.0)


def bare(etag: str) -> str:
    """An ETag without its quotes, which some servers send and some do not."""
    return etag[1:-1] if len(etag) > 1 and etag[0] == etag[-1] == '"' else etag


def version_of(etag: str | None, what: str, place: str) -> str:
    """The version that an answer names.

    Raises:
        StoreUnsupported: it names none.
    """
    if not etag:
        raise StoreUnsupported("versions", f"{place} cannot hold a queue: {what} carries no ETag")
    return bare(etag)


def content_md5(body: bytes) -> str:
    """What the header ``Content-MD5`` says of a body: a server that got less of it stores nothing."""
    return base64.b64encode(md5(body, usedforsecurity=False).digest()).decode()


def headers_of(body: bytes) -> dict[str, str]:
    return {"Content-MD5": content_md5(body), "Content-Type": CONTENT_TYPE}


def quoted(version: str) -> str:
    return version if version.startswith("W/") else f'"{version}"'


def in_thousands(keys: Sequence[str]) -> list[Sequence[str]]:
    return [keys[start : start + 1000] for start in range(0, len(keys), 1000)]


class PerProcess(Generic[T]):
    """Something that must not be shared across a fork, made on first use in each process.

    What a child inherits is left alone: its sockets are the parent's too.
    """

    def __init__(self, make: Callable[[], T]) -> None:
        self._make = make
        self._forget()

    def _forget(self) -> None:
        self._pid = os.getpid()
        self._made: T | None = None
        self._lock = threading.Lock()

    def get(self) -> T:
        if self._pid != os.getpid():
            self._forget()  # the lock as well: the thread that held it was not copied
        made = self._made
        if made is None:
            with self._lock:
                made = self._made
                if made is None:
                    made = self._made = self._make()
        return made

    def drop(self) -> T | None:
        """What this process made, if it did; the next `get` makes it anew."""
        made = self._made if self._pid == os.getpid() else None
        self._forget()
        return made


def check_deleted(errors: Sequence[tuple[str, str]]) -> None:
    """Raise for the first key that a multi-object delete left; those already gone are no error."""
    for key, code in errors:
        if code not in ("NoSuchKey", "NoSuchVersion"):
            kind = StoreDenied if code in ("AccessDenied", "AllAccessDisabled") else StoreUnavailable
            raise kind("delete", key, code)
