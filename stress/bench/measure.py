"""One repetition: fill a queue, drain it with real processes, and count."""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec
from msgspec import Raw

from s3queue.config import Config
from s3queue.core.keys import Layout
from s3queue.core.ops import get, list_all
from s3queue.core.records import Board, decode
from s3queue.io.drive import Driver
from s3queue.queue import Queue
from s3queue.store import Found, ObjectStore
from s3queue.testing.programs import python
from stress.bench import work
from stress.bench.figures import percentile
from stress.bench.host import QUEUE, noop, note
from stress.bench.procs import Host, Usage
from stress.bench.remote import open_remote

#: Turns between raw creations and enqueues: a server gets slower as it fills, so the first measurement would win.
_SLICES = 20
#: Seconds after which a benchmark fails: longer than everything here takes.
_PATIENCE_S = 900.0


@dataclass(frozen=True)
class Setting:
    """The setting of a measurement.

    Attributes:
        store: URL. ``{n}`` in it is replaced by the number of the repetition, so that each can have its own file.
        batch: messages per object.
        payload: bytes of each message beyond its frame.
        task_ms: milliseconds that a task sleeps.
        far: name of a model whose latencies are added to the store; empty: none.
        settings: of s3queue, other than the defaults.
        samples: of the latency; 0: do not measure it. Between two samples the queue is idle for ``idle_s`` seconds to
            twice that.
    """

    store: str
    messages: int = 1000
    workers: int = 2
    concurrency: int = 1
    batch: int = 1
    payload: int = 0
    task_ms: float = 0.0
    far: str = ""
    settings: dict[str, Any] = field(default_factory=dict)
    samples: int = 0
    idle_s: float = 1.0
    raw: bool = True


class Bench:
    """The environment of one repetition: an unused namespace, and the processes on it."""

    def __init__(self, setting: Setting, number: int, folder: Path) -> None:
        self.setting, self.folder = setting, folder
        self.namespace = f"bench-{secrets.token_hex(4)}"
        self.url = setting.store.replace("{n}", f"{number}-{self.namespace}")
        self.store: ObjectStore = open_remote(self.url, setting.far)
        self.config = Config(namespace=self.namespace, **setting.settings)
        self.queue = Queue(QUEUE, self.store, config=self.config)
        self.layout = Layout(self.namespace)
        self.driver = Driver(self.store)
        self._host: subprocess.Popen[str] | None = None

    # ---- producing -----------------------------------------------------------------------------------------

    def payload(self) -> Raw:
        data = os.urandom(self.setting.payload // 2).hex().encode() if self.setting.payload else b""
        arguments = {"task_s": self.setting.task_ms / 1000, "data": data} if data or self.setting.task_ms else {}
        return noop.encode((), arguments)

    def enqueue(self, messages: int) -> float:
        """Enqueue, each object durable before the next is sent. Returns the seconds."""
        payload, batch = self.payload(), self.setting.batch
        began = time.perf_counter()
        left = messages
        while left > 0:
            size = min(batch, left)
            self.queue.send("noop", [payload] * size)
            left -= size
        return time.perf_counter() - began

    def connect(self) -> None:
        """Open the connection, so that no measurement does."""
        self.queue.send("noop", [self.payload()])

    # ---- the host ------------------------------------------------------------------------------------------

    @contextlib.contextmanager
    def host(self, *, until_empty: bool) -> Iterator[subprocess.Popen[str]]:
        spec = {
            "store": self.url,
            "far": self.setting.far,
            "namespace": self.namespace,
            "workers": self.setting.workers,
            "concurrency": self.setting.concurrency,
            "settings": self.setting.settings,
            "until_empty": until_empty,
        }
        with python("stress.bench.host", json.dumps(spec), env={work.STAMPS: str(self.folder)}) as process:
            yield process

    def committed(self) -> int:
        """Number of messages that are done on the board."""
        found = self.driver.run(get(self.layout.board))
        if not isinstance(found, Found):
            return 0
        totals = decode(Board, self.layout.board, found.body).totals.get(QUEUE)
        return totals.done if totals is not None else 0

    # ---- raw requests --------------------------------------------------------------------------------------

    def raw_put(self, first: int, stop: int) -> float:
        """Seconds for this many creations of objects as large as those of the queue, by the same client, one after the
        other."""
        messages = [Raw(msgspec.msgpack.encode(("noop", self.payload(), {})))] * self.setting.batch
        body = msgspec.msgpack.encode({"messages": messages, "sent_ms": 0, "format": 1})
        began = time.perf_counter()
        for number in range(first, stop):
            self.store.put(f"{self.namespace}-raw/{number:09}", body, if_version=None)
        return time.perf_counter() - began

    def raw_get(self, count: int, flight: int = 8) -> float:
        """Reads per second by the same client, eight in flight, of the objects that `raw_put` made."""
        with ThreadPoolExecutor(flight) as threads:
            list(threads.map(lambda _: self.store.get(f"{self.namespace}-raw/{0:09}"), range(flight * 4)))
            began = time.perf_counter()
            list(threads.map(lambda number: self.store.get(f"{self.namespace}-raw/{number:09}"), range(count)))
            return count / (time.perf_counter() - began)

    def raw_list(self, rounds: int = 20) -> float:
        """Listings of up to 1,000 of them per second, one after the other."""
        began = time.perf_counter()
        for number in range(rounds):
            self.store.list(f"{self.namespace}-raw/", after=f"{self.namespace}-raw/{number:09}")
        return rounds / (time.perf_counter() - began)

    def raw_delete(self, count: int) -> float:
        """Objects deleted per second, up to 1,000 at a time."""
        keys = [f"{self.namespace}-raw/{number:09}" for number in range(count)]
        began = time.perf_counter()
        for start in range(0, count, 1000):
            self.store.delete(keys[start : start + 1000])
        return count / (time.perf_counter() - began)

    def clean(self) -> None:
        for prefix in (f"{self.namespace}/", f"{self.namespace}-raw/"):
            keys = [item.key for item in self.driver.run(list_all(prefix))]
            for start in range(0, len(keys), 1000):
                self.store.delete(keys[start : start + 1000])
        self.driver.close()


def wait_for(ready: Callable[[], bool], process: subprocess.Popen[str], pause_s: float) -> None:
    deadline = time.monotonic() + _PATIENCE_S
    while not ready():
        if process.poll() is not None and not ready():  # it may have ended since, with all done
            raise RuntimeError(f"the host ended with {process.returncode} before the queue was empty")
        if time.monotonic() > deadline:
            raise RuntimeError("the queue stands still")
        time.sleep(pause_s)


def repetition(setting: Setting, number: int) -> dict[str, Any]:
    """All figures of one repetition."""
    with tempfile.TemporaryDirectory(prefix="s3queue-bench-") as name:
        bench = Bench(setting, number, Path(name))
        try:
            told = _drained(bench)
            if setting.samples:
                told["latency_ms"] = latency(bench)
            return told
        finally:
            bench.clean()


def _drained(bench: Bench) -> dict[str, Any]:
    setting, messages = bench.setting, bench.setting.messages
    objects = -(-messages // setting.batch)
    raws = min(objects, 2000) if setting.raw else 0
    bench.connect()
    before = bench.queue.meter.as_dict()
    took_s = producer_s = raw_s = 0.0
    batches = -(-(messages - 1) // setting.batch)
    slices = min(_SLICES, batches) if raws else 1
    for number in range(slices):
        raw_s += bench.raw_put(raws * number // slices, raws * (number + 1) // slices)
        first, stop = (min(messages - 1, batches * at // slices * setting.batch) for at in (number, number + 1))
        cpu = time.process_time()
        took_s += bench.enqueue(stop - first)
        producer_s += time.process_time() - cpu
    produced = {kind: many - before[kind] for kind, many in bench.queue.meter.as_dict().items()}
    produced["put"] += 1  # of `connect`
    raw = {"put_per_s": raws / raw_s} if raws else {}
    drain = drained(bench)
    if raws:
        raw["get_per_s"] = bench.raw_get(raws)
        raw["list_per_s"] = bench.raw_list()
        raw["delete_per_s"] = bench.raw_delete(raws)
    total = messages - drain.early
    return {
        "enqueue_per_s": (messages - 1) / took_s,
        "drain_per_s": total / drain.seconds,
        "run_per_s": total / max(drain.running_s, 1e-9),
        "requests_per_message": {kind: (produced[kind] + drain.requests[kind]) / messages for kind in produced},
        "usage_per_message": {
            role: {kind: count / messages for kind, count in asked.items()} for role, asked in drain.by_role.items()
        },
        "cpu_us_per_message": {
            "producer": producer_s / messages * 1e6,
            "agent": drain.usage.agent / total * 1e6,
            "worker": drain.usage.worker / total * 1e6,
        },
        "rss_mib": {"agent": drain.rss[0], "worker": drain.rss[1]},
        **({"raw": raw} if raw else {}),
    }


@dataclass(frozen=True)
class Drain:
    """The figures of a drain.

    Attributes:
        seconds: from the first start until the board showed every message as committed.
        running_s: seconds from the first start to the last end of a task.
        early: messages that had run when the CPU time of the processes was read first.
        requests: of agent and workers, in the whole life of the host.
        by_role: the same by role, with bytes, retries and conflicts.
    """

    seconds: float
    running_s: float
    early: int
    requests: dict[str, int]
    by_role: dict[str, dict[str, int]]
    usage: Usage
    rss: tuple[float, float]


def drained(bench: Bench) -> Drain:
    stamps, messages = work.Stamps(bench.folder), bench.setting.messages
    with bench.host(until_empty=True) as process:
        wait_for(lambda: stamps.read().many > 0, process, 0.002)
        first = stamps.read()
        began_at, early = time.monotonic(), first.many
        wait_for(lambda: _all_at_work(stamps.read(), bench.setting), process, 0.002)
        host = Host(process.pid, stamps.read().pids)
        before = host.usage()
        early = stamps.read().many
        began_at = time.monotonic()
        wait_for(lambda: stamps.read().many >= messages, process, 0.005)
        # Only now, so that nothing is asked of the store while the tasks run.
        wait_for(lambda: bench.committed() >= messages, process, 0.005)
        ended_at = time.monotonic()
        usage, rss = host.usage().since(before), host.rss()
        ran = stamps.read()
        output, _ = process.communicate(timeout=120)
    summary = json.loads(output)
    if early >= messages:  # it was over before the second worker came: the whole of it then
        return Drain(ended_at - ran.first, ran.last - ran.first, 0, summary["requests"], summary["usage"], usage, rss)
    return Drain(ended_at - began_at, ran.last - began_at, early, summary["requests"], summary["usage"], usage, rss)


def _all_at_work(ran: work.Ran, setting: Setting) -> bool:
    """Wait until every worker has begun a task, or none is left: one worker may take all of few messages."""
    return len(ran.pids) >= setting.workers or ran.many >= setting.messages


def latency(bench: Bench) -> dict[str, float]:
    """Seconds from the call of ``enqueue`` to the start of the task, one message at a time into an idle queue."""
    marks = work.Marks(bench.folder, create=True)
    times: list[float] = []
    with bench.host(until_empty=False) as process:
        for number in range(bench.setting.samples + 3):
            payload = note.encode((number,), {})
            began = time.monotonic()
            bench.queue.send("note", [payload])
            at = number
            wait_for(lambda at=at: marks.get(at) > 0, process, 0.001)  # type: ignore[misc]
            if number >= 3:  # the first ones wait for the host to start
                times.append((marks.get(number) - began) * 1000)
            # Idle for a while, out of step with any period of the queue's own.
            time.sleep(bench.setting.idle_s * (1.0 + int.from_bytes(os.urandom(2), "big") / 65535))
    return {"p50": percentile(times, 0.5), "p99": percentile(times, 0.99), "max": max(times)}
