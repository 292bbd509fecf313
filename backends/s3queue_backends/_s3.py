"""Helpers of the backends for S3."""

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
from s3queue_backends import _urls

T = TypeVar("T")

CONNECT_TIMEOUT_S = 5.0
READ_TIMEOUT_S = 20.0
#: Connections kept open: as many as the threads that one agent reads with.
CONNECTIONS = 72

#: What the URL of every store here may set, and how it is read.
URL_SETTINGS: dict[str, Callable[[str], object]] = {
    "connect_timeout_s": _urls.seconds,
    "read_timeout_s": _urls.seconds,
    "connections": int,
}

#: Seconds after which an idle connection is closed instead of reused. Proxies and address translation drop idle
#: connections silently, and the next request on one would wait for the whole read time-out. Many servers close them after
#: 5 s, and a request that crosses with that has an unknown outcome.
IDLE_S = 2.0

#: Type of every object. Without one, SeaweedFS stores an empty object if a put breaks off after its headers.
CONTENT_TYPE = "application/octet-stream"

#: Seconds for which a signed URL is valid.
SIGNED_FOR_S = 300

#: Services that take one write per second for each key:
#: https://cloud.google.com/storage/quotas#objects, https://developers.cloudflare.com/r2/platform/limits/
_SLOW_KEYS = (".r2.cloudflarestorage.com", "storage.googleapis.com")


def check_bucket(name: str, scheme: str) -> str:
    """The name of a bucket, unchanged.

    Raises:
        ConfigError: it is empty.
        StoreUnsupported: it is a directory bucket, whose listings are not ordered.
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
    """The version in an answer.

    Raises:
        StoreUnsupported: the answer has none.
    """
    if not etag:
        raise StoreUnsupported("versions", f"{place} cannot hold a queue: {what} carries no ETag")
    return bare(etag)


def content_md5(body: bytes) -> str:
    """The value of the header ``Content-MD5``. With it a server refuses a truncated body."""
    return base64.b64encode(md5(body, usedforsecurity=False).digest()).decode()


def headers_of(body: bytes) -> dict[str, str]:
    return {"Content-MD5": content_md5(body), "Content-Type": CONTENT_TYPE}


def quoted(version: str) -> str:
    return version if version.startswith("W/") else f'"{version}"'


def in_thousands(keys: Sequence[str]) -> list[Sequence[str]]:
    return [keys[start : start + 1000] for start in range(0, len(keys), 1000)]


class PerProcess(Generic[T]):
    """A value that must not be shared across a fork: each process makes its own on first use.

    A child leaves the inherited value alone, because its sockets are also those of the parent.
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
        """Take the value of this process; the next `get` makes a new one. None: there is none."""
        made = self._made if self._pid == os.getpid() else None
        self._forget()
        return made


def check_deleted(errors: Sequence[tuple[str, str]]) -> None:
    """Raise `StoreDenied` or `StoreUnavailable` for the first key that a multi-object delete left. Missing keys are no
    error."""
    for key, code in errors:
        if code not in ("NoSuchKey", "NoSuchVersion"):
            kind = StoreDenied if code in ("AccessDenied", "AllAccessDisabled") else StoreUnavailable
            raise kind("delete", key, code)
