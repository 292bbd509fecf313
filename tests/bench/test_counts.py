"""What the queue may cost, in requests and bytes. Never in time: these hold on any machine.

The simulated ones run without the coordinator's real computing time, and so give the same counts every time. The bounds
are a few percent above what was counted when they were written; whoever makes something cheaper should lower them.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from s3queue_backends.memory import MemoryStore

from s3queue.queue import Queue
from stress.scale.scenarios import SCENARIOS
from stress.scale.simulation import Setting, simulate


@pytest.fixture(scope="module")
def one_host() -> dict[str, Any]:
    """16 slots, tasks of 1 s, one message per object, always something waiting."""
    return simulate(Setting(hosts=1, slots=16, backlog_s=15, warm_s=20, measure_s=60, cpu=0.0))


@pytest.fixture(scope="module")
def twenty_hosts() -> dict[str, Any]:
    return simulate(Setting(hosts=20, slots=4, queues=4, backlog_s=10, warm_s=15, measure_s=20, cpu=0.0))


def test_one_by_one_a_message_costs_two_writes_at_most(one_host: dict[str, Any]) -> None:
    assert one_host["write_class_per_message"] <= 1.95
    assert one_host["read_class_per_message"] <= 1.1


def test_slots_of_one_host_are_busy(one_host: dict[str, Any]) -> None:
    assert one_host["utilisation"] >= 0.95


def test_coordinator_stays_below_its_share(one_host: dict[str, Any]) -> None:
    asked = one_host["by_role"]["coordinator"]
    assert (asked["put"] + asked["list"]) / one_host["messages"] <= 0.65  # overhead 0.5, and pages of retired ids


def test_board_is_small(twenty_hosts: dict[str, Any]) -> None:
    # At most two messages for each slot, those whose outcomes are batched (2 s), and those that are finished and not
    # retired yet: each some hundred bytes.
    out = 2 * 20 * 4 + (2 + 2) * twenty_hosts["done_per_s"]
    assert twenty_hosts["board_bytes"]["max"] <= 180 * out


def test_no_host_is_fenced_and_nobody_conflicts_where_nothing_fails(twenty_hosts: dict[str, Any]) -> None:
    assert twenty_hosts["fenced"] == 0
    assert twenty_hosts["elections"] == 1
    assert twenty_hosts["conflicts"] <= 2  # of those that stood for the first election in the same moment


def test_store_that_takes_one_write_a_second_of_a_key_refuses_few() -> None:
    told = simulate(Setting(model="gcs", hosts=5, queues=2, backlog_s=12, warm_s=15, measure_s=30, cpu=0.0))
    puts = told["by_role"]["coordinator"]["put"] + told["by_role"]["host"]["put"]
    assert told["refused"]["put"] <= 0.1 * puts


@pytest.mark.parametrize(("pacing", "dollars"), [("latency", 0.78), ("balanced", 0.25), ("frugal", 0.09)])
def test_idle_bill(pacing: str, dollars: float) -> None:
    idle = Setting(hosts=10, queues=10, load=0.0, warm_s=900, measure_s=3600, split="none", cpu=0.0)
    assert simulate(Setting(**{**_fields(idle), "settings": {"pacing": pacing}}))["dollars_per_day"] <= dollars


def test_first_message_on_an_idle_namespace_waits_for_few_polls() -> None:
    waited = simulate(replace(SCENARIOS["wake-balanced"], measure_s=3600))["latency_s"]
    assert waited["p50"] <= 3.0
    assert waited["max"] <= 8.0


def test_backlog_does_not_make_cycles_longer() -> None:
    short = Setting(hosts=5, batch=10, backlog_s=3, warm_s=10, measure_s=15, cpu=0.0)
    long = Setting(**{**_fields(short), "backlog": 100_000})
    assert simulate(long)["cycle_s"]["p50"] <= 1.5 * simulate(short)["cycle_s"]["p50"]


def test_leader_that_dies_is_replaced_within_its_lease_and_a_cycle() -> None:
    told = simulate(Setting(hosts=5, backlog_s=60, warm_s=10, measure_s=40, kill_leader_at=5, cpu=0.0))
    assert told["fail_over_s"] <= 15.0 + 0.5


def test_same_seed_same_figures() -> None:
    setting = Setting(hosts=3, backlog_s=5, warm_s=5, measure_s=5, cpu=0.0)
    assert simulate(setting) == simulate(setting)


def test_enqueue_asks_for_one_put_per_object_and_nothing_else() -> None:
    queue = Queue("q", MemoryStore("counts"))
    queue.enqueue(1)
    first = queue.meter.as_dict()
    for number in range(50):
        queue.enqueue(number)
    queue.enqueue_many(range(1000))
    after = queue.meter.as_dict()
    assert {kind: after[kind] - first[kind] for kind in after} == {"put": 51, "get": 0, "list": 0, "delete": 0}


def test_a_small_message_of_a_batch_takes_few_bytes() -> None:
    store = MemoryStore("bytes")
    Queue("q", store).enqueue_many(range(1000))
    (listed,) = store.list("s3queue/p00/in/")
    assert listed.size <= 1000 * 8 + 100


def test_every_prepared_scenario_can_be_built() -> None:
    for scenario in SCENARIOS.values():
        assert scenario.hosts >= 1


def _fields(setting: Setting) -> dict[str, Any]:
    from dataclasses import fields

    return {one.name: getattr(setting, one.name) for one in fields(Setting)}
