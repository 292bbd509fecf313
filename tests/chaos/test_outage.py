"""A server that goes away while a queue is being drained, and comes back: nothing is lost, nothing is done twice, nobody
dies, and it is said once, not a thousand times."""

from __future__ import annotations

import json
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from s3queue.cli.audit import read_history, read_lines
from s3queue.config import configure
from s3queue.core.keys import Layout
from s3queue.store import open_store
from s3queue.testing.faultproxy import FaultProxy
from s3queue.testing.servers import Server
from tests.chaos.tasks import work
from tests.deadline import DEADLINE_S

MESSAGES = 1000
WORKERS = 2


def url_through(proxy: FaultProxy, server: Server, backend: str, prefix: str) -> str:
    direct = server.url(backend, f"{prefix}-{backend.replace('+', '-')}")
    return direct.replace(urlsplit(server.address).netloc, urlsplit(proxy.address).netloc)


def s3queue(*args: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", "from s3queue.cli import main; main()", *map(str, args), "--json"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=DEADLINE_S, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done


@pytest.mark.parametrize("backend", ["s3", "minio", "obstore+s3"])
def test_a_demo_does_not_mind_a_server_that_is_away_for_a_while(seaweedfs_server: Server, backend: str) -> None:
    with FaultProxy(seaweedfs_server.address) as proxy:
        # Half of the messages are enqueued one by one, so that this is while they are run.
        proxy.go_away(3.0, at_request=MESSAGES // 2 + 200)
        store = url_through(proxy, seaweedfs_server, backend, "demo")
        done = s3queue("demo", "--kill", 0, "--messages", MESSAGES, "--workers", WORKERS, "--store", store)
        assert proxy.faults["gone"] >= 1
    report: dict[str, Any] = json.loads(done.stdout)
    assert report["done"] == report["messages"] == MESSAGES
    assert (report["lost"], report["dead"], report["committed_twice"], report["ran_twice"]) == (0, 0, 0, 0)


class LeavesWithWorkUnderWay(FaultProxy):
    """Goes away a few requests after the first host has stored its ledger: the questions of the start are over then."""

    away_s: float | None = None

    async def _pass_on(self, request: Any, *more: Any) -> bool:
        if (
            self.away_s is not None
            and request.head.startswith(b"PUT ")
            and b"/hosts/" in request.head.split(b"\r\n")[0]
        ):
            self.go_away(self.away_s, at_request=self.requests + 15)
            self.away_s = None
        return await super()._pass_on(request, *more)


@pytest.fixture
def unconfigured() -> Any:
    yield
    configure()


@pytest.mark.parametrize(
    ("outage_s", "visibility_s", "lease_s"),
    [(20.0, 30.0, 15.0), pytest.param(8.0, 2.0, 1.0, id="longer than every time-out")],
)
def test_a_server_that_is_away_costs_no_process_and_each_of_them_one_warning(
    seaweedfs_server: Server,
    tmp_path: Path,
    unconfigured: None,
    monkeypatch: pytest.MonkeyPatch,
    outage_s: float,
    visibility_s: float,
    lease_s: float,
) -> None:
    monkeypatch.setenv("S3QUEUE_VISIBILITY_TIMEOUT", str(visibility_s))
    monkeypatch.setenv("S3QUEUE_LEADER_LEASE", str(lease_s))
    with LeavesWithWorkUnderWay(seaweedfs_server.address) as proxy:
        url = url_through(proxy, seaweedfs_server, "s3", "warnings")
        store = open_store(url)
        configure(store=store)
        ids = work.enqueue_many([(number,) for number in range(MESSAGES)])
        proxy.away_s = outage_s
        done = s3queue(
            *("run", "tests.chaos.tasks", "--until-empty", "--workers", WORKERS, "--store", url),
            *("--log-level", "WARNING", "--history", tmp_path),
        )
        assert proxy.faults["gone"] >= 1
        store.close()
    summary: dict[str, Any] = json.loads(done.stdout)
    assert (summary["deaths"], summary["restarts"]) == (0, 0)
    assert summary["messages"] == MESSAGES
    committed = Counter(read_history(tmp_path, Layout()))
    assert {one.message for one in committed} == set(ids)
    assert set(committed.values()) == {1}
    assert {one.outcome for one in committed} == {"done"}
    assert len({json.loads(line)["message"] for line in runs(tmp_path)}) == MESSAGES
    said = done.stderr.splitlines()
    # The agent of its ledger, its board and its listings; a worker of its sources.
    assert 1 <= len(said) <= WORKERS + 3, done.stderr
    assert all(" WARNING " in line for line in said)


def runs(history: Path) -> list[bytes]:
    return [line for file in history.glob("worker-*.jsonl") for line in read_lines(file)[0] if b'"started"' in line]
