"""Reading: a read returns exactly what was written last."""

from __future__ import annotations

from collections.abc import Sequence

from s3queue.store import Conflict, Found, Listed, Missing, ObjectStore, Unchanged
from s3queue.testing.conformance.acts import Check, expect, must_find, must_replace, must_store, pause


def reads_follow_writes(store: ObjectStore, prefix: str) -> None:
    for n in range(10):
        key = f"{prefix}{n}"
        expect(store.get(key), Missing(), "get before the create")
        first = must_store(store, key, b"one %d" % n, None)
        expect(store.get(key), Found(b"one %d" % n, first), "get right after the create")
        second = must_replace(store, key, b"two %d" % n, first)
        expect(store.get(key), Found(b"two %d" % n, second), "get right after the replace")
        store.delete([key])
        expect(store.get(key), Missing(), "get right after the delete")


def listings_follow_writes(store: ObjectStore, prefix: str) -> None:
    for n in range(10):
        key = f"{prefix}{n}"
        first = must_store(store, key, b"one", None)
        expect(store.list(prefix), [Listed(key, first, 3)], "list right after the create")
        second = must_replace(store, key, b"number two", first)
        expect(store.list(prefix), [Listed(key, second, 10)], "list right after the replace")
        store.delete([key])
        expect(store.list(prefix), [], "list right after the delete")


def a_get_unless_a_version_sends_only_what_changed(store: ObjectStore, prefix: str) -> None:
    first = must_store(store, f"{prefix}a", b"one", None)
    expect(store.get(f"{prefix}a", unless=first), Unchanged(), "get unless the current version")
    second = must_replace(store, f"{prefix}a", b"two", first)
    expect(store.get(f"{prefix}a", unless=first), Found(b"two", second), "get unless an older version")
    expect(store.get(f"{prefix}a", unless=second), Unchanged(), "get unless the new version")
    expect(store.get(f"{prefix}b", unless=first), Missing(), "get of a missing object unless a version")
    pause(store)
    store.delete([f"{prefix}a"])
    expect(store.get(f"{prefix}a", unless=second), Missing(), "get of a removed object unless its last version")


def an_empty_body_is_kept(store: ObjectStore, prefix: str) -> None:
    made = must_store(store, f"{prefix}a", b"", None)
    expect(store.get(f"{prefix}a"), Found(b"", made), "get of an empty object")
    expect(store.list(prefix), [Listed(f"{prefix}a", made, 0)], "list with an empty object")


def any_bytes_are_kept(store: ObjectStore, prefix: str) -> None:
    body = bytes(range(256)) * 5 + b"\r\n\r\n\0"
    made = must_store(store, f"{prefix}a", body, None)
    expect(store.get(f"{prefix}a"), Found(body, made), "get of an object with every byte in it")
    expect(type(must_find(store, f"{prefix}a").body), bytes, "type of a body")


def a_large_body_is_kept(store: ObjectStore, prefix: str, largest: int = 12_000_000) -> None:
    """The largest body that the store takes, or ``largest`` bytes if that is less.

    The default is above the size at which SDKs split a body into parts: a body in parts is not one conditional put.
    """
    size = min(store.capabilities.max_body_bytes, largest)
    body = (b"0123456789abcdef" * (size // 16 + 1))[:size]
    made = must_store(store, f"{prefix}a", body, None)
    expect(store.put(f"{prefix}a", body, if_version=None), Conflict(), "second create of a large object")
    found = must_find(store, f"{prefix}a")
    expect((len(found.body), found.version, found.body == body), (size, made, True), "size, version, equality")
    expect(store.list(prefix), [Listed(f"{prefix}a", made, size)], "list with a large object")


CHECKS: Sequence[Check] = (
    reads_follow_writes,
    listings_follow_writes,
    a_get_unless_a_version_sends_only_what_changed,
    an_empty_body_is_kept,
    any_bytes_are_kept,
    a_large_body_is_kept,
)
