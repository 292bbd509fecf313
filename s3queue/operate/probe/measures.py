"""Properties of a store that fail no check, but that people want to know: clocks, latencies, old versions."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable

from s3queue.operate.probe.asking import Asker
from s3queue.operate.probe.report import Row, row_of
from s3queue.store import (
    HasClock,
    KeepsVersions,
)

#: Requests of each verb that are timed.
TIMED = 20


def old_versions(ask: Asker, folder: str) -> Row:
    measured = "the store does not tell"
    if isinstance(ask.store, KeepsVersions):
        key = f"{folder}kept"
        ask.stored(key, b"1 kept", None)
        measured = "not kept"
        if ask.store.keeps_versions(key):
            measured = (
                "kept: each rewrite of a board and a ledger stays for ever and slows it down; turn versioning off, "
                "or expire noncurrent versions after a day"
            )
    return row_of("old versions", None, measured, "none; costs")


def equal_bodies(ask: Asker, folder: str) -> Row:
    key = f"{folder}equal"
    one = ask.stored(key, b"1 same", None)
    other = ask.stored(key, b"1 same", one)
    measured = (
        "equal versions; every record has a random part, so bodies differ" if one == other else "different versions"
    )
    return row_of("versions of equal bodies", None, measured, "P2 committed exactly once")


def clock(ask: Asker, folder: str) -> Row:
    measured = "the store does not tell"
    if isinstance(ask.store, HasClock):
        key = f"{folder}clock"
        before = time.time()
        ask.stored(key, b"1", None)
        theirs = ask.store.clock(key)
        ours = (before + time.time()) / 2
        ahead = theirs + 0.5 - ours  # it is cut to the second
        measured = "within a second" if abs(ahead) <= 1.0 else f"the store is {ahead:+.0f} s ahead of this machine"
    return row_of("clock difference", None, measured, "none; S3 refuses requests 15 minutes off")


def latency(ask: Asker, folder: str) -> list[Row]:
    body = b"x" * 1000
    keys = [f"{folder}{n:02}" for n in range(TIMED)]
    versions: list[str] = []

    def replace(n: int) -> None:
        versions[n] = ask.stored(keys[n], b"y%d" % n + body, versions[n], pause=False)

    rows = [_time(ask, "create", lambda n: versions.append(ask.stored(keys[n], body, None)))]
    ask.pause()
    rows.append(_time(ask, "replace", replace))
    rows.append(_time(ask, "get", lambda n: ask.get(keys[n])))
    rows.append(_time(ask, "list", lambda n: ask.list(folder)))
    ask.pause()
    return [*rows, _time(ask, "delete", lambda n: ask.delete(keys[n]))]


def _time(ask: Asker, verb: str, call: Callable[[int], object]) -> Row:
    took = []
    for n in range(TIMED):
        start = time.perf_counter()
        call(n)
        took.append((time.perf_counter() - start) * 1000)
    measured = f"{statistics.median(took):.2f} ms, at most {max(took):.2f} ms of {TIMED}"
    return row_of(f"latency of {verb}", None, measured, "none; how soon work begins")
