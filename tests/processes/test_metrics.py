"""A host that serves metrics, over HTTP as a scraper sees it."""

from __future__ import annotations

import json
import os
import signal
import socket
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from s3queue import ConfigError
from s3queue.config import Config
from s3queue.runtime.supervisor.sidecar import open_door
from s3queue.store import ObjectStore
from s3queue.supervisor import Supervisor
from tests.deadline import DEADLINE_S
from tests.processes.host import Line, host
from tests.processes.jobs import QUEUE, hold, quick


@pytest.fixture
def where() -> Iterator[str]:
    """An address that is free, and stays so for whoever asks for it by its number."""
    with socket.socket() as it:
        it.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # then another that does so, too, can listen there
        it.bind(("127.0.0.1", 0))
        yield f"127.0.0.1:{it.getsockname()[1]}"


def ask(where: str, path: str) -> tuple[int, Any]:
    try:
        with urllib.request.urlopen(f"http://{where}{path}", timeout=DEADLINE_S) as answer:
            status, body = answer.status, answer.read()
    except urllib.error.HTTPError as refused:
        status, body = refused.code, refused.read()
    return status, body.decode() if path == "/metrics" else json.loads(body)


def until(holds: Callable[[], bool]) -> None:
    """Ask again and again: nothing tells a scraper that there is something new."""
    deadline = time.monotonic() + DEADLINE_S
    while True:
        try:
            if holds():
                return
        except OSError:
            pass  # not listening yet
        assert time.monotonic() < deadline
        time.sleep(0.05)


def values(where: str) -> dict[tuple[str, frozenset[tuple[str, str]]], float]:
    _, text = ask(where, "/metrics")
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_host_serves_what_its_processes_measure_and_says_how_it_is(
    store: ObjectStore, tmp_path: Path, fifo: Callable[[str], Line], where: str, method: str
) -> None:
    started, release = fifo("started"), fifo("release")
    for number in range(20):
        quick.enqueue(str(tmp_path / "runs"), number)
    with host(store, workers=1, metrics=where, start_method=method) as it:
        until(lambda: ask(where, "/readyz")[0] == 200)
        labels = frozenset({"queue": QUEUE, "task": "quick", "result": "ok"}.items())
        until(lambda: values(where).get(("s3queue_attempts_total", labels)) == 20)
        hold.enqueue(started.path, release.path)
        started.word()
        assert values(where)["s3queue_slots", frozenset({("state", "busy")})] == 1
        now = values(where)
        assert now["s3queue_message_wait_seconds_count", frozenset({("queue", QUEUE)})] > 0
        assert now["s3queue_store_requests_total", frozenset({"role": "host", "op": "put", "result": "ok"}.items())] > 0
        assert ask(where, "/healthz")[0] == 200
        until(lambda: ask(where, "/scale")[1]["queues"][QUEUE] == {"wanted": 1, "ready": 0, "running": 1})
        it.signal(15)
        until(lambda: ask(where, "/readyz")[1]["host"] == "draining")
        assert ask(where, "/readyz")[0] == 503
        release.release()
        it.summary()
    with pytest.raises(OSError):
        ask(where, "/healthz")


def test_attempt_that_runs_has_not_ended_well_and_one_whose_process_dies_never_has(
    store: ObjectStore, tmp_path: Path, fifo: Callable[[str], Line], where: str
) -> None:
    started, release = fifo("started"), fifo("release")

    def ended(task: str, result: str) -> float:
        labels = {"queue": QUEUE, "task": task, "result": result}
        return values(where).get(("s3queue_attempts_total", frozenset(labels.items())), 0)

    with host(store, workers=1, concurrency=2, metrics=where):
        hold.enqueue(started.path, release.path)
        _, worker, _ = started.word()
        quick.enqueue(str(tmp_path / "runs"), 1)
        until(lambda: ended("quick", "ok") == 1)  # told by a snapshot that was made while the other one ran
        assert ended("hold", "ok") == 0
        os.kill(int(worker), signal.SIGKILL)
        until(lambda: ended("", "lost") == 1)
        started.word()
        release.release()
        until(lambda: ended("hold", "ok") == 1)


def test_process_that_serves_metrics_is_replaced_and_the_host_works_on(
    store: ObjectStore, tmp_path: Path, where: str
) -> None:
    with host(store, workers=1, metrics=where) as it:
        until(lambda: ask(where, "/readyz")[0] == 200)
        others = {child.pid for child in it.children()}
        (served,) = [child for child in it.children() if where_is(child.pid, where)]
        served.kill()
        until(lambda: ask(where, "/readyz")[0] == 200 and served.pid not in {child.pid for child in it.children()})
        assert len(others & {child.pid for child in it.children()}) == len(others) - 1
        it.signal(15)
        assert it.summary().deaths == 0


def where_is(pid: int, where: str) -> bool:
    """Whether this process, of all children, listens there."""
    import psutil

    return any(
        f"{it.laddr.ip}:{it.laddr.port}" == where for it in psutil.Process(pid).net_connections("inet") if it.laddr
    )


def test_address_that_is_taken_is_a_mistake_that_is_named(store: ObjectStore) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        where = f"127.0.0.1:{taken.getsockname()[1]}"
        supervisor = Supervisor(store, [QUEUE], 1, config=Config(), metrics=where)
        with pytest.raises(ConfigError, match=f"cannot listen at {where}"):
            supervisor.run()


@pytest.mark.parametrize("wrong", ["9191", "127.0.0.1", "127.0.0.1:", "127.0.0.1:99999", "no.such.host.invalid:1"])
def test_what_is_no_address_is_refused(wrong: str) -> None:
    with pytest.raises(ConfigError):
        open_door(wrong)
