"""One reader for all viewers, which reads while somebody looks."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from datetime import UTC, datetime

import pytest
from s3queue_backends.memory import MemoryStore

from s3queue.core.records import Tally
from s3queue.dashboard.reader import Reader
from s3queue.dashboard.series import POINTS, Chronicle, Series, Spendings
from s3queue.errors import StoreUnavailable
from s3queue.observe.prices import PRICES
from s3queue.observe.stats import HostStats, QueueStats, Stats
from s3queue.store import Found, Listed, Missing, Unchanged
from tests.dashboard.conftest import Serve, say

HOUR = 3600.0


class Counting(MemoryStore):
    """Counts what it is asked, and fails where it is told to."""

    def __init__(self) -> None:
        super().__init__()
        self.asked: list[str] = []
        self.is_down = False

    def get(self, key: str, *, unless: str | None = None) -> Found | Unchanged | Missing:
        self.asked.append(f"get {key}")
        if self.is_down:
            raise StoreUnavailable("get", key, "no route")
        return super().get(key, unless=unless)

    def list(self, prefix: str, *, after: str = "", limit: int = 1000) -> Sequence[Listed]:
        self.asked.append(f"list {prefix}")
        return super().list(prefix, after=after, limit=limit)


def test_a_hundred_who_want_to_know_are_one_get() -> None:
    store = Counting()
    say(store, mail=Tally(ready=7))

    async def main() -> None:
        reader = Reader(store, "s3queue", every_s=HOUR)
        looks = await asyncio.gather(*(reader.fresh() for _ in range(100)))
        assert {look.seen.queues["mail"].ready for look in looks} == {7}

    store.asked.clear()
    asyncio.run(main())
    assert store.asked == ["get s3queue/summary/p00"]


def test_fifty_streams_share_each_look() -> None:
    store = Counting()
    say(store, mail=Tally(ready=0))

    async def main() -> None:
        reader = Reader(store, "s3queue", every_s=0.02)
        heard: list[set[int]] = [set() for _ in range(50)]

        async def follow(mine: set[int]) -> None:
            looks = reader.watch()
            async for look in looks:
                mine.add(look.number)
                if look.number >= 5:
                    break
            await looks.aclose()

        store.asked.clear()
        await asyncio.gather(*map(follow, heard))
        assert len(store.asked) <= 6
        assert reader.viewers == 0

    asyncio.run(main())


def test_nobody_looks_and_nothing_is_read() -> None:
    store = Counting()

    async def main() -> None:
        reader = Reader(store, "s3queue", every_s=0.001)
        looks = reader.watch()
        await anext(looks)
        await anext(looks)
        await looks.aclose()
        assert reader._loop is not None
        await reader._loop  # ends by itself
        store.asked.clear()
        await asyncio.sleep(0)
        assert store.asked == []

    asyncio.run(main())


def test_a_namespace_without_a_summary_is_never_listed() -> None:
    store = Counting()

    async def main() -> None:
        look = await Reader(store, "s3queue").fresh()
        assert not look.has_summary

    asyncio.run(main())
    assert store.asked == ["get s3queue/summary/p00"]


def test_a_store_that_does_not_answer_leaves_what_was_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("s3queue.dashboard.reader._PATIENCE_S", 0.0)
    store = Counting()
    say(store, mail=Tally(ready=7))

    async def main() -> None:
        reader = Reader(store, "s3queue", every_s=1e-9)
        await reader.fresh()
        store.is_down = True
        look = await reader.fresh()
        assert "no route" in look.fault
        assert look.seen.queues["mail"].ready == 7
        store.is_down = False
        assert (await reader.fresh()).fault == ""

    asyncio.run(main())


def test_a_stream_tells_each_look_and_ends_when_the_server_stops(serve: Serve, store: MemoryStore) -> None:
    say(store, mail=Tally(ready=7))
    it = serve(every=0.05)
    told = []
    with it.client() as client, client.stream("GET", "/events?view=queue&queue=mail") as answer:
        for line in answer.iter_lines():
            if line.startswith("data: "):
                told.append(json.loads(line.removeprefix("data: ")))
                say(store, mail=Tally(ready=8), nonce=f"n{len(told)}")
                if len(told) == 3:
                    break
    assert "7" in told[0]["html"]
    assert 'data-region="queue_tiles"' in told[0]["html"]
    assert told[-1]["point"]["ready"] == 8
    assert told[0]["viewers"] == 1


# ---- series ----------------------------------------------------------------------------------------------------------


def test_a_series_is_bounded() -> None:
    series = Series(("ready",))
    for number in range(3 * POINTS):
        series.add(number, {"ready": number})
    told = series.as_dict()
    assert len(told["at"]) == len(told["ready"]) == POINTS
    assert (told["at"][0], told["ready"][0], told["ready"][-1]) == (2 * POINTS, 2 * POINTS, 3 * POINTS - 1)
    assert series.last() == {"at": 3 * POINTS - 1, "ready": 3 * POINTS - 1}


def test_what_is_not_known_is_a_gap() -> None:
    chronicle = Chronicle()
    chronicle.add(1.0, Stats("memory://", "s3queue", queues={"mail": QueueStats(ready=3, in_per_s=None)}), None)
    told = chronicle.queues["mail"].as_dict()
    assert (told["ready"], told["in_per_s"]) == ([3.0], [None])


def account(at_s: float, puts: int, done: int) -> Stats:
    usage = {"host": {"put": puts, "get": 0, "list": 0, "delete": 0}}
    return Stats(
        "s3://x",
        "s3queue",
        queues={"mail": QueueStats(done=done)},
        hosts=[HostStats("a", usage=usage)],
        as_of=datetime.fromtimestamp(at_s, UTC),
    )


def test_dollars_an_hour_and_for_a_million_messages() -> None:
    spendings = Spendings(PRICES["s3"])
    assert spendings.add(account(1000.0, 0, 0)) is None
    spent = spendings.add(account(1010.0, 100, 1000))
    assert spent is not None
    assert spent.requests_per_s == pytest.approx(10)
    assert spent.dollars_per_hour == pytest.approx(100 * 5e-6 * 360)
    assert spent.per_million == pytest.approx(0.5)


def test_a_host_that_was_restarted_spends_nothing_below_zero() -> None:
    spendings = Spendings(PRICES["s3"])
    spendings.add(account(1000.0, 500, 10))
    spent = spendings.add(account(1010.0, 3, 10))
    assert spent is not None
    assert (spent.dollars_per_hour, spent.per_million) == (0.0, None)


def test_the_next_session_of_a_supervisor_goes_on_counting() -> None:
    spendings = Spendings(PRICES["s3"])
    before, after = account(1000.0, 1000, 0), account(1010.0, 1000, 0)
    for seen in (before, after):
        seen.hosts[0].name = "web-1:7"
    later = HostStats("b", "web-1:7", usage={"host": {"put": 1010, "get": 0, "list": 0, "delete": 0}})
    after.hosts.append(later)
    spendings.add(before)
    spent = spendings.add(after)
    assert spent is not None
    assert spent.requests_per_s == pytest.approx(1.0)
