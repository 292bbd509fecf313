"""Listing: order, pages, prefixes and odd keys."""

from __future__ import annotations

from collections.abc import Sequence

from s3queue.store import Conflict, Found, Listed, ObjectStore
from s3queue.testing.conformance.acts import Check, expect, fill, must_find, must_replace, must_store

#: Pairs of these order differently by UTF-16 unit, by locale, or without case.
_NAMES = ["!", "%41", "+", "-", "0", "1", "10", "2", "A", "Z", "_", "a", "b", "z", "~", "é", "ﬁ", "￮", "𐀀", "😀"]


def a_listing_is_complete_and_in_byte_order(store: ObjectStore, prefix: str) -> None:
    names = sorted(_NAMES, key=str.encode)
    fill(store, [f"{prefix}{name}" for name in reversed(names)])
    expect([entry.key for entry in store.list(prefix)], [f"{prefix}{name}" for name in names], "keys listed")


def a_listing_spans_folders_in_byte_order(store: ObjectStore, prefix: str) -> None:
    keys = sorted(
        [f"{prefix}{folder}/{name}" for folder in ("board", "in/q.1/5", "later/0001-q", "z") for name in "Ab1"],
        key=str.encode,
    )
    fill(store, keys)
    expect([entry.key for entry in store.list(prefix)], keys, "keys listed across folders")
    for start in range(len(keys)):
        expect([e.key for e in store.list(prefix, after=keys[start])], keys[start + 1 :], f"after {keys[start]!r}")


def a_listing_in_pages_misses_nothing(store: ObjectStore, prefix: str) -> None:
    """With the names that the queue's own keys have, see `a_listing_in_pages_spans_folders_that_begin_alike`."""
    _check_pages(store, prefix, ("in/jobs", "in/jobs=2", "in/jobs@x", "later/1-jobs", "later/1-jobs=2"))


def _check_pages(store: ObjectStore, prefix: str, folders: Sequence[str]) -> None:
    keys = {f"{prefix}{folder}/5/{n}" for folder in folders for n in range(4)} | {f"{prefix}board"}
    fill(store, sorted(keys))
    for size in (1, 3, 7):
        listed: list[str] = []
        while page := store.list(prefix, after=listed[-1] if listed else "", limit=size):
            listed += [entry.key for entry in page]
            if len(listed) > len(keys):
                break
        expect(sorted(listed), sorted(keys), f"keys in pages of {size}")


def a_listing_reports_what_get_reports(store: ObjectStore, prefix: str) -> None:
    for n, body in enumerate([b"", b"x", b"some more"]):
        must_store(store, f"{prefix}{n}", body, None)
    for entry in store.list(prefix):
        found = must_find(store, entry.key)
        expect(entry, Listed(entry.key, found.version, len(found.body)), "entry of a listing")


def a_listing_starts_after_a_key(store: ObjectStore, prefix: str) -> None:
    keys = [f"{prefix}{name}" for name in ("b", "bb", "d", "f")]
    fill(store, keys)
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
        expect([entry.key for entry in store.list(prefix, after=after)], left, f"keys after {after!r}")


def a_listing_stops_at_its_limit(store: ObjectStore, prefix: str) -> None:
    keys = [f"{prefix}{n}" for n in range(7)]
    fill(store, keys)
    for limit in (1, 2, 6, 7, 8):
        expect([entry.key for entry in store.list(prefix, limit=limit)], keys[:limit], f"the first {limit}")
        left = store.list(prefix, after=keys[2], limit=limit)
        expect([entry.key for entry in left], keys[3 : 3 + limit], f"the first {limit} after the third")


def a_prefix_is_bytes_and_not_a_folder(store: ObjectStore, prefix: str) -> None:
    names = ["aa", "ab", "ab-c", "abc", "abd/1", "abd/2", "ac", "AB", "jobs-2/x", "jobs1/x", "é1", "é2", "è1"]
    fill(store, [prefix + name for name in names])
    for wanted in ["a", "ab", "abd", "abd/", "abd/1", "abd/12", "b", "jobs", "jobs-", "jobs1/", "é", ""]:
        expected = sorted((prefix + name for name in names if name.startswith(wanted)), key=str.encode)
        expect([entry.key for entry in store.list(prefix + wanted)], expected, f"keys that start with {wanted!r}")
    expect(
        [e.key for e in store.list(f"{prefix}ab", after=f"{prefix}abc")], [f"{prefix}abd/1", f"{prefix}abd/2"], "ab*"
    )
    expect(store.list(f"{prefix}ab", after=f"{prefix}aa")[0].key, f"{prefix}ab", "first of ab*, after less than that")


def a_listing_goes_on_across_pages(store: ObjectStore, prefix: str) -> None:
    keys = [f"{prefix}{n:05}" for n in range(1003)]
    fill(store, keys)
    first = [entry.key for entry in store.list(prefix)]
    expect(len(first), 1000, "size of the first page")
    second = [entry.key for entry in store.list(prefix, after=first[-1])]
    expect(first + second, keys, "keys in two pages")
    expect(len(store.list(prefix, limit=5000)), 1000, "size of a page with a limit above 1,000")


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
    made = {key: must_store(store, key, key.encode(), None) for key in keys}
    for key in keys:
        expect(store.get(key), Found(key.encode(), made[key]), f"get {key!r}")
        expect(store.put(key, b"other", if_version=None), Conflict(), f"second create of {key!r}")
        must_replace(store, key, b"new", made[key])
        expect([entry.key for entry in store.list(key)], [key], f"list {key!r}")
    expect({entry.key for entry in store.list(prefix)}, set(keys), "all odd keys listed")
    for key in keys[::2]:
        store.delete([key])
    expect({entry.key for entry in store.list(prefix)}, set(keys[1::2]), "what is left after deleting every other")
    store.delete(keys[1::2])
    expect(store.list(prefix), [], "what is left after deleting the rest in one call")


def a_folder_orders_by_its_slash(store: ObjectStore, prefix: str) -> None:
    """``a-b/x`` comes before ``a/x``, since ``-`` is less than ``/``.

    Stores that keep folders sort ``a`` before ``a-b`` and list its content first. No listing that the queue makes spans
    two such names.
    """
    keys = [f"{prefix}{name}" for name in ("a b/x", "a-b/x", "a.b", "a/x", "a0")]
    fill(store, keys)
    expect([entry.key for entry in store.list(prefix)], keys, "keys listed")


def a_listing_in_pages_spans_folders_that_begin_alike(store: ObjectStore, prefix: str) -> None:
    """Whatever their order, see `a_folder_orders_by_its_slash`.

    MinIO gives an empty page between ``jobs/`` and ``jobs-2/`` where the second holds more keys than the limit.
    """
    _check_pages(store, prefix, ("in/jobs", "in/jobs-2", "in/jobs.x", "later/1-jobs", "later/1-jobs-2"))


CHECKS: Sequence[Check] = (
    a_listing_is_complete_and_in_byte_order,
    a_listing_spans_folders_in_byte_order,
    a_listing_in_pages_misses_nothing,
    a_listing_reports_what_get_reports,
    a_listing_starts_after_a_key,
    a_listing_stops_at_its_limit,
    a_prefix_is_bytes_and_not_a_folder,
    a_listing_goes_on_across_pages,
    odd_keys_are_kept,
)

STRICTER: Sequence[Check] = (a_folder_orders_by_its_slash, a_listing_in_pages_spans_folders_that_begin_alike)
