"""Deleting."""

from __future__ import annotations

from collections.abc import Sequence

from s3queue.store import Missing, ObjectStore
from s3queue.testing.conformance.acts import Check, expect, fill, must_replace, must_store, pause


def a_delete_is_idempotent(store: ObjectStore, prefix: str) -> None:
    must_store(store, f"{prefix}a", b"one", None)
    store.delete([])
    store.delete([f"{prefix}never"])
    store.delete([f"{prefix}a", f"{prefix}never"])
    expect(store.get(f"{prefix}a"), Missing(), "get after a delete that named a missing object as well")
    store.delete([f"{prefix}a"])


def a_delete_removes_only_what_it_names(store: ObjectStore, prefix: str) -> None:
    fill(store, [f"{prefix}{name}" for name in ("a", "ab", "b", "c/1", "c/2")])
    store.delete([f"{prefix}a", f"{prefix}c/1"])
    left = [f"{prefix}ab", f"{prefix}b", f"{prefix}c/2"]
    expect([entry.key for entry in store.list(prefix)], left, "keys left")


def a_delete_ignores_versions(store: ObjectStore, prefix: str) -> None:
    first = must_store(store, f"{prefix}a", b"one", None)
    must_replace(store, f"{prefix}a", b"two", first)
    pause(store)
    store.delete([f"{prefix}a"])
    expect(store.get(f"{prefix}a"), Missing(), "get after the delete")


def a_delete_takes_more_than_a_thousand_keys(store: ObjectStore, prefix: str) -> None:
    keys = [f"{prefix}{n:05}" for n in range(1002)]
    fill(store, keys)
    store.delete(keys[:1001])
    expect([entry.key for entry in store.list(prefix)], keys[1001:], "keys left of 1,002")


CHECKS: Sequence[Check] = (
    a_delete_is_idempotent,
    a_delete_removes_only_what_it_names,
    a_delete_ignores_versions,
    a_delete_takes_more_than_a_thousand_keys,
)
