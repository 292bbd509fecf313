"""The four operations that s3queue needs of a bucket, and their outcomes.

Everything that s3queue knows about storage is in this file. A backend is any class with these methods: no base class,
no registration beyond an entry point in the group ``s3queue.backends``. Check one with
`s3queue.testing.conformance`.

A backend must promise that reads and listings see every write that was answered before they were sent, that a
conditional put is atomic among all writers, and that a put takes effect, if ever, within minutes of being sent. Nothing
else is required: no conditional delete, no server-side clock, no notifications.

A store object is a *description*: cheap to build, picklable, without a connection. It connects on first use, in the
process (and where a client demands it, the thread) that uses it, so one that was built before a fork may be used after
it, on both sides.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple, Protocol, runtime_checkable

from s3queue.errors import ConfigError

__all__ = [
    "Capabilities",
    "Conflict",
    "Found",
    "HasClock",
    "KeepsVersions",
    "Listed",
    "Missing",
    "ObjectStore",
    "Shareable",
    "SignsPuts",
    "Stored",
    "Unchanged",
    "as_store",
    "open_store",
]


class Capabilities(NamedTuple):
    """Properties of a store that s3queue needs before it uses the store.

    Attributes:
        name: short name for people and metrics, such as ``sqlite`` or ``minio``.
        min_rewrite_s: seconds between two writes of one key that the store allows at least. GCS and R2: 1.0
            (https://cloud.google.com/storage/quotas, https://developers.cloudflare.com/r2/platform/limits/).
        max_body_bytes: bytes of the largest body of one put. S3 takes 5 GB in one PUT
            (https://docs.aws.amazon.com/AmazonS3/latest/userguide/upload-objects.html).
        list_is_ordered: whether `ObjectStore.list` can page in byte order of the keys. Required to be True today;
            S3 Express directory buckets are refused for it.
        requests_cost: whether the store is billed or shared with others. If so, the coordinator is paced; if not (SQLite,
            memory), it runs as fast as it can.
    """

    name: str
    min_rewrite_s: float = 0.0
    max_body_bytes: int = 5_000_000_000
    list_is_ordered: bool = True
    requests_cost: bool = True


class Found(NamedTuple):
    """The object, and the version that a conditional put may name."""

    body: bytes
    version: str


class Unchanged(NamedTuple):
    """The object still has the version that the get named in ``unless``; no body was sent."""


class Missing(NamedTuple):
    """There is no object under this key."""


class Stored(NamedTuple):
    """The put took effect; the object now has this version."""

    version: str


class Conflict(NamedTuple):
    """The condition did not hold; this put changed nothing."""


class Listed(NamedTuple):
    """One object in a listing: its key, the version that `ObjectStore.get` would report, its size in bytes."""

    key: str
    version: str
    size: int


@runtime_checkable
class ObjectStore(Protocol):
    """A bucket with conditional writes.

    Every method may raise `StoreUnavailable` (not applied: the caller tries again) and `StoreDenied`. Only ``put`` may
    raise `OutcomeUnknown`. Methods may be called from many threads at once.
    """

    @property
    def capabilities(self) -> Capabilities:
        """What this store can do. No request."""
        ...

    @property
    def url(self) -> str:
        """Where this store is, without any secret: two stores with one URL are the same store."""
        ...

    def get(self, key: str, *, unless: str | None = None) -> Found | Unchanged | Missing:
        """Read an object, or learn that it still has the version ``unless``. One GET."""
        ...

    def put(self, key: str, body: bytes, *, if_version: str | None) -> Stored | Conflict:
        """Create the object if there is none (``if_version=None``), or replace exactly that version. One PUT.

        Replacing a missing object is a `Conflict`. Never sent twice by the backend itself: an SDK that retries a
        conditional put reports a conflict with its own first try. A reply that only says "try again" (S3's 409) may
        be resent, since nothing was applied.

        Raises:
            OutcomeUnknown: sent, not answered.
            StoreUnavailable: certainly not applied.
        """
        ...

    def delete(self, keys: Sequence[str]) -> None:
        """Remove the objects, whatever their version; those already gone are no error. One request per 1,000 keys
        where the store can (per key where it cannot)."""
        ...

    def list(self, prefix: str, *, after: str = "", limit: int = 1000) -> Sequence[Listed]:
        """The first ``limit`` (at most 1,000) objects whose key starts with ``prefix`` and is greater than ``after``,
        in byte order of the UTF-8 key. Fewer than ``limit`` means that there are no more. One LIST."""
        ...

    def close(self) -> None:
        """Give up connections. Using the store again opens new ones."""
        ...


@runtime_checkable
class SignsPuts(Protocol):
    """A store behind HTTP that can say how a put looks."""

    def sign_put(self, key: str, body: bytes) -> tuple[str, Mapping[str, str]] | None:
        """A URL that this body may be put to, and the headers that describe it. No request. None: not with this
        service."""
        ...


@runtime_checkable
class KeepsVersions(Protocol):
    """A store whose bucket may keep replaced objects."""

    def keeps_versions(self, key: str) -> bool:
        """Whether it did so with this object. One request."""
        ...


@runtime_checkable
class HasClock(Protocol):
    """A store whose server tells the time."""

    def clock(self, key: str) -> float:
        """The server's time around the last write of this object, in seconds since 1970, to the second."""
        ...


@runtime_checkable
class Shareable(Protocol):
    """A store whose content lives in this process, and that can be handed to other processes."""

    def share(self) -> None:
        """Move the content to where child processes reach it, until `ObjectStore.close`. Called by `Supervisor` before it
        forks; pickling and forking work afterwards."""
        ...


def open_store(url: str) -> ObjectStore:
    """The store that a URL names, opened through the entry points in the group ``s3queue.backends``.

    The scheme selects the backend, whose class is called as ``Backend.from_url(url)``. Nothing is connected yet, and
    no request is made.

    Raises:
        ConfigError: unknown scheme, a backend whose SDK is not installed, or a URL that the backend cannot read.
    """
    from importlib.metadata import entry_points  # a quarter of what importing this package would take

    scheme, separator, _ = url.partition("://")
    if not separator:
        raise ConfigError(f"not a store URL: {url!r}", "for example sqlite:////var/lib/jobs.db or s3://bucket/prefix")
    known = {point.name: point for point in entry_points(group="s3queue.backends")}
    if scheme not in known:
        raise ConfigError(f"no backend for {scheme}:// is installed", "known here: " + ", ".join(sorted(known)))
    try:
        backend = known[scheme].load()
    except ImportError as missing:
        extra = {"s3": "boto3", "minio": "minio"}.get(scheme, "obstore")
        raise ConfigError(
            f"the backend for {scheme}:// needs {missing.name or 'a package'}", f"pip install 's3queue[{extra}]'"
        ) from missing
    store: ObjectStore = backend.from_url(url)
    return store


def as_store(store: object) -> ObjectStore:
    """The store itself, or the one that the URL names.

    Raises:
        ConfigError: it is neither.
    """
    if isinstance(store, str):
        return open_store(store)
    if not isinstance(store, ObjectStore):
        raise ConfigError(f"neither a store nor its URL: {store!r}", "for example sqlite:////var/lib/jobs.db")
    return store
