"""The census: batches that no survey lists are counted beside the cycles."""

from __future__ import annotations

import pytest

from s3queue.errors import StoreDenied
from tests.core.chores.counting import EVERY, Watched, of_queue, told
from tests.regressions.town import Member, Town, led


@pytest.fixture
def store() -> Watched:
    return Watched()


class TestCensus:
    MANY = 5000

    @pytest.fixture
    def long(self, store: Watched) -> tuple[Town, Member]:
        town, host = led(store, EVERY)
        for _ in range(self.MANY):
            town.enqueue()
        return town, host

    def test_long_backlog_is_known_after_as_many_pages_as_it_has(
        self, long: tuple[Town, Member], store: Watched
    ) -> None:
        town, host = long
        host.cycles(2)
        seen = of_queue(town)
        assert seen.at_least
        assert 0 < seen.ready + seen.running < self.MANY
        assert told(town).census_at is None
        host.cycles(8)
        seen = of_queue(town)
        assert seen.at_least
        assert seen.ready + seen.running == self.MANY
        assert told(town).census_at is not None
        assert told(town).requests["get"] == 1
        assert told(town).requests["list"] == 0

    def test_while_it_goes_on_it_tells_what_it_has_found(self, long: tuple[Town, Member]) -> None:
        town, host = long
        told_so_far = []
        for _ in range(8):
            host.cycles(2)
            seen = of_queue(town)
            told_so_far.append(seen.ready + seen.running)
        assert told_so_far == sorted(told_so_far)
        assert len({many for many in told_so_far if 1000 <= many < self.MANY}) >= 2, told_so_far

    def test_it_never_tells_more_than_there_is(self, long: tuple[Town, Member]) -> None:
        town, host = long
        host.host.slots = 60
        host.flush()
        behind = False
        for _ in range(70):
            host.cycles(1)
            for ticket in host.claim():
                host.succeed(ticket)
            host.flush()
            least, exact = of_queue(town), of_queue(town, exact=True)
            there = exact.ready + exact.running
            # The summary is up to two seconds old: what was there then is there, or done.
            assert least.ready + least.running + least.done <= there + exact.done
            behind = behind or least.ready > 3000
        assert behind

    def test_what_waits_for_its_time_is_counted_by_minutes(self, store: Watched) -> None:
        town, host = led(store, EVERY)
        for number in range(1200):
            town.enqueue(due_ms=town.now_ms() + 3_600_000 + number * 1000)
        host.cycles(8)
        assert of_queue(town).scheduled == 1200
        store.take()
        host.cycles(100)
        assert [key for kind, key in store.take() if kind == "list"] == [town.layout.home] * 100, "only surveys"
        town.now += 3_600_000 / 1000 + 600
        host.flush()
        host.cycles(3)
        assert of_queue(town).scheduled <= 600

    def test_page_that_is_refused_is_asked_for_again(self, long: tuple[Town, Member]) -> None:
        town, host = long
        assert host.lead is not None
        host.cycles(1)
        census = host.lead.chores.summaries.census
        town.now += 5
        step = census.take(town.now, town.now_ms())
        assert step is not None
        next(step)
        with pytest.raises(StopIteration):
            step.throw(StoreDenied("list", "in/", "403"))
        assert census.take(town.now, town.now_ms()) is None
        town.now += 5
        host.flush()
        host.cycles(12)
        assert of_queue(town).ready + of_queue(town).running == self.MANY
