"""What a store must do, as plain functions. Any test runner will do::

    @pytest.mark.parametrize("check", conformance.CHECKS, ids=lambda check: check.__name__)
    def test_my_store(check):
        conformance.run(check, MyStore(...))

A check takes a store and a prefix of its own, and raises `NotConforming` saying what was expected and what came. It
never looks at a clock. Checks with processes hand the store to forked and spawned children, so it must be picklable, or
`s3queue.store.Shareable`.

`CHECKS` is what the queue relies on. `FAULT_CHECKS` are about requests that go unanswered; they need something that
loses them, see `Faults`. `STRICTER` is promised by `s3queue.store` and not used by the queue, and some stores fail it.
"""

from __future__ import annotations

import threading
import time
import uuid
import warnings
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from typing import Any, NamedTuple, Protocol, TypeVar

from s3queue.errors import OutcomeUnknown, StoreError, StoreUnavailable
from s3queue.store import Conflict, Found, Listed, Missing, ObjectStore, Shareable, Stored, Unchanged

__all__ = ["CHECKS", "FAULT_CHECKS", "STRICTER", "Check", "FaultCheck", "Faults", "NotConforming", "run"]

T = TypeVar("T")
Check = Callable[[ObjectStore, str], None]

#: How long children may take before a check fails; generous, since it only bounds a hang. Seconds.
_PATIENCE_S = 120.0
#: Threads that race for one key, and how often they do. SeaweedFS lets a loser wait for a second or more.
_WRITERS, _ROUNDS = 8, 2


class NotConforming(AssertionError):
    """A store does not do what `s3queue.store` promises."""


def run(check: Check, store: ObjectStore, *, root: str = "conformance") -> None:
    """Run one check below a fresh prefix, and remove what it left behind.

    Args:
        root: first part of the prefix; everything else below it is left alone.
    """
    prefix = f"{root}/{check.__name__}-{uuid.uuid4().hex[:12]}/"
    try:
        check(store, prefix)
    finally:
        _clear(store, prefix)


# Creating and replacing -------------------------------------------------------------------------------------------


def a_created_object_is_read_back(store: ObjectStore, prefix: str) -> None:
    made = _stored(store, f"{prefix}a", b"one", None)
    _is(store.get(f"{prefix}a"), Found(b"one", made), "get after a create")


def a_second_create_conflicts_and_changes_nothing(store: ObjectStore, prefix: str) -> None:
    made = _stored(store, f"{prefix}a", b"one", None)
    _is(store.put(f"{prefix}a", b"two", if_version=None), Conflict(), "create of an object that is there")
    _is(store.put(f"{prefix}a", b"one", if_version=None), Conflict(), "create of an equal object that is there")
    _is(store.get(f"{prefix}a"), Found(b"one", made), "get after a refused create")


def a_replace_names_the_version_it_replaces(store: ObjectStore, prefix: str) -> None:
    first = _stored(store, f"{prefix}a", b"one", None)
    second = _rewritten(store, f"{prefix}a", b"two", first)
    _differ(first, second, "versions of different bodies")
    _is(store.get(f"{prefix}a"), Found(b"two", second), "get after a replace")
    third = _rewritten(store, f"{prefix}a", b"three", second)
    _is(store.get(f"{prefix}a"), Found(b"three", third), "get after a second replace")


def a_stale_replace_conflicts_and_changes_nothing(store: ObjectStore, prefix: str) -> None:
    first = _stored(store, f"{prefix}a", b"one", None)
    second = _rewritten(store, f"{prefix}a", b"two", first)
    _pause(store)
    _is(store.put(f"{prefix}a", b"three", if_version=first), Conflict(), "replace of an older version")
    _is(store.get(f"{prefix}a"), Found(b"two", second), "get after a refused replace")


def a_version_read_by_get_can_be_replaced(store: ObjectStore, prefix: str) -> None:
    _stored(store, f"{prefix}a", b"one", None)
    _rewritten(store, f"{prefix}a", b"two", _found(store, f"{prefix}a").version)


def a_version_from_a_listing_can_be_replaced(store: ObjectStore, prefix: str) -> None:
    _stored(store, f"{prefix}a", b"one", None)
    _rewritten(store, f"{prefix}a", b"two", store.list(prefix)[0].version)


def a_replace_with_an_equal_body_succeeds(store: ObjectStore, prefix: str) -> None:
    made = _stored(store, f"{prefix}a", b"one", None)
    again = _rewritten(store, f"{prefix}a", b"one", made)
    _is(store.get(f"{prefix}a"), Found(b"one", again), "get after a replace with an equal body")


def a_version_of_another_object_does_not_match(store: ObjectStore, prefix: str) -> None:
    made = _stored(store, f"{prefix}a", b"one", None)
    other = _stored(store, f"{prefix}b", b"two", None)
    _pause(store)
    _is(store.put(f"{prefix}a", b"three", if_version=other), Conflict(), "replace naming another object's version")
    _is(store.get(f"{prefix}a"), Found(b"one", made), "get after it")


def a_replace_of_a_missing_object_conflicts_and_creates_nothing(store: ObjectStore, prefix: str) -> None:
    made = _stored(store, f"{prefix}a", b"one", None)
    _is(store.put(f"{prefix}b", b"two", if_version=made), Conflict(), "replace of an object that never was")
    _is(store.get(f"{prefix}b"), Missing(), "get after it")
    _pause(store)
    store.delete([f"{prefix}a"])
    _is(store.put(f"{prefix}a", b"two", if_version=made), Conflict(), "replace of an object that was removed")
    _is(store.get(f"{prefix}a"), Missing(), "get after it")


def a_removed_object_can_be_created_anew(store: ObjectStore, prefix: str) -> None:
    _stored(store, f"{prefix}a", b"one", None)
    _pause(store)
    store.delete([f"{prefix}a"])
    _pause(store)
    again = _stored(store, f"{prefix}a", b"two", None)
    _is(store.get(f"{prefix}a"), Found(b"two", again), "get after the second create")


# Many writers -----------------------------------------------------------------------------------------------------


def one_of_many_threads_creates(store: ObjectStore, prefix: str) -> None:
    barrier = threading.Barrier(_WRITERS)
    for n in range(_ROUNDS):
        key = f"{prefix}{n}"

        def create(writer: int, key: str = key) -> bool:
            barrier.wait(_PATIENCE_S)
            return isinstance(_put(store, key, b"writer %d" % writer, None), Stored)

        won = _in_threads(create, _WRITERS)
        _is(won.count(True), 1, f"creates of {key!r} that succeeded among {_WRITERS} threads")
        _is(_found(store, key).body, b"writer %d" % won.index(True), "body written by the thread that succeeded")


def one_of_many_threads_replaces(store: ObjectStore, prefix: str) -> None:
    barrier = threading.Barrier(_WRITERS)
    for n in range(_ROUNDS):
        key = f"{prefix}{n}"
        first = _stored(store, key, b"first", None)
        _pause(store)

        def replace(writer: int, key: str = key, first: str = first) -> bool:
            barrier.wait(_PATIENCE_S)
            return isinstance(_put(store, key, b"writer %d" % writer, first), Stored)

        won = _in_threads(replace, _WRITERS)
        _is(won.count(True), 1, f"replaces of one version of {key!r} that succeeded among {_WRITERS} threads")
        _is(_found(store, key).body, b"writer %d" % won.index(True), "body written by the thread that succeeded")


def no_update_is_lost_among_threads(store: ObjectStore, prefix: str) -> None:
    key, each = f"{prefix}counter", 10 if store.capabilities.min_rewrite_s == 0 else 1
    _stored(store, key, b"0 start", None)
    barrier = threading.Barrier(6)
    _in_threads(lambda writer: _count_up(store, key, each, writer, barrier), 6)
    _is(int(_found(store, key).body.split()[0]), 6 * each, "a counter after 6 threads counted")


def no_update_is_lost_among_processes(store: ObjectStore, prefix: str) -> None:
    key, each = f"{prefix}counter", 12 if store.capabilities.min_rewrite_s == 0 else 1
    with _shared(store):
        _stored(store, key, b"0 start", None)
        _in_processes("fork", _count_up, [(store, key, each, n) for n in range(4)], barrier=True)
        _is(int(_found(store, key).body.split()[0]), 4 * each, "a counter after 4 forked processes counted")


def one_of_many_processes_creates(store: ObjectStore, prefix: str) -> None:
    with _shared(store):
        keys = [f"{prefix}{n:02}" for n in range(12)]
        won = _in_processes("spawn", _create_each, [(store, keys, n) for n in range(3)], barrier=True)
        for key, winners in zip(keys, zip(*won, strict=True), strict=True):
            _is(winners.count(True), 1, f"creates of {key!r} that succeeded among 3 spawned processes")
            body = b"writer %d" % winners.index(True)
            _is(_found(store, key).body, body, "body written by the process that succeeded")


def a_forked_child_uses_the_store_of_its_parent(store: ObjectStore, prefix: str) -> None:
    with _shared(store):
        made = _stored(store, f"{prefix}parent", b"one", None)
        (seen,) = _in_processes("fork", _visit, [(store, f"{prefix}parent", f"{prefix}child")])
        _is(seen, Found(b"one", made), "what the child read")
        _is(store.get(f"{prefix}child"), Found(b"child", _found(store, f"{prefix}child").version), "what it wrote")
        _rewritten(store, f"{prefix}parent", b"two", made)
        _is(_found(store, f"{prefix}parent").body, b"two", "the parent's write after the child ended")


def many_threads_use_one_store(store: ObjectStore, prefix: str) -> None:
    def work(writer: int) -> None:
        for n in range(5):
            body = b"%d of %d" % (n, writer)
            made = _stored(store, f"{prefix}{writer}/{n}", body, None)
            _is(store.get(f"{prefix}{writer}/{n}"), Found(body, made), "own object, read in a thread")

    _in_threads(work, 16)
    _is(len(store.list(prefix)), 80, "objects that 16 threads created")


def a_closed_store_opens_again(store: ObjectStore, prefix: str) -> None:
    with _shared(store):
        made = _stored(store, f"{prefix}a", b"one", None)
        store.close()
        _is(store.get(f"{prefix}a"), Found(b"one", made), "get after close")
        store.close()
        store.close()


# Reading ----------------------------------------------------------------------------------------------------------


def reads_follow_writes(store: ObjectStore, prefix: str) -> None:
    for n in range(10):
        key = f"{prefix}{n}"
        _is(store.get(key), Missing(), "get before the create")
        first = _stored(store, key, b"one %d" % n, None)
        _is(store.get(key), Found(b"one %d" % n, first), "get right after the create")
        second = _rewritten(store, key, b"two %d" % n, first)
        _is(store.get(key), Found(b"two %d" % n, second), "get right after the replace")
        store.delete([key])
        _is(store.get(key), Missing(), "get right after the delete")


def listings_follow_writes(store: ObjectStore, prefix: str) -> None:
    for n in range(10):
        key = f"{prefix}{n}"
        first = _stored(store, key, b"one", None)
        _is(store.list(prefix), [Listed(key, first, 3)], "list right after the create")
        second = _rewritten(store, key, b"number two", first)
        _is(store.list(prefix), [Listed(key, second, 10)], "list right after the replace")
        store.delete([key])
        _is(store.list(prefix), [], "list right after the delete")


def a_get_unless_a_version_sends_only_what_changed(store: ObjectStore, prefix: str) -> None:
    first = _stored(store, f"{prefix}a", b"one", None)
    _is(store.get(f"{prefix}a", unless=first), Unchanged(), "get unless the current version")
    second = _rewritten(store, f"{prefix}a", b"two", first)
    _is(store.get(f"{prefix}a", unless=first), Found(b"two", second), "get unless an older version")
    _is(store.get(f"{prefix}a", unless=second), Unchanged(), "get unless the new version")
    _is(store.get(f"{prefix}b", unless=first), Missing(), "get of a missing object unless a version")
    _pause(store)
    store.delete([f"{prefix}a"])
    _is(store.get(f"{prefix}a", unless=second), Missing(), "get of a removed object unless its last version")


def an_empty_body_is_kept(store: ObjectStore, prefix: str) -> None:
    made = _stored(store, f"{prefix}a", b"", None)
    _is(store.get(f"{prefix}a"), Found(b"", made), "get of an empty object")
    _is(store.list(prefix), [Listed(f"{prefix}a", made, 0)], "list with an empty object")


def any_bytes_are_kept(store: ObjectStore, prefix: str) -> None:
    body = bytes(range(256)) * 5 + b"\r\n\r\n\0"
    made = _stored(store, f"{prefix}a", body, None)
    _is(store.get(f"{prefix}a"), Found(body, made), "get of an object with every byte in it")
    _is(type(_found(store, f"{prefix}a").body), bytes, "type of a body")


def a_large_body_is_kept(store: ObjectStore, prefix: str, largest: int = 12_000_000) -> None:
    """With the largest body the store takes, or ``largest`` bytes if that is less.

    The default is above what SDKs split into parts: a body in parts is not one conditional put.
    """
    size = min(store.capabilities.max_body_bytes, largest)
    body = (b"0123456789abcdef" * (size // 16 + 1))[:size]
    made = _stored(store, f"{prefix}a", body, None)
    _is(store.put(f"{prefix}a", body, if_version=None), Conflict(), "second create of a large object")
    found = _found(store, f"{prefix}a")
    _is((len(found.body), found.version, found.body == body), (size, made, True), "size, version, equality")
    _is(store.list(prefix), [Listed(f"{prefix}a", made, size)], "list with a large object")


# Listing ----------------------------------------------------------------------------------------------------------

#: Pairs of these order differently by UTF-16 unit, by locale, or without case.
_NAMES = ["!", "%41", "+", "-", "0", "1", "10", "2", "A", "Z", "_", "a", "b", "z", "~", "é", "ﬁ", "￮", "𐀀", "😀"]


def a_listing_is_complete_and_in_byte_order(store: ObjectStore, prefix: str) -> None:
    names = sorted(_NAMES, key=str.encode)
    _fill(store, [f"{prefix}{name}" for name in reversed(names)])
    _is([entry.key for entry in store.list(prefix)], [f"{prefix}{name}" for name in names], "keys listed")


def a_listing_spans_folders_in_byte_order(store: ObjectStore, prefix: str) -> None:
    keys = sorted(
        [f"{prefix}{folder}/{name}" for folder in ("board", "in/q.1/5", "later/0001-q", "z") for name in "Ab1"],
        key=str.encode,
    )
    _fill(store, keys)
    _is([entry.key for entry in store.list(prefix)], keys, "keys listed across folders")
    for start in range(len(keys)):
        _is([e.key for e in store.list(prefix, after=keys[start])], keys[start + 1 :], f"after {keys[start]!r}")


def a_listing_in_pages_misses_nothing(store: ObjectStore, prefix: str) -> None:
    """With the names that the queue's own keys have, see `a_listing_in_pages_spans_folders_that_begin_alike`."""
    _check_pages(store, prefix, ("in/jobs", "in/jobs=2", "in/jobs@x", "later/1-jobs", "later/1-jobs=2"))


def _check_pages(store: ObjectStore, prefix: str, folders: Sequence[str]) -> None:
    keys = {f"{prefix}{folder}/5/{n}" for folder in folders for n in range(4)} | {f"{prefix}board"}
    _fill(store, sorted(keys))
    for size in (1, 3, 7):
        listed: list[str] = []
        while page := store.list(prefix, after=listed[-1] if listed else "", limit=size):
            listed += [entry.key for entry in page]
            if len(listed) > len(keys):
                break
        _is(sorted(listed), sorted(keys), f"keys in pages of {size}")


def a_listing_reports_what_get_reports(store: ObjectStore, prefix: str) -> None:
    for n, body in enumerate([b"", b"x", b"some more"]):
        _stored(store, f"{prefix}{n}", body, None)
    for entry in store.list(prefix):
        found = _found(store, entry.key)
        _is(entry, Listed(entry.key, found.version, len(found.body)), "entry of a listing")


def a_listing_starts_after_a_key(store: ObjectStore, prefix: str) -> None:
    keys = [f"{prefix}{name}" for name in ("b", "bb", "d", "f")]
    _fill(store, keys)
    for after, left in [
        ("", keys),
        (prefix, keys),
        (f"{prefix}a", keys),
        (f"{prefix}b", keys[1:]),
        (f"{prefix}bb", keys[2:]),
        (f"{prefix}c", keys[2:]),
        (f"{prefix}f", []),
        (f"{prefix}g", []),
        (f"{prefix}\U0010ffff", []),
        ("\U0010ffff", []),
    ]:
        _is([entry.key for entry in store.list(prefix, after=after)], left, f"keys after {after!r}")


def a_listing_stops_at_its_limit(store: ObjectStore, prefix: str) -> None:
    keys = [f"{prefix}{n}" for n in range(7)]
    _fill(store, keys)
    for limit in (1, 2, 6, 7, 8):
        _is([entry.key for entry in store.list(prefix, limit=limit)], keys[:limit], f"the first {limit}")
        left = store.list(prefix, after=keys[2], limit=limit)
        _is([entry.key for entry in left], keys[3 : 3 + limit], f"the first {limit} after the third")


def a_prefix_is_bytes_and_not_a_folder(store: ObjectStore, prefix: str) -> None:
    names = ["aa", "ab", "ab-c", "abc", "abd/1", "abd/2", "ac", "AB", "jobs-2/x", "jobs1/x", "é1", "é2", "è1"]
    _fill(store, [prefix + name for name in names])
    for wanted in ["a", "ab", "abd", "abd/", "abd/1", "abd/12", "b", "jobs", "jobs-", "jobs1/", "é", ""]:
        expected = sorted((prefix + name for name in names if name.startswith(wanted)), key=str.encode)
        _is([entry.key for entry in store.list(prefix + wanted)], expected, f"keys that start with {wanted!r}")
    _is([e.key for e in store.list(f"{prefix}ab", after=f"{prefix}abc")], [f"{prefix}abd/1", f"{prefix}abd/2"], "ab*")
    _is(store.list(f"{prefix}ab", after=f"{prefix}aa")[0].key, f"{prefix}ab", "first of ab*, after less than that")


def a_listing_goes_on_across_pages(store: ObjectStore, prefix: str) -> None:
    keys = [f"{prefix}{n:05}" for n in range(1003)]
    _fill(store, keys)
    first = [entry.key for entry in store.list(prefix)]
    _is(len(first), 1000, "size of the first page")
    second = [entry.key for entry in store.list(prefix, after=first[-1])]
    _is(first + second, keys, "keys in two pages")
    _is(len(store.list(prefix, limit=5000)), 1000, "size of a page with a limit above 1,000")


# Odd keys ---------------------------------------------------------------------------------------------------------

_ODD = [
    "space in it",
    " leading and trailing ",
    "plus+plus",
    "percent%20percent%2Fslash",
    "equals=sign&ampersand",
    "question?mark#hash",
    "tilde~tilde",
    "quote'quote\"quote",
    "<angle>",
    "semi;colon:comma,at@dollar$star*",
    "paren(theses)[brackets]{braces}|pipe^caret`grave",
    ".leading.dot",
    "trailing.dot.",
    "..two",
    "two..",
    "...",
    "folder.with.dots./.x",
    "ünïcödé/日本語/😀",
    "composed-é-decomposed-e\u0301",
    "UPPER/lower",
    "-dash",
    "deep/" * 20 + "end",
    "/".join(["long" * 50] * 4)[:850],
]


def odd_keys_are_kept(store: ObjectStore, prefix: str) -> None:
    """Whatever a key may hold: any printable characters, segments of up to 200 bytes, 900 bytes in all.

    Not required: empty segments, segments ``.`` and ``..``, control characters. The queue writes none of them.
    """
    keys = [prefix + name for name in _ODD]
    made = {key: _stored(store, key, key.encode(), None) for key in keys}
    for key in keys:
        _is(store.get(key), Found(key.encode(), made[key]), f"get {key!r}")
        _is(store.put(key, b"other", if_version=None), Conflict(), f"second create of {key!r}")
        _rewritten(store, key, b"new", made[key])
        _is([entry.key for entry in store.list(key)], [key], f"list {key!r}")
    _is({entry.key for entry in store.list(prefix)}, set(keys), "all odd keys listed")
    for key in keys[::2]:
        store.delete([key])
    _is({entry.key for entry in store.list(prefix)}, set(keys[1::2]), "what is left after deleting every other")
    store.delete(keys[1::2])
    _is(store.list(prefix), [], "what is left after deleting the rest in one call")


# Deleting ---------------------------------------------------------------------------------------------------------


def a_delete_is_idempotent(store: ObjectStore, prefix: str) -> None:
    _stored(store, f"{prefix}a", b"one", None)
    store.delete([])
    store.delete([f"{prefix}never"])
    store.delete([f"{prefix}a", f"{prefix}never"])
    _is(store.get(f"{prefix}a"), Missing(), "get after a delete that named a missing object as well")
    store.delete([f"{prefix}a"])


def a_delete_removes_only_what_it_names(store: ObjectStore, prefix: str) -> None:
    _fill(store, [f"{prefix}{name}" for name in ("a", "ab", "b", "c/1", "c/2")])
    store.delete([f"{prefix}a", f"{prefix}c/1"])
    left = [f"{prefix}ab", f"{prefix}b", f"{prefix}c/2"]
    _is([entry.key for entry in store.list(prefix)], left, "keys left")


def a_delete_ignores_versions(store: ObjectStore, prefix: str) -> None:
    first = _stored(store, f"{prefix}a", b"one", None)
    _rewritten(store, f"{prefix}a", b"two", first)
    _pause(store)
    store.delete([f"{prefix}a"])
    _is(store.get(f"{prefix}a"), Missing(), "get after the delete")


def a_delete_takes_more_than_a_thousand_keys(store: ObjectStore, prefix: str) -> None:
    keys = [f"{prefix}{n:05}" for n in range(1002)]
    _fill(store, keys)
    store.delete(keys[:1001])
    _is([entry.key for entry in store.list(prefix)], keys[1001:], "keys left of 1,002")


# Promised, not used -----------------------------------------------------------------------------------------------


def a_folder_orders_by_its_slash(store: ObjectStore, prefix: str) -> None:
    """``a-b/x`` comes before ``a/x``, since ``-`` is less than ``/``.

    Stores that keep folders sort ``a`` before ``a-b`` and list its content first. No listing that the queue makes spans
    two such names.
    """
    keys = [f"{prefix}{name}" for name in ("a b/x", "a-b/x", "a.b", "a/x", "a0")]
    _fill(store, keys)
    _is([entry.key for entry in store.list(prefix)], keys, "keys listed")


def a_listing_in_pages_spans_folders_that_begin_alike(store: ObjectStore, prefix: str) -> None:
    """Whatever their order, see `a_folder_orders_by_its_slash`.

    MinIO gives an empty page between ``jobs/`` and ``jobs-2/`` where the second holds more keys than the limit.
    """
    _check_pages(store, prefix, ("in/jobs", "in/jobs-2", "in/jobs.x", "later/1-jobs", "later/1-jobs-2"))


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
    one_of_many_threads_creates,
    one_of_many_threads_replaces,
    no_update_is_lost_among_threads,
    no_update_is_lost_among_processes,
    one_of_many_processes_creates,
    a_forked_child_uses_the_store_of_its_parent,
    many_threads_use_one_store,
    a_closed_store_opens_again,
    reads_follow_writes,
    listings_follow_writes,
    a_get_unless_a_version_sends_only_what_changed,
    an_empty_body_is_kept,
    any_bytes_are_kept,
    a_large_body_is_kept,
    a_listing_is_complete_and_in_byte_order,
    a_listing_spans_folders_in_byte_order,
    a_listing_in_pages_misses_nothing,
    a_listing_reports_what_get_reports,
    a_listing_starts_after_a_key,
    a_listing_stops_at_its_limit,
    a_prefix_is_bytes_and_not_a_folder,
    a_listing_goes_on_across_pages,
    odd_keys_are_kept,
    a_delete_is_idempotent,
    a_delete_removes_only_what_it_names,
    a_delete_ignores_versions,
    a_delete_takes_more_than_a_thousand_keys,
)

STRICTER: Sequence[Check] = (a_folder_orders_by_its_slash, a_listing_in_pages_spans_folders_that_begin_alike)


# Unanswered requests ----------------------------------------------------------------------------------------------


class Faults(Protocol):
    """Stands between a store and its server, and loses what it is told to lose.

    `s3queue.testing.servers.LossyProxy` is one, for servers that speak HTTP.
    """

    def lose_answers(self) -> AbstractContextManager[None]:
        """Requests are carried out; their answers never come back."""
        ...

    def lose_requests(self) -> AbstractContextManager[None]:
        """Requests vanish after they were sent."""
        ...

    def cut_requests(self) -> AbstractContextManager[None]:
        """Of a request with a body the headers reach the server, and then the connection breaks."""
        ...

    def refuse(self) -> AbstractContextManager[None]:
        """No connection is accepted."""
        ...

    @property
    def seen(self) -> int:
        """Requests so far, lost ones included."""
        ...


FaultCheck = Callable[[ObjectStore, str, Faults], None]


def an_unanswered_put_that_landed_is_unknown(store: ObjectStore, prefix: str, faults: Faults) -> None:
    for key, version in _new_and_old(store, prefix):
        with faults.lose_answers():
            _raises(OutcomeUnknown, partial(store.put, key, b"mine", if_version=version))
        _is(_found(store, key).body, b"mine", "get after the put that landed")
        _is(store.put(key, b"mine", if_version=version), Conflict(), "the same put again")


def an_unanswered_put_that_did_not_land_is_unknown(store: ObjectStore, prefix: str, faults: Faults) -> None:
    for key, version in _new_and_old(store, prefix):
        before = store.get(key)
        with faults.lose_requests():
            _raises(OutcomeUnknown, partial(store.put, key, b"mine", if_version=version))
        _is(store.get(key), before, "get after the put that was lost")
        _stored(store, key, b"mine", version)


def a_put_that_is_cut_short_stores_nothing(store: ObjectStore, prefix: str, faults: Faults) -> None:
    """A put says what its body must be, by length and checksum; a server that keeps less makes a lost message or a
    register that nobody can read."""
    for key, version in _new_and_old(store, prefix):
        before = store.get(key)
        with faults.cut_requests():
            _raises(OutcomeUnknown, partial(store.put, key, b"mine", if_version=version))
        _is(store.get(key), before, "get after a put that was cut short")
        _stored(store, key, b"mine", version)


def an_unanswered_put_is_sent_once(store: ObjectStore, prefix: str, faults: Faults) -> None:
    for key, version in _new_and_old(store, prefix):
        with faults.lose_answers():
            before = faults.seen
            _raises(OutcomeUnknown, partial(store.put, key, b"mine", if_version=version))
            _is(faults.seen - before, 1, "requests for one put")


def an_unanswered_read_is_unavailable(store: ObjectStore, prefix: str, faults: Faults) -> None:
    _stored(store, f"{prefix}a", b"one", None)
    with faults.lose_answers():
        _raises(StoreUnavailable, lambda: store.get(f"{prefix}a"))
        _raises(StoreUnavailable, lambda: store.list(prefix))
        _raises(StoreUnavailable, lambda: store.delete([f"{prefix}a"]))


def a_refused_connection_is_unavailable(store: ObjectStore, prefix: str, faults: Faults) -> None:
    made = _stored(store, f"{prefix}a", b"one", None)
    store.close()
    with faults.refuse():
        _raises(StoreUnavailable, lambda: store.put(f"{prefix}a", b"two", if_version=made))
        _raises(StoreUnavailable, lambda: store.put(f"{prefix}b", b"two", if_version=None))
        _raises(StoreUnavailable, lambda: store.get(f"{prefix}a"))
        _raises(StoreUnavailable, lambda: store.list(prefix))
        _raises(StoreUnavailable, lambda: store.delete([f"{prefix}a"]))
    _is(store.get(f"{prefix}a"), Found(b"one", made), "get once connections are accepted again")


FAULT_CHECKS: Sequence[FaultCheck] = (
    an_unanswered_put_that_landed_is_unknown,
    an_unanswered_put_that_did_not_land_is_unknown,
    a_put_that_is_cut_short_stores_nothing,
    an_unanswered_put_is_sent_once,
    an_unanswered_read_is_unavailable,
    a_refused_connection_is_unavailable,
)


# Helpers ----------------------------------------------------------------------------------------------------------


def _clear(store: ObjectStore, prefix: str) -> None:
    last: list[str] = []
    while keys := [entry.key for entry in store.list(prefix)]:
        if keys == last:
            raise NotConforming(f"delete of {len(keys)} objects: expected none left, got {_short(keys)}")
        store.delete(keys)
        last = keys


def _is(got: object, wanted: object, what: str) -> None:
    got = list(got) if isinstance(wanted, list) and isinstance(got, Sequence) else got
    same = type(got) is type(wanted) and got == wanted
    if not same:
        raise NotConforming(f"{what}: expected {_short(wanted)}, got {_short(got)}")


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) < 1000 else f"{text[:500]} … {text[-500:]}"


def _differ(one: object, other: object, what: str) -> None:
    if one == other:
        raise NotConforming(f"{what}: expected two, got {_short(one)} twice")


def _raises(kind: type[StoreError], call: Callable[[], object]) -> None:
    try:
        outcome = call()
    except StoreError as error:
        if type(error) is not kind:
            raise NotConforming(f"expected {kind.__name__}, got {type(error).__name__}: {error}") from error
    else:
        raise NotConforming(f"expected {kind.__name__}, got {_short(outcome)}")


def _pause(store: ObjectStore) -> None:
    """Between two writes of one key, on stores that need it."""
    if store.capabilities.min_rewrite_s:
        time.sleep(store.capabilities.min_rewrite_s)


def _put(store: ObjectStore, key: str, body: bytes, version: str | None) -> Stored | Conflict:
    """A put that tries again where the store says that nothing was applied, as callers do."""
    for _ in range(50):
        try:
            return store.put(key, body, if_version=version)
        except StoreUnavailable:
            _pause(store)
    raise NotConforming(f"put {key!r}: unavailable 50 times in a row")


def _stored(store: ObjectStore, key: str, body: bytes, version: str | None) -> str:
    outcome = _put(store, key, body, version)
    if not isinstance(outcome, Stored):
        raise NotConforming(f"put {key!r}: expected Stored, got {_short(outcome)}")
    return outcome.version


def _rewritten(store: ObjectStore, key: str, body: bytes, version: str) -> str:
    _pause(store)
    return _stored(store, key, body, version)


def _found(store: ObjectStore, key: str) -> Found:
    outcome = store.get(key)
    if not isinstance(outcome, Found):
        raise NotConforming(f"get {key!r}: expected Found, got {_short(outcome)}")
    return outcome


def _fill(store: ObjectStore, keys: Sequence[str]) -> None:
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda key: _stored(store, key, b"x", None), keys))


def _new_and_old(store: ObjectStore, prefix: str) -> Iterator[tuple[str, str | None]]:
    """A key to create, then a key to replace, each with the version to name."""
    yield f"{prefix}new", None
    made = _stored(store, f"{prefix}old", b"before", None)
    _pause(store)
    yield f"{prefix}old", made


def _in_threads(work: Callable[[int], T], count: int) -> list[T]:
    with ThreadPoolExecutor(count) as pool:
        return list(pool.map(work, range(count)))


@contextmanager
def _shared(store: ObjectStore) -> Iterator[None]:
    if not isinstance(store, Shareable):
        yield
        return
    store.share()
    try:
        yield
    finally:
        store.close()


def _count_up(store: ObjectStore, key: str, times: int, writer: int, barrier: Any) -> None:
    for n in range(times):
        tries = 0
        while True:
            found = _found(store, key)
            if n == tries == 0:
                barrier.wait(_PATIENCE_S)  # so that all writers begin with one version, however fast the store
            tries += 1
            body = b"%d by %d, %d" % (int(found.body.split()[0]) + 1, writer, n)
            if isinstance(_put(store, key, body, found.version), Stored):
                break
            _pause(store)


def _create_each(store: ObjectStore, keys: Sequence[str], writer: int, barrier: Any) -> list[bool]:
    won = []
    for key in keys:
        barrier.wait(_PATIENCE_S)
        won.append(isinstance(_put(store, key, b"writer %d" % writer, None), Stored))
    return won


def _visit(store: ObjectStore, read: str, write: str) -> Found:
    found = _found(store, read)
    _stored(store, write, b"child", None)
    return found


class _Failed(NamedTuple):
    why: str


def _report(pipe: Any, work: Callable[..., object], args: tuple[object, ...]) -> None:
    try:
        pipe.send(work(*args))
    except BaseException as error:  # noqa: BLE001 - whatever it is, the parent tells
        pipe.send(_Failed(f"{type(error).__name__}: {error}"))
    finally:
        pipe.close()


def _in_processes(
    method: str, work: Callable[..., Any], calls: Sequence[tuple[object, ...]], *, barrier: bool = False
) -> list[Any]:
    """One child for each call; what they return, in order."""
    from multiprocess import get_context

    context = get_context(method)
    more = (context.Barrier(len(calls)),) if barrier else ()
    children = []
    for args in calls:
        here, there = context.Pipe(duplex=False)
        child = context.Process(target=_report, args=(there, work, (*args, *more)), daemon=True)
        with warnings.catch_warnings():
            # From 3.12 on forking beside threads warns, and a client under test may well have threads.
            warnings.simplefilter("ignore", DeprecationWarning)
            child.start()
        there.close()
        children.append((child, here))
    results = []
    try:
        for child, here in children:
            if not here.poll(_PATIENCE_S):
                raise NotConforming(f"a {method}ed child did not answer in {_PATIENCE_S:.0f} s")
            try:
                result = here.recv()
            except EOFError:
                child.join(_PATIENCE_S)
                raise NotConforming(f"a {method}ed child died with exit code {child.exitcode}") from None
            if isinstance(result, _Failed):
                raise NotConforming(f"in a {method}ed child: {result.why}")
            results.append(result)
    finally:
        for child, here in children:
            if len(results) < len(children):
                child.kill()
            child.join(_PATIENCE_S)
            here.close()
    return results
