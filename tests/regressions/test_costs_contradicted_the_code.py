"""The documents named costs that contradicted each other and the code by a factor of ten.

Here costs are counted, by the driver that sends the requests, while the production steps run; and the figures that the
protocol promises are upper bounds in this test.
"""

from __future__ import annotations

import pytest

from s3queue.core.plan import Settings
from s3queue.store import ObjectStore
from tests.core.world import Whole
from tests.regressions.town import Member, Town, drain


def loaded(store: ObjectStore, batches: int, many: int) -> tuple[Town, Member]:
    town = Town(store, Settings())
    first = town.host("h1", slots=4, mean_s=0.01)
    first.look()
    first.stand()
    before = town.meter.as_dict()
    for _ in range(batches):
        town.enqueue(many)
    assert town.meter.usage.put - before["put"] == batches
    return town, first


@pytest.mark.parametrize(("batches", "many", "writes", "reads"), [(1000, 1, 0.1, 0.05), (20, 100, 0.02, 0.01)])
def test_a_message_costs_no_more_than_is_promised(
    store: ObjectStore, batches: int, many: int, writes: float, reads: float
) -> None:
    """Besides the one PUT of each source by its producer and the one GET by a worker, which the test leaves out."""
    town, first = loaded(store, batches, many)
    before = town.meter.as_dict()
    drain(town, first)
    spent = {kind: count - before[kind] for kind, count in town.meter.as_dict().items()}
    messages = batches * many
    assert (spent["put"] + spent["list"]) / messages <= writes
    assert spent["get"] / messages <= reads


def test_idling_costs_one_listing_a_cycle_and_a_few_writes_a_minute(store: ObjectStore) -> None:
    town, first = loaded(store, 0, 0)
    first.cycles(1)
    before = town.meter.as_dict()
    first.cycles(60)
    spent = {kind: count - before[kind] for kind, count in town.meter.as_dict().items()}
    assert spent["list"] == 60
    assert spent["put"] <= 60 / (town.settings.leader_lease / 3) + 60 / (town.settings.visibility_timeout / 3) + 2
    assert spent["get"] == 0, "nothing changed, so nothing is read"
    assert spent["delete"] == 0


def test_a_queue_that_nobody_uses_costs_nothing(store: ObjectStore) -> None:
    """One board serves all queues, so a cycle asks the same whatever their number."""
    town, first = loaded(store, 0, 0)
    first.cycles(1)
    before = town.meter.usage.list
    outcome = first.cycle()
    assert isinstance(outcome, Whole)
    assert town.meter.usage.list - before == 1
