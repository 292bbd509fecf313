"""What a host may hold."""

import pytest

from s3queue.core.plan import Settings, capacity
from s3queue.core.plan.hosts import Host, Pool
from s3queue.core.records import Dozing, Offer
from tests.core.world import ledger


class TestCapacity:
    @pytest.mark.parametrize(
        ("slots", "mean_s", "expected"),
        [(4, 0.0, 4), (4, 0.1, 44), (4, 10.0, 5), (4, 1e-9, 10_000), (20_000, 1e-9, 20_000), (1, 1.0, 2)],
    )
    def test_one_for_each_slot_and_a_second_of_work_behind_them(self, slots: int, mean_s: float, expected: int) -> None:
        assert capacity(slots, mean_s, Settings()) == expected

    @pytest.mark.parametrize(
        ("slots", "mean_s", "expected"),
        [(4, 0.0, 400), (4, 0.6, 800), (4, 60.0, 800), (4, 0.001, 4004), (200, 0.0, 10_000)],
    )
    def test_where_slots_take_batches_as_many_as_fill_them_and_as_many_behind(
        self, slots: int, mean_s: float, expected: int
    ) -> None:
        assert capacity(slots, mean_s, Settings(), 100) == expected


class TestDozing:
    """It may be dead: it is given little, and last."""

    @staticmethod
    def host(session: str, quiet_s: float | None = None) -> Host:
        dozing = None if quiet_s is None else Dozing(300.0, 3.6)
        offers = {"q": Offer(mean_s=0.001)}
        return Host(ledger(session, offers=offers, dozing=dozing), Settings(), quiet_s or 0.0)

    def test_it_gets_one_message_however_short_they_are(self) -> None:
        host = self.host("h1", 1.0)
        assert (host.slots, host.capacity("q")) == (1, 1)
        assert Pool([host], Settings()).shares("q", 100, 1) == {host: 1}

    def test_awake_ones_go_first_and_then_those_that_wrote_last(self) -> None:
        old, new, awake = self.host("h1", 200.0), self.host("h2", 3.0), self.host("h3")
        pool = Pool([old, new, awake], Settings())
        assert pool.shares("q", 4, 1) == {awake: 4}
        assert pool.shares("q", 1, 1) == {new: 1}
