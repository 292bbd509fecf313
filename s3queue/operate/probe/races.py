"""Many writers at once: one of them may win."""

from __future__ import annotations

import random
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any

from s3queue.core.ops import Put, Unknown
from s3queue.errors import StoreError
from s3queue.operate.probe.asking import Asker, Unclear
from s3queue.operate.probe.report import Row, row_of
from s3queue.store import Found, Stored

#: Writers that race for one key. Many races of two find more than a few of many: where a server compares and then writes,
#: it is the number of tries that counts. In the same time S3Mock 5.2.0 was found in 10 of 10 short checks with two, and
#: in 8 of 10 with four. SeaweedFS lets one loser wait for a second, and each further one for one more.
WRITERS = 2


def create_race(ask: Asker, folder: str) -> Row:
    return _race(ask, folder, "exclusive create", "create one key", None, "P6 enqueued once, one coordinator at a time")


def replace_race(ask: Asker, folder: str) -> Row:
    return _race(
        ask, folder, "atomic replace", "replace one version", b"0 first", "P2 committed exactly once, P3 runs once"
    )


def _race(ask: Asker, folder: str, check: str, deed: str, first: bytes | None, promise: str) -> Row:
    until = time.monotonic() + ask.effort.budget_s
    lanes = ask.effort.lanes
    with ThreadPoolExecutor(lanes) as pool:
        ran = list(pool.map(lambda lane: _lane(ask, f"{folder}{lane}-", first, until), range(lanes)))
    races = [race for lane in ran for race in lane]
    if not races:
        raise Unclear
    bad, most = sum(not good for _, good in races), max(won for won, _ in races)
    if bad:
        lost = "" if most > 1 else ", and its write was lost"
        measured = f"{most} of {WRITERS} writers could {deed}{lost}, in {bad} of {len(races)} races"
    else:
        measured = f"1 of {WRITERS} writers could {deed}, in each of {len(races)} races; {power(len(races))}"
    return row_of(check, not bad, measured, promise)


def _lane(ask: Asker, folder: str, first: bytes | None, until: float) -> list[tuple[int, bool]]:
    """Races one after the other: how many writers were told that they won, and whether that is as it should be."""
    races: list[tuple[int, bool]] = []
    with ThreadPoolExecutor(WRITERS) as writers:
        for n in range(ask.effort.races // ask.effort.lanes):
            if n and time.monotonic() > until:
                break
            key = f"{folder}{n}"
            try:
                version = None if first is None else ask.stored(key, first, None)
                ask.pause()
                won = _all_at_once(ask, writers, key, version, connect=n == 0)
            except Unclear:
                continue
            found = ask.get(key)
            races.append((len(won), len(won) == 1 and isinstance(found, Found) and found.body in won))
    return races


def _all_at_once(
    ask: Asker, writers: ThreadPoolExecutor, key: str, version: str | None, *, connect: bool
) -> list[bytes]:
    """The bodies of those that were told they won.

    Args:
        connect: give each writer its connection before the race, so that the requests arrive together.
    """
    barrier = threading.Barrier(WRITERS)

    def write(n: int) -> tuple[bytes, Any]:
        body = b"%d writer %d" % (random.getrandbits(60), n)
        if connect:
            with suppress(StoreError):
                ask.get(key)
        barrier.wait()
        return body, ask.driver.perform(Put(key, body, version))

    outcomes = list(writers.map(write, range(WRITERS)))
    won = [body for body, outcome in outcomes if isinstance(outcome, Stored)]
    if not won and any(isinstance(outcome, Unknown) for _, outcome in outcomes):
        raise Unclear
    return won


def power(races: int) -> str:
    """What so many races find: a store that fails one in n is missed with the probability ``(1 - 1/n) ** races``."""
    return f"finds with 99 % a store that fails one race in {max(1, int(1 / (1 - 0.01 ** (1 / races))))}"
