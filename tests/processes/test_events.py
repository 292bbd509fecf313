"""Who hears of what happens in the processes of a host."""

from __future__ import annotations

import json
import os
import threading
from pathlib import Path
from typing import Any

import pytest

import s3queue
from s3queue.config import Config
from s3queue.events import Event
from s3queue.observe.subscribing import here
from s3queue.store import ObjectStore
from s3queue.supervisor import Supervisor
from tests.processes.jobs import QUEUE, quick

#: Of a run in which nothing dies, what begins and ends.
PAIRS = (
    ("serving", "ended"),
    ("host_joined", "host_left"),
    ("worker_started", "worker_left"),
    ("elected", "deposed"),
    ("draining", "ended"),
)


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_events_of_all_processes_of_a_host_arrive_at_its_supervisor(
    store: ObjectStore, tmp_path: Path, method: str
) -> None:
    for number in range(30):
        quick.enqueue(str(tmp_path / "runs"), number)
    heard: list[Any] = []
    supervisor = Supervisor(store, [QUEUE], 2, config=Config(), start_method=method)
    supervisor.on("succeeded", "elected", "claimed")(heard.append)
    for begins, ends in PAIRS:
        supervisor.on(begins, ends)(heard.append)
    supervisor.run(until_empty=True)
    by_kind: dict[str, list[Any]] = {}
    for event in heard:
        assert isinstance(event, Event)
        by_kind.setdefault(event.kind, []).append(event)
    succeeded = by_kind["succeeded"]
    assert len({event.message for event in succeeded}) == len(succeeded) == 30
    assert {(event.role, event.queue) for event in succeeded} == {("worker", QUEUE)}
    assert {event.pid for event in succeeded} <= {event.worker_pid for event in by_kind["worker_started"]}
    assert [event.session for event in by_kind["host_joined"]] == [event.session for event in by_kind["host_left"]]
    assert by_kind["elected"][0].role == "agent"
    for begins, ends in PAIRS:
        assert len(by_kind[begins]) == len(by_kind[ends]), (begins, ends)
    # One that is slow to start may find nothing left to do.
    started, left = (sorted(event.worker for event in by_kind[kind]) for kind in ("worker_started", "worker_left"))
    assert started == left
    assert sum(len(event.tickets) for event in by_kind["claimed"]) >= 1
    assert (by_kind["ended"][0].pid, by_kind["ended"][0].done) == (os.getpid(), 30)


def test_subscribers_that_hang_stop_no_process(
    store: ObjectStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An agent whose event loop stands still is killed after the visibility timeout, and a worker of it as well."""
    monkeypatch.setattr(here, "_calls", {})

    @s3queue.on("host_joined", "claimed", "succeeded", "elected")
    def hang(event: Event) -> None:
        threading.Event().wait()

    for number in range(20):
        quick.enqueue(str(tmp_path / "runs"), number)
    supervisor = Supervisor(store, [QUEUE], 2, config=Config())
    stuck = threading.Event()

    @supervisor.on("worker_started")
    def hang_too(event: Event) -> None:
        stuck.wait()

    summary = supervisor.run(until_empty=True)
    stuck.set()
    assert (summary.drained, summary.deaths, summary.messages) == (True, 0, 20)


def test_subscriber_of_the_process_is_called_in_the_worker(
    store: ObjectStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(here, "_calls", {})
    out = tmp_path / "heard"

    @s3queue.on("succeeded")
    def note(event: s3queue.events.Succeeded) -> None:
        with out.open("a") as file:
            file.write(json.dumps([os.getpid(), event.pid, event.message]) + "\n")

    ids = [quick.enqueue(str(tmp_path / "runs"), number) for number in range(5)]
    Supervisor(store, [QUEUE], 1, config=Config()).run(until_empty=True)
    lines = [json.loads(line) for line in out.read_text().splitlines()]
    assert sorted(message for _, _, message in lines) == sorted(ids)
    assert all(called == told != os.getpid() for called, told, _ in lines)
