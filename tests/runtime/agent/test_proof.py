"""What the first agent asks of a store, and what it does when there is no answer."""

from __future__ import annotations

import asyncio
import os
import threading
import time
from pathlib import Path

import pytest
from s3queue_backends.memory import MemoryStore
from s3queue_backends.sqlite import SqliteStore

from s3queue.errors import StoreDenied, StoreUnavailable
from s3queue.io.drive import Driver
from s3queue.io.meter import Meter
from s3queue.runtime.agent import proof
from s3queue.runtime.agent.proof import ABANDONED_S, prove
from s3queue.store import Conflict, Listed, Stored


class Down(MemoryStore):
    """Answers only after so many puts got no answer; or refuses."""

    def __init__(self, outages: int, fault: type[StoreUnavailable | StoreDenied] = StoreUnavailable) -> None:
        super().__init__()
        self.outages, self.fault = outages, fault

    def put(self, key: str, body: bytes, *, if_version: str | None) -> Stored | Conflict:
        if self.outages:
            self.outages -= 1
            raise self.fault("put", key)
        return super().put(key, body, if_version=if_version)


def keys(store: MemoryStore) -> list[str]:
    return [one.key for one in store.list("", after="", limit=1000)]


def test_outage_is_waited_for_with_growing_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    waited: list[float] = []

    async def sleep(seconds: float) -> None:
        waited.append(seconds)

    monkeypatch.setattr(proof.asyncio, "sleep", sleep)
    store, faults = Down(1000), []
    asyncio.run(prove(Driver(store, patience_s=0.0), "ours", Meter(), faults.append))
    assert len(faults) == len(waited) > 4
    assert waited[:4] == [0.5, 1.0, 2.0, 4.0]
    assert max(waited) <= proof.LONGEST_PAUSE_S
    assert keys(store) == []


def test_store_that_refuses_is_believed() -> None:
    with pytest.raises(StoreDenied):
        asyncio.run(
            prove(Driver(Down(1, StoreDenied), patience_s=0.0), "ours", Meter(), lambda _: pytest.fail("no outage"))
        )


def test_what_a_probe_that_was_killed_has_left_is_removed_by_a_later_one() -> None:
    store, now = MemoryStore(), time.time()
    old, young = int(now - ABANDONED_S - 10), int(now - 10)
    left = [f"ours-probe-{at:010d}-0123456789abcdef/{name}" for at in (old, young) for name in ("a", "b")]
    others = ["ours-probe-report", "other-probe-0000000001-0123456789abcdef/a", "ours/p00/board", "ours-probe-1/a"]
    for key in left + others:
        store.put(key, b"x", if_version=None)
    asyncio.run(prove(Driver(store), "ours", Meter(), lambda _: None))
    assert sorted(keys(store)) == sorted(left[2:] + others), "one that is at work keeps its own"


def test_listing_that_is_refused_stops_no_start() -> None:
    class NoList(MemoryStore):
        def list(self, prefix: str, *, after: str, limit: int) -> list[Listed]:
            if prefix == "ours-probe-":
                raise StoreDenied("list", prefix)
            return super().list(prefix, after=after, limit=limit)

    asyncio.run(prove(Driver(NoList()), "ours", Meter(), lambda _: None))


def test_races_that_were_lost_are_no_conflicts_of_the_host() -> None:
    probing, host = Driver(MemoryStore()), Meter()
    host.conflicts()
    asyncio.run(prove(probing, "ours", host, lambda _: None))
    assert probing.meter.usage.conflicts > 0
    assert host.usage.conflicts == 1
    assert host.as_dict() == probing.meter.as_dict(), "what was asked is paid for"


def test_nothing_that_it_opened_stays_open(tmp_path: Path) -> None:
    def files() -> list[str]:
        names = (Path("/proc/self/fd") / number for number in os.listdir("/proc/self/fd"))
        return sorted(
            str(name.readlink()) for name in names if name.is_symlink() and "bucket.db" in str(name.readlink())
        )

    async def prove_it() -> None:
        before = threading.active_count()
        await prove(Driver(SqliteStore(tmp_path / "bucket.db")), "ours", Meter(), lambda _: None)
        assert threading.active_count() == before
        assert files() == [], "without waiting for the garbage collector"

    asyncio.run(prove_it())
