"""Many writers: threads, forked and spawned processes on one store."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import Any

from s3queue.store import Found, ObjectStore, Stored
from s3queue.testing.conformance.acts import Check, expect, must_find, must_replace, must_store, pause, put_patiently
from s3queue.testing.conformance.processes import PATIENCE_S, in_processes, in_threads, shared

#: Threads that race for one key, and how often they do. SeaweedFS lets a loser wait for a second or more.
_WRITERS, _ROUNDS = 8, 2


def one_of_many_threads_creates(store: ObjectStore, prefix: str) -> None:
    barrier = threading.Barrier(_WRITERS)
    for n in range(_ROUNDS):
        key = f"{prefix}{n}"

        def create(writer: int, key: str = key) -> bool:
            barrier.wait(PATIENCE_S)
            return isinstance(put_patiently(store, key, b"writer %d" % writer, None), Stored)

        won = in_threads(create, _WRITERS)
        expect(won.count(True), 1, f"creates of {key!r} that succeeded among {_WRITERS} threads")
        expect(must_find(store, key).body, b"writer %d" % won.index(True), "body written by the thread that succeeded")


def one_of_many_threads_replaces(store: ObjectStore, prefix: str) -> None:
    barrier = threading.Barrier(_WRITERS)
    for n in range(_ROUNDS):
        key = f"{prefix}{n}"
        first = must_store(store, key, b"first", None)
        pause(store)

        def replace(writer: int, key: str = key, first: str = first) -> bool:
            barrier.wait(PATIENCE_S)
            return isinstance(put_patiently(store, key, b"writer %d" % writer, first), Stored)

        won = in_threads(replace, _WRITERS)
        expect(won.count(True), 1, f"replaces of one version of {key!r} that succeeded among {_WRITERS} threads")
        expect(must_find(store, key).body, b"writer %d" % won.index(True), "body written by the thread that succeeded")


def no_update_is_lost_among_threads(store: ObjectStore, prefix: str) -> None:
    key, each = f"{prefix}counter", 10 if store.capabilities.min_rewrite_s == 0 else 1
    must_store(store, key, b"0 start", None)
    barrier = threading.Barrier(6)
    in_threads(lambda writer: _count_up(store, key, each, writer, barrier), 6)
    expect(int(must_find(store, key).body.split()[0]), 6 * each, "a counter after 6 threads counted")


def no_update_is_lost_among_processes(store: ObjectStore, prefix: str) -> None:
    key, each = f"{prefix}counter", 12 if store.capabilities.min_rewrite_s == 0 else 1
    with shared(store):
        must_store(store, key, b"0 start", None)
        in_processes("fork", _count_up, [(store, key, each, n) for n in range(4)], barrier=True)
        expect(int(must_find(store, key).body.split()[0]), 4 * each, "a counter after 4 forked processes counted")


def one_of_many_processes_creates(store: ObjectStore, prefix: str) -> None:
    with shared(store):
        keys = [f"{prefix}{n:02}" for n in range(12)]
        won = in_processes("spawn", _create_each, [(store, keys, n) for n in range(3)], barrier=True)
        for key, winners in zip(keys, zip(*won, strict=True), strict=True):
            expect(winners.count(True), 1, f"creates of {key!r} that succeeded among 3 spawned processes")
            body = b"writer %d" % winners.index(True)
            expect(must_find(store, key).body, body, "body written by the process that succeeded")


def a_forked_child_uses_the_store_of_its_parent(store: ObjectStore, prefix: str) -> None:
    with shared(store):
        made = must_store(store, f"{prefix}parent", b"one", None)
        (seen,) = in_processes("fork", _visit, [(store, f"{prefix}parent", f"{prefix}child")])
        expect(seen, Found(b"one", made), "what the child read")
        expect(
            store.get(f"{prefix}child"), Found(b"child", must_find(store, f"{prefix}child").version), "what it wrote"
        )
        must_replace(store, f"{prefix}parent", b"two", made)
        expect(must_find(store, f"{prefix}parent").body, b"two", "the parent's write after the child ended")


def many_threads_use_one_store(store: ObjectStore, prefix: str) -> None:
    def work(writer: int) -> None:
        for n in range(5):
            body = b"%d of %d" % (n, writer)
            made = must_store(store, f"{prefix}{writer}/{n}", body, None)
            expect(store.get(f"{prefix}{writer}/{n}"), Found(body, made), "own object, read in a thread")

    in_threads(work, 16)
    expect(len(store.list(prefix)), 80, "objects that 16 threads created")


def a_closed_store_opens_again(store: ObjectStore, prefix: str) -> None:
    with shared(store):
        made = must_store(store, f"{prefix}a", b"one", None)
        store.close()
        expect(store.get(f"{prefix}a"), Found(b"one", made), "get after close")
        store.close()
        store.close()


def _count_up(store: ObjectStore, key: str, times: int, writer: int, barrier: Any) -> None:
    for n in range(times):
        tries = 0
        while True:
            found = must_find(store, key)
            if n == tries == 0:
                barrier.wait(PATIENCE_S)  # so that all writers begin with one version, however fast the store
            tries += 1
            body = b"%d by %d, %d" % (int(found.body.split()[0]) + 1, writer, n)
            if isinstance(put_patiently(store, key, body, found.version), Stored):
                break
            pause(store)


def _create_each(store: ObjectStore, keys: Sequence[str], writer: int, barrier: Any) -> list[bool]:
    won = []
    for key in keys:
        barrier.wait(PATIENCE_S)
        won.append(isinstance(put_patiently(store, key, b"writer %d" % writer, None), Stored))
    return won


def _visit(store: ObjectStore, read: str, write: str) -> Found:
    found = must_find(store, read)
    must_store(store, write, b"child", None)
    return found


CHECKS: Sequence[Check] = (
    one_of_many_threads_creates,
    one_of_many_threads_replaces,
    no_update_is_lost_among_threads,
    no_update_is_lost_among_processes,
    one_of_many_processes_creates,
    a_forked_child_uses_the_store_of_its_parent,
    many_threads_use_one_store,
    a_closed_store_opens_again,
)
