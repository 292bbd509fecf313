"""How a host runs, recycles, drains and gives up."""

from __future__ import annotations

import json
import os
import signal
import threading
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

import psutil
import pytest
from s3queue_backends.memory import MemoryStore
from s3queue_backends.sqlite import SqliteStore

from s3queue import ConfigError, Queue, QueueError, StoreUnsupported, stats
from s3queue.config import Config, configure
from s3queue.registry import Registry
from s3queue.runtime.local.life import Life
from s3queue.store import Conflict, Found, Missing, ObjectStore, Stored, Unchanged, open_store
from s3queue.supervisor import Supervisor
from tests.deadline import DEADLINE_S
from tests.processes.host import IMPATIENT, Line, drain, host
from tests.processes.jobs import QUEUE, hold, hold_first, other, quick
from tests.processes.test_death import numbers
from tests.stores.mini_s3 import MiniS3

Fifo = Callable[[str], Line]


# ---- a queue that runs


@pytest.mark.parametrize("kind", ["sqlite", "memory"])
@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_every_message_runs_once_and_the_host_leaves_when_the_queue_is_empty(
    tmp_path: Path, kind: str, method: str
) -> None:
    runs = tmp_path / "runs"
    store: ObjectStore = SqliteStore(str(tmp_path / "store.db")) if kind == "sqlite" else MemoryStore()
    configure(store=store)
    try:
        for number in range(20):
            quick.enqueue(str(runs), number)
        quick.enqueue_many([(str(runs), number) for number in range(20, 300)])
        summary = drain(store, queues=[QUEUE], workers=2, concurrency=2, start_method=method)
        counts = stats(store, exact=True).queues[QUEUE]
    finally:
        configure()
        store.close()
    assert Counter(numbers(runs)) == Counter(range(300))
    assert (counts.done, counts.dead, counts.ready) == (300, 0, 0)
    assert (summary.deaths, summary.restarts, summary.messages, summary.drained) == (0, 0, 300, True)
    assert summary.requests["get"] >= 21
    assert summary.requests["put"] > 0
    assert summary.requests == {kind: sum(one[kind] for one in summary.usage.values()) for kind in summary.requests}
    coordinator, worker = summary.usage["coordinator"], summary.usage["worker"]
    assert 21 <= worker["get"] <= 22  # both may have had a part of the batch
    assert (worker["put"], worker["list"], worker["delete"]) == (0, 0, 0)
    assert worker["received"] > 300
    assert coordinator["list"] > 0
    assert coordinator["delete"] > 0
    assert summary.usage["host"]["put"] > 0


def test_queues_that_are_not_named_are_those_of_all_tasks(store: ObjectStore, tmp_path: Path) -> None:
    quick.enqueue(str(tmp_path / "runs"), 1)
    other.enqueue(str(tmp_path / "other"))
    tasks = Registry()
    for one in (quick, other):
        tasks.add(one)
    assert Supervisor(store, tasks=tasks, workers=1).run(until_empty=True).messages == 2
    assert (tmp_path / "other").exists()


def test_workers_are_recycled_after_their_share_of_messages(store: ObjectStore, tmp_path: Path) -> None:
    runs = tmp_path / "runs"
    quick.enqueue_many([(str(runs), number) for number in range(600)])
    history = tmp_path / "history"
    summary = drain(store, queues=[QUEUE], workers=1, max_messages=100, history=str(history))
    assert Counter(numbers(runs)) == Counter(range(600))
    ran = Counter(line.split()[1] for line in runs.read_text().splitlines())
    assert max(ran.values()) == 100, "each process runs its share and no more"
    assert summary.restarts >= 5
    assert summary.deaths == 0
    told = [json.loads(line)["kind"] for file in history.iterdir() for line in file.read_text().splitlines()]
    assert "leaving" in told
    assert "_died" not in told, "no alarm for a requested end"


def test_supervisor_runs_in_a_thread_and_stops_when_told(store: ObjectStore, fifo: Fifo) -> None:
    started, release = fifo("started"), fifo("release")
    supervisor = Supervisor(store, [QUEUE], workers=1, config=Config(), start_method="forkserver")
    summaries: list[Any] = []
    thread = threading.Thread(target=lambda: summaries.append(supervisor.run()))
    thread.start()
    hold.enqueue(started.path, release.path)
    started.word()
    supervisor.stop()
    release.release()
    thread.join(DEADLINE_S)
    assert summaries[0].drained
    assert summaries[0].messages == 1


def test_supervisor_can_run_again(store: ObjectStore, tmp_path: Path) -> None:
    supervisor = Supervisor(store, [QUEUE], workers=1, config=Config())
    for number in range(2):
        quick.enqueue(str(tmp_path / "runs"), number)
        assert supervisor.run(until_empty=True).messages == 1
    assert numbers(tmp_path / "runs") == [0, 1]


def test_supervisor_puts_back_the_signals_that_it_borrowed(store: ObjectStore) -> None:
    def mine(*_: object) -> None: ...

    before = {number: signal.signal(number, mine) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        drain(store, queues=[QUEUE], workers=1)
        assert [signal.getsignal(number) for number in before] == [mine, mine]
        assert signal.pthread_sigmask(signal.SIG_BLOCK, ()) == set()
        assert signal.set_wakeup_fd(-1) == -1
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def test_host_that_drained_leaves_no_directory(store: ObjectStore) -> None:
    life = Life.create()
    others = {it for it in life.rundir.parent.iterdir() if it.name.startswith(f"run-{os.getpid()}-")}
    drain(store, queues=[QUEUE], workers=1)
    assert {it for it in life.rundir.parent.iterdir() if it.name.startswith(f"run-{os.getpid()}-")} == others
    life.close(remove=True)


# ---- draining


@pytest.mark.parametrize(("number", "group"), [(signal.SIGTERM, False), (signal.SIGTERM, True), (signal.SIGINT, True)])
@pytest.mark.parametrize("method", ["fork", "forkserver"])
def test_signal_drains_what_runs_may_end_and_the_rest_stays_for_others(
    store: ObjectStore, tmp_path: Path, fifo: Fifo, number: signal.Signals, group: bool, method: str
) -> None:
    started, release, runs = fifo("started"), fifo("release"), tmp_path / "runs"
    with host(store, workers=1, start_method=method) as it:
        hold.enqueue(started.path, release.path)
        started.word()
        quick.enqueue_many([(str(runs), number) for number in range(100)])
        it.signal(number, group=group)
        release.release()
        summary = it.summary()
    assert (summary.deaths, summary.drained) == (0, True)
    drain(store, queues=[QUEUE], workers=1)
    counts = stats(store, exact=True).queues[QUEUE]
    assert (counts.done, counts.failed) == (101, 0)
    assert Counter(numbers(runs)) == Counter(range(100))


def test_what_still_runs_after_the_drain_timeout_is_killed_and_runs_elsewhere(store: ObjectStore, fifo: Fifo) -> None:
    started, never = fifo("started"), fifo("never")
    with host(store, workers=1, drain_timeout=0.2, history=None) as it:
        hold_first.enqueue(started.path, never.path)
        _, pid, session = started.word()
        it.signal(signal.SIGTERM)
        summary = it.summary()
        assert not psutil.pid_exists(int(pid))
    assert summary.drained
    drain(store, queues=[QUEUE], workers=1)
    attempt, _, other_session = started.word()
    assert attempt == "2"
    assert other_session != session


def test_second_signal_ends_everything_at_once(store: ObjectStore, fifo: Fifo) -> None:
    started, never = fifo("started"), fifo("never")
    with host(store, workers=1, drain_timeout=3600.0) as it:
        hold_first.enqueue(started.path, never.path)
        started.word()
        children = it.children()
        it.signal(signal.SIGTERM)
        it.interrupt()
        summary = it.summary()
        assert not any(child.is_running() for child in children)
    assert not summary.drained
    assert summary.interrupted
    # Its ledger was left as it was: another host finds that its processes are gone, or waits out its timeout.
    drain(store, queues=[QUEUE], workers=1, **IMPATIENT)
    assert started.word()[0] == "2"


@pytest.mark.parametrize("numbers", [(signal.SIGINT, signal.SIGINT), (signal.SIGTERM, signal.SIGINT, signal.SIGTERM)])
def test_signals_that_come_together_drain_and_kill_nothing(
    store: ObjectStore, fifo: Fifo, numbers: tuple[signal.Signals, ...]
) -> None:
    started, release = fifo("started"), fifo("release")
    with host(store, workers=1, drain_timeout=3600.0) as it:
        hold.enqueue(started.path, release.path)
        started.word()
        for number in numbers:
            it.signal(number)
        release.release()
        summary = it.summary()
    assert (summary.drained, summary.interrupted, summary.deaths) == (True, False, 0)
    assert stats(store, exact=True).queues[QUEUE].done == 1


# ---- giving up


class NoStore(SqliteStore):
    """Of which the agent's first request says what is wrong; or ends the process."""

    def __init__(self, path: str, how: str) -> None:
        super().__init__(path)
        self.how = how

    def _refuse(self) -> NoReturn:
        if self.how == "exit":
            os._exit(3)
        raise ConfigError("no such bucket: 'jobs'", "create it first")

    def get(self, key: str, *, unless: str | None = None) -> Found | Unchanged | Missing:
        self._refuse()

    def put(self, key: str, body: bytes, *, if_version: str | None) -> Stored | Conflict:
        self._refuse()


def test_agent_that_says_that_it_cannot_start_is_believed(tmp_path: Path) -> None:
    store = NoStore(str(tmp_path / "store.db"), "says")
    with pytest.raises(ConfigError, match="no such bucket") as raised:
        drain(store, queues=[QUEUE], workers=1)
    assert raised.value.hint == "create it first"


@pytest.mark.parametrize("fault", ["ignores conditions", "checks, then acts"])
@pytest.mark.parametrize("backend", ["s3", "minio", "obstore+s3"])
def test_server_that_would_lose_messages_is_refused_before_one_runs(
    backend: str,
    fault: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    ignoring_server: MiniS3,
    racing_server: MiniS3,
) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "any")
    server = ignoring_server if fault == "ignores conditions" else racing_server
    where = f"bucket?endpoint={server.address}"
    if backend == "minio":
        where = f"{server.address.removeprefix('http://')}/bucket?secure=false"
    store = open_store(f"{backend}://{where}")
    configure(store=store)
    try:
        quick.enqueue(str(tmp_path / "runs"), 1)
        before = dict(server.objects)
        with pytest.raises(StoreUnsupported, match=r"cannot hold a queue: exclusive create: \d of 2") as raised:
            drain(store, queues=[QUEUE], workers=1)
    finally:
        configure()
        store.close()
    assert raised.value.capability == "exclusive create"
    assert not (tmp_path / "runs").exists()
    assert server.objects == before


def test_agent_that_keeps_dying_before_it_is_up_is_given_up(tmp_path: Path) -> None:
    store = NoStore(str(tmp_path / "store.db"), "exit")
    with pytest.raises(QueueError, match=r"giving up: agent .* exited with status 3, for the 5th time"):
        drain(store, queues=[QUEUE], workers=1)


class Unimportable(Registry):
    """Tasks whose module is not there where the children run."""

    def __reduce__(self) -> tuple[Any, ...]:
        return _no_module, ()


def _no_module() -> None:
    raise ModuleNotFoundError("No module named 'gone'")


def test_children_that_cannot_import_the_tasks_are_given_up(store: ObjectStore) -> None:
    tasks = Unimportable()
    tasks.add(quick)
    with pytest.raises(ConfigError, match="No module named 'gone'"):
        Supervisor(store, tasks=tasks, config=Config(), start_method="spawn", workers=1).run(until_empty=True)


def test_nothing_to_serve_is_a_config_error(store: ObjectStore) -> None:
    with pytest.raises(ConfigError, match="no queue to serve"):
        Supervisor(store, tasks=Registry())
    with pytest.raises(ConfigError, match="no task serves"):
        Supervisor(store, ["nobody"])
    with pytest.raises(ConfigError, match=r"queues=\['quick'\]"):
        Supervisor(store, "quick")
    with pytest.raises(ConfigError, match="neither a store nor its URL"):
        Supervisor({})  # type: ignore[arg-type]
    assert list(Queue(QUEUE, store).dead_letters()) == []
