"""An exporter tells what could start where no host is left to say so."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

import pytest
from msgspec.structs import replace
from s3queue_backends.memory import MemoryStore

from s3queue.cli.exporter import answers
from s3queue.config import Config
from s3queue.core import elect, operate
from s3queue.core.records import Board, Failed, Failure, Schedule, SourceState, decode, encode
from s3queue.core.records.control import Control
from s3queue.observe.stats import HostStats, QueueStats, Stats
from s3queue.queue import Queue
from s3queue.runtime.metrics.unled import Unled, Waiting, as_unled
from s3queue.store import Found
from tests.core.chores.counting import EVERY
from tests.observe.test_metrics import value
from tests.regressions.town import QUEUE, Member, Town, led

NAMESPACE = "town"


class Counted(MemoryStore):
    lists = 0

    def list(self, prefix: str, *, after: str = "", limit: int = 1000) -> Any:
        Counted.lists += 1
        return super().list(prefix, after=after, limit=limit)


@pytest.fixture
def store() -> Counted:
    Counted.lists = 0
    return Counted()


@pytest.fixture
def town(store: Counted) -> tuple[Town, Member]:
    return led(store, EVERY)


def leave(host: Member) -> None:
    """The last host drains and resigns."""
    host.cycles(5)
    host.town.driver.run(elect.resign(host.view, host.town.layout, host.nonce))


def unled(town: Town) -> Unled:
    return Unled(town.store, NAMESPACE, every_s=0.0)


def counts(seen: Mapping[str, Waiting] | None) -> dict[str, int]:
    assert seen is not None
    return {queue: found.ready for queue, found in seen.items()}


def test_autoscaler_that_has_ended_the_last_host_is_told_of_what_comes(town: tuple[Town, Member]) -> None:
    it, host = town
    leave(host)
    told = answers(it.store, Config(namespace=NAMESPACE), (QUEUE,)).scale
    assert told()["queues"][QUEUE]["wanted"] == 0
    it.enqueue()
    told = answers(it.store, Config(namespace=NAMESPACE), (QUEUE,)).scale
    assert told()["queues"][QUEUE] == {"wanted": 1, "ready": 1, "running": 0}
    assert told()["total"]["wanted"] == 1


def test_alert_is_raised_when_the_last_host_was_killed_though_nothing_was_ready_then(
    town: tuple[Town, Member], monkeypatch: pytest.MonkeyPatch
) -> None:
    it, host = town
    host.cycles(5)
    told = answers(it.store, Config(namespace=NAMESPACE), (QUEUE,)).metrics
    steady = time.monotonic()
    monkeypatch.setattr(time, "monotonic", lambda: steady)
    assert value(told(), "s3queue_hosts") == 1
    it.enqueue()
    steady += 2 * it.board().leader_lease + 10
    assert value(told(), "s3queue_hosts") == 0
    assert value(told(), "s3queue_messages", queue=QUEUE, state="ready") == 1


def test_what_was_said_is_put_right_where_nobody_leads() -> None:
    said = Stats(
        "s", "n", queues={"a": QueueStats(ready=5, running=3, mean_s=2.0)}, hosts=[HostStats("h", busy=3, slots=4)]
    )
    assert as_unled(said, None) is said
    assert as_unled(None, {}) is None
    right = as_unled(said, {"a": Waiting(2, 1000), "b": Waiting(1, 4000)}, now_ms=5000)
    assert right is not None
    assert right.queues["a"] == QueueStats(ready=5, mean_s=2.0, at_least=True, oldest_s=4.0)
    assert right.queues["b"] == QueueStats(ready=1, at_least=True, oldest_s=1.0)
    assert [(one.over, one.busy) for one in right.hosts] == [(True, 0)]
    assert said.queues["a"].running == 3


def test_namespace_that_was_never_used_is_told_of_its_first_message(store: Counted) -> None:
    Queue("mail", store, namespace=NAMESPACE).enqueue_many(range(3))
    assert counts(Unled(store, NAMESPACE).look()) == {"mail": 3}


def test_what_only_a_newer_release_knows_hides_nothing(town: tuple[Town, Member]) -> None:
    it, host = town
    leave(host)
    key = it.layout.board
    found = it.store.get(key)
    assert isinstance(found, Found)
    board = decode(Board, key, found.body)
    newer = replace(board, sources={**board.sources, "wish/q": SourceState()})
    it.store.put(key, encode(newer), if_version=found.version)
    it.enqueue()
    assert counts(unled(it).look(now=it.now)) == {QUEUE: 1}


def test_while_somebody_leads_nothing_is_listed(town: tuple[Town, Member], store: Counted) -> None:
    it, host = town
    look = unled(it)
    for _ in range(10):
        it.enqueue()
        host.cycles(5)
        Counted.lists = 0
        assert look.look(now=it.now) is None
        assert Counted.lists == 0


def test_leader_that_was_killed_is_missed_after_two_leases(town: tuple[Town, Member]) -> None:
    it, host = town
    host.cycles(5)
    it.enqueue()
    look = unled(it)
    lease_s = it.board().leader_lease
    assert look.look(now=it.now) is None
    assert look.look(now=it.now + 2 * lease_s) is None
    assert counts(look.look(now=it.now + 2 * lease_s + 1)) == {QUEUE: 1}


def test_retry_counts_once_it_is_due(town: tuple[Town, Member]) -> None:
    it, host = town
    it.enqueue()
    host.cycles(1)
    (ticket,) = host.claim()
    host.fail(ticket, 0, Failed("retry", 60.0, Failure(1, "error", "again")))
    host.flush()
    leave(host)
    look = unled(it)
    assert counts(look.look(now_ms=it.now_ms())) == {}
    assert counts(look.look(now_ms=it.now_ms() + 60_000)) == {QUEUE: 1}


def test_what_a_host_has_left_in_its_tickets_counts(town: tuple[Town, Member]) -> None:
    it, host = town
    it.enqueue(3)
    host.cycles(1)
    host.claim()
    leave(host)
    assert counts(unled(it).look()) == {QUEUE: 3}


def test_scheduled_message_counts_once_it_is_due(town: tuple[Town, Member]) -> None:
    it, host = town
    leave(host)
    it.enqueue(due_ms=it.now_ms() + 1000)
    assert counts(unled(it).look(now_ms=it.now_ms())) == {}
    assert counts(unled(it).look(now_ms=it.now_ms() + 1000)) == {QUEUE: 1}


def test_tick_counts_once_it_is_due(town: tuple[Town, Member]) -> None:
    it, host = town
    control = Control("n", 1, schedules={"often": Schedule(1, QUEUE, every_s=3600)})
    it.store.put(it.layout.control, encode(control), if_version=None)
    assert unled(it).look(now_ms=it.now_ms()) is None, "somebody leads"
    leave(host)
    hour_ms = 3_600_000
    next_ms = (it.now_ms() // hour_ms + 1) * hour_ms
    assert counts(unled(it).look(now_ms=next_ms - 1)) == {}
    assert counts(unled(it).look(now_ms=next_ms)) == {QUEUE: 1}


def test_schedule_that_no_coordinator_has_seen_wants_one(store: Counted) -> None:
    control = Control("n", 1, schedules={"often": Schedule(1, QUEUE, every_s=3600)})
    store.put(Town(store).layout.control, encode(control), if_version=None)
    assert counts(Unled(store, NAMESPACE).look()) == {QUEUE: 1}


def test_paused_queue_wants_nobody(town: tuple[Town, Member]) -> None:
    it, host = town
    it.driver.run(operate.change(it.layout, operate.pause(QUEUE), "n"))
    it.enqueue()
    leave(host)
    assert counts(unled(it).look()) == {}


def test_queue_behind_a_thousand_batches_of_another_is_looked_for(store: Counted) -> None:
    crowd, small = Queue("a", store, namespace=NAMESPACE), Queue("z", store, namespace=NAMESPACE)
    for _ in range(1001):
        crowd.enqueue(1)
    small.enqueue(1)
    assert counts(Unled(store, NAMESPACE).look()) == {"a": 1000}
    assert counts(Unled(store, NAMESPACE).look(("a", "z"))) == {"a": 1000, "z": 1}


def test_outage_leaves_what_was_seen(town: tuple[Town, Member], monkeypatch: pytest.MonkeyPatch) -> None:
    from s3queue.errors import StoreDenied

    it, host = town
    leave(host)
    it.enqueue()
    look = unled(it)
    assert counts(look.look()) == {QUEUE: 1}

    def refuse(key: str, *, unless: str | None = None) -> Found:
        raise StoreDenied("get", key, "403")

    monkeypatch.setattr(it.store, "get", refuse)
    assert counts(look.look()) == {QUEUE: 1}
