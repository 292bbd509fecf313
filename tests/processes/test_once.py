"""What is enqueued only once runs only once, and what is over may be enqueued again."""

from __future__ import annotations

import signal
from collections.abc import Callable
from pathlib import Path

import pytest
from s3queue_backends.memory import MemoryStore

import s3queue
from s3queue.core.keys import Layout
from s3queue.queue import Queue
from s3queue.store import ObjectStore
from tests.processes.host import IMPATIENT, Line, host
from tests.processes.jobs import add, alone, last_call, queued

Fifo = Callable[[str], Line]


def test_message_of_a_dedup_id_is_enqueued_once_though_it_is_over(store: ObjectStore, tmp_path: Path) -> None:
    runs = str(tmp_path / "runs")
    first = alone.options(dedup_id="order-7").enqueue(runs, 1)
    again = alone.options(dedup_id="order-7").enqueue(runs, 2)
    other = alone.options(dedup_id="order-8").enqueue(runs, 3)
    assert (first.is_new, again.is_new, other.is_new) == (True, False, True)
    assert again == first
    with host(store, until_empty=True, workers=1, **IMPATIENT) as it:
        it.summary()
    assert alone.options(dedup_id="order-7").enqueue(runs, 4) == first
    assert sorted((tmp_path / "runs").read_text().split()[::2]) == ["1", "3"]


def test_unique_message_is_enqueued_again_when_it_is_over(store: ObjectStore, fifo: Fifo, tmp_path: Path) -> None:
    runs = str(tmp_path / "runs")
    first = alone.enqueue(runs, 1)
    assert alone.enqueue(runs=runs, number=1) == first, "the same arguments, given by name"
    assert alone.enqueue(runs, 2) != first
    with host(store, until_empty=True, workers=1, **IMPATIENT) as it:
        it.summary()
    again = alone.enqueue(runs, 1)
    assert again.is_new
    assert again != first
    with host(store, until_empty=True, workers=1, **IMPATIENT) as it:
        it.summary()
    assert sorted((tmp_path / "runs").read_text().split()[::2]) == ["1", "1", "2"]


def test_message_that_is_unique_while_it_waits_is_enqueued_again_when_it_has_begun(
    store: ObjectStore, fifo: Fifo
) -> None:
    started, release = fifo("started"), fifo("release")
    first = queued.enqueue(started.path, release.path)
    assert queued.enqueue(started.path, release.path) == first
    with host(store, workers=1, concurrency=1, **IMPATIENT) as it:
        started.word()
        second = queued.enqueue(started.path, release.path)
        assert second.is_new
        assert second != first
        release.release()
        started.word()
        release.release()
        it.signal(signal.SIGTERM)
        assert it.summary().messages == 2


def test_later_call_takes_the_place_of_one_that_has_not_begun(store: ObjectStore, tmp_path: Path) -> None:
    runs = str(tmp_path / "runs")
    ids = [last_call.options(debounce=3600, dedup_id="x").enqueue(runs, number) for number in (1, 2, 3)]
    assert len(set(ids)) == 3
    assert all(one.is_new for one in ids)
    with host(store, workers=1, **IMPATIENT) as it:
        assert s3queue.message(ids[2], store).run_now() == "ready"
        assert s3queue.message(ids[0], store).cancel() in ("over", "cancelled")
        it.signal(signal.SIGTERM)
        it.summary()
    assert [s3queue.message(one, store).status() for one in ids[:2]] == ["unknown", "unknown"]


def test_what_it_costs() -> None:
    store = MemoryStore("once")
    queue = Queue("q", store)
    queue.enqueue(0)

    def costs(**options: object) -> tuple[int, int, int]:
        before = queue.meter.as_dict()
        conflicts = queue.meter.usage.conflicts
        queue.enqueue(1, **options)  # type: ignore[arg-type]
        after = queue.meter.as_dict()
        assert after["list"] == before["list"] == 0
        return after["put"] - before["put"], after["get"] - before["get"], queue.meter.usage.conflicts - conflicts

    assert costs(dedup_id="a") == (2, 0, 0), "who comes first: two PUTs"
    assert costs(dedup_id="a") == (2, 1, 2), "a duplicate: one GET, and two PUTs that are refused"
    assert costs(unique=True) == (2, 0, 0)
    assert costs(unique=True) == (2, 1, 2)


def test_caller_that_died_between_gate_and_message_is_completed(store: ObjectStore, tmp_path: Path) -> None:
    runs = str(tmp_path / "runs")
    first = alone.options(dedup_id="x").enqueue(runs, 1)
    source = s3queue.message(first, store).layout.source(s3queue.message(first, store)._ref.path)
    store.delete([source])
    second = alone.options(dedup_id="x").enqueue(runs, 1)
    assert second == first
    assert not second.is_new
    with host(store, until_empty=True, workers=1, **IMPATIENT) as it:
        it.summary()
    assert (tmp_path / "runs").read_text().split()[0] == "1"


def test_gates_are_free_when_their_messages_are_over(store: ObjectStore, tmp_path: Path) -> None:
    alone.enqueue(str(tmp_path / "runs"), 1)
    with host(store, until_empty=True, workers=1, **IMPATIENT) as it:
        it.summary()
    (gate,) = store.list(Layout().gates)
    found = store.get(gate.key)
    assert hasattr(found, "body")
    assert b'"held":false' in found.body


@pytest.mark.parametrize(
    "options",
    [
        {"dedup_id": ""},
        {"dedup_window": 5},
        {"dedup_id": "x", "unique": True},
        {"unique": "always"},
        {"debounce": -1},
        {"debounce": 1, "unique": True},
    ],
)
def test_options_that_exclude_each_other_are_refused(store: ObjectStore, options: dict[str, object]) -> None:
    with pytest.raises(s3queue.ConfigError):
        add.options(**options).enqueue(1, 2)  # type: ignore[arg-type]


def test_several_messages_in_one_call_cannot_be_unique(store: ObjectStore) -> None:
    with pytest.raises(s3queue.ConfigError, match="one by one"):
        alone.enqueue_many([("", 1), ("", 2)])
