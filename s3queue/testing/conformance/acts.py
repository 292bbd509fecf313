"""The operations of checks on a store, and how they report a failure."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from s3queue.errors import StoreError, StoreUnavailable
from s3queue.store import Conflict, Found, ObjectStore, Stored

T = TypeVar("T")
Check = Callable[[ObjectStore, str], None]


class NotConforming(AssertionError):
    """The store does not keep a promise of `s3queue.store`."""


def clear(store: ObjectStore, prefix: str) -> None:
    last: list[str] = []
    while keys := [entry.key for entry in store.list(prefix)]:
        if keys == last:
            raise NotConforming(f"delete of {len(keys)} objects: expected none left, got {short(keys)}")
        store.delete(keys)
        last = keys


def expect(got: object, wanted: object, what: str) -> None:
    got = list(got) if isinstance(wanted, list) and isinstance(got, Sequence) else got
    same = type(got) is type(wanted) and got == wanted
    if not same:
        raise NotConforming(f"{what}: expected {short(wanted)}, got {short(got)}")


def short(value: object) -> str:
    text = repr(value)
    return text if len(text) < 1000 else f"{text[:500]} … {text[-500:]}"


def expect_two(one: object, other: object, what: str) -> None:
    if one == other:
        raise NotConforming(f"{what}: expected two, got {short(one)} twice")


def expect_error(kind: type[StoreError], call: Callable[[], object]) -> None:
    try:
        outcome = call()
    except StoreError as error:
        if type(error) is not kind:
            raise NotConforming(f"expected {kind.__name__}, got {type(error).__name__}: {error}") from error
    else:
        raise NotConforming(f"expected {kind.__name__}, got {short(outcome)}")


def pause(store: ObjectStore) -> None:
    """Wait as long as the store requires between two writes of one key."""
    if store.capabilities.min_rewrite_s:
        time.sleep(store.capabilities.min_rewrite_s)


def put_patiently(store: ObjectStore, key: str, body: bytes, version: str | None) -> Stored | Conflict:
    """Put, and try again while the store answers that nothing was applied, as callers do."""
    for _ in range(50):
        try:
            return store.put(key, body, if_version=version)
        except StoreUnavailable:
            pause(store)
    raise NotConforming(f"put {key!r}: unavailable 50 times in a row")


def must_store(store: ObjectStore, key: str, body: bytes, version: str | None) -> str:
    outcome = put_patiently(store, key, body, version)
    if not isinstance(outcome, Stored):
        raise NotConforming(f"put {key!r}: expected Stored, got {short(outcome)}")
    return outcome.version


def must_replace(store: ObjectStore, key: str, body: bytes, version: str) -> str:
    pause(store)
    return must_store(store, key, body, version)


def must_find(store: ObjectStore, key: str) -> Found:
    outcome = store.get(key)
    if not isinstance(outcome, Found):
        raise NotConforming(f"get {key!r}: expected Found, got {short(outcome)}")
    return outcome


def fill(store: ObjectStore, keys: Sequence[str]) -> None:
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda key: must_store(store, key, b"x", None), keys))


def new_and_old(store: ObjectStore, prefix: str) -> Iterator[tuple[str, str | None]]:
    """A key to create, then a key to replace, each with the version to name."""
    yield f"{prefix}new", None
    made = must_store(store, f"{prefix}old", b"before", None)
    pause(store)
    yield f"{prefix}old", made
