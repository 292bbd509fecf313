"""Creating and replacing, by compare-and-swap."""

from __future__ import annotations

from collections.abc import Sequence

from s3queue.store import Conflict, Found, Missing, ObjectStore
from s3queue.testing.conformance.acts import Check, expect, expect_two, must_find, must_replace, must_store, pause


def a_created_object_is_read_back(store: ObjectStore, prefix: str) -> None:
    made = must_store(store, f"{prefix}a", b"one", None)
    expect(store.get(f"{prefix}a"), Found(b"one", made), "get after a create")


def a_second_create_conflicts_and_changes_nothing(store: ObjectStore, prefix: str) -> None:
    made = must_store(store, f"{prefix}a", b"one", None)
    expect(store.put(f"{prefix}a", b"two", if_version=None), Conflict(), "create of an object that is there")
    expect(store.put(f"{prefix}a", b"one", if_version=None), Conflict(), "create of an equal object that is there")
    expect(store.get(f"{prefix}a"), Found(b"one", made), "get after a refused create")


def a_replace_names_the_version_it_replaces(store: ObjectStore, prefix: str) -> None:
    first = must_store(store, f"{prefix}a", b"one", None)
    second = must_replace(store, f"{prefix}a", b"two", first)
    expect_two(first, second, "versions of different bodies")
    expect(store.get(f"{prefix}a"), Found(b"two", second), "get after a replace")
    third = must_replace(store, f"{prefix}a", b"three", second)
    expect(store.get(f"{prefix}a"), Found(b"three", third), "get after a second replace")


def a_stale_replace_conflicts_and_changes_nothing(store: ObjectStore, prefix: str) -> None:
    first = must_store(store, f"{prefix}a", b"one", None)
    second = must_replace(store, f"{prefix}a", b"two", first)
    pause(store)
    expect(store.put(f"{prefix}a", b"three", if_version=first), Conflict(), "replace of an older version")
    expect(store.get(f"{prefix}a"), Found(b"two", second), "get after a refused replace")


def a_version_read_by_get_can_be_replaced(store: ObjectStore, prefix: str) -> None:
    must_store(store, f"{prefix}a", b"one", None)
    must_replace(store, f"{prefix}a", b"two", must_find(store, f"{prefix}a").version)


def a_version_from_a_listing_can_be_replaced(store: ObjectStore, prefix: str) -> None:
    must_store(store, f"{prefix}a", b"one", None)
    must_replace(store, f"{prefix}a", b"two", store.list(prefix)[0].version)


def a_replace_with_an_equal_body_succeeds(store: ObjectStore, prefix: str) -> None:
    made = must_store(store, f"{prefix}a", b"one", None)
    again = must_replace(store, f"{prefix}a", b"one", made)
    expect(store.get(f"{prefix}a"), Found(b"one", again), "get after a replace with an equal body")


def a_version_of_another_object_does_not_match(store: ObjectStore, prefix: str) -> None:
    made = must_store(store, f"{prefix}a", b"one", None)
    other = must_store(store, f"{prefix}b", b"two", None)
    pause(store)
    expect(store.put(f"{prefix}a", b"three", if_version=other), Conflict(), "replace naming another object's version")
    expect(store.get(f"{prefix}a"), Found(b"one", made), "get after it")


def a_replace_of_a_missing_object_conflicts_and_creates_nothing(store: ObjectStore, prefix: str) -> None:
    made = must_store(store, f"{prefix}a", b"one", None)
    expect(store.put(f"{prefix}b", b"two", if_version=made), Conflict(), "replace of an object that never was")
    expect(store.get(f"{prefix}b"), Missing(), "get after it")
    pause(store)
    store.delete([f"{prefix}a"])
    expect(store.put(f"{prefix}a", b"two", if_version=made), Conflict(), "replace of an object that was removed")
    expect(store.get(f"{prefix}a"), Missing(), "get after it")


def a_removed_object_can_be_created_anew(store: ObjectStore, prefix: str) -> None:
    must_store(store, f"{prefix}a", b"one", None)
    pause(store)
    store.delete([f"{prefix}a"])
    pause(store)
    again = must_store(store, f"{prefix}a", b"two", None)
    expect(store.get(f"{prefix}a"), Found(b"two", again), "get after the second create")


CHECKS: Sequence[Check] = (
    a_created_object_is_read_back,
    a_second_create_conflicts_and_changes_nothing,
    a_replace_names_the_version_it_replaces,
    a_stale_replace_conflicts_and_changes_nothing,
    a_version_read_by_get_can_be_replaced,
    a_version_from_a_listing_can_be_replaced,
    a_replace_with_an_equal_body_succeeds,
    a_version_of_another_object_does_not_match,
    a_replace_of_a_missing_object_conflicts_and_creates_nothing,
    a_removed_object_can_be_created_anew,
)
