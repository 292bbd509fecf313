"""One scenario: hosts, a backlog, arrivals, and what is measured."""

from __future__ import annotations

import gc
import zlib
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

from s3queue.config import Config
from s3queue.core import elect
from s3queue.core.keys import Layout, batch_id, parse_source, source_path
from s3queue.core.records import Part, RetiredPage, encode
from s3queue.runtime.agent.environment import plan_settings
from s3queue.runtime.agent.main import READERS
from s3queue.store import Capabilities
from stress.bench.figures import percentile
from stress.scale.hosts import SimHost
from stress.scale.models import KINDS, MODELS
from stress.scale.sharing import Shares, remembering
from stress.scale.store import SimStore
from stress.scale.world import World

_EPOCH_MS = 1_790_000_000_000


@dataclass(frozen=True)
class Setting:
    """A scenario.

    Attributes:
        model: of the store; see `stress.scale.models`.
        hosts: each with ``slots`` slots, in workers of ``concurrency`` slots each, which divides them.
        partitions: each with a board of its own; hosts are divided among them, and so is the work.
        queues: each message goes to one of them, in turn.
        load: arrivals, as a share of what all slots could run. 0: nothing arrives.
        backlog_s: seconds of work for all slots that wait at the beginning. ``backlog`` adds messages to that.
        batch: messages per object. size: bytes of each message.
        jitter: log-normal spread of the time of one task.
        warm_s: before anything is measured. measure_s: what is measured.
        measured: the hosts know how long a task takes, since they have run some before.
        until_empty: end when everything that waited at the beginning is committed; ``drained_s`` says when that was.
        split: how far the store has split the namespace by key, each part with limits of its own: ``none``; ``queue``
            (hosts and board, and each queue); ``limitless``.
        retired: pages of retired ids, of 500 each, that are there at the beginning.
        kill_leader_at: seconds into what is measured; ``again``: a new agent starts at once on its machine.
        cpu: so much of the real time that the coordinator's computing takes here is added to virtual time.
        spread_s: over which the hosts start.
        settings: of s3queue.
        readers: reads that an agent has in flight.
        latency_ms: medians that differ from the model's: to see what a change of the protocol would bring. ``sigma``: a
            spread that differs from the model's.
    """

    model: str = "s3"
    hosts: int = 10
    slots: int = 4
    concurrency: int = 1
    partitions: int = 1
    queues: int = 1
    task_ms: float = 1000.0
    jitter: float = 0.0
    load: float = 1.0
    backlog_s: float = 0.0
    backlog: int = 0
    batch: int = 1
    size: int = 200
    warm_s: float = 30.0
    measure_s: float = 60.0
    until_empty: bool = False
    measured: bool = False
    split: str = "queue"
    retired: int = 0
    kill_leader_at: float | None = None
    again: bool = False
    cpu: float = 1.0
    slow: float = 1.0
    spread_s: float = 5.0
    readers: int = READERS
    latency_ms: dict[str, float] = field(default_factory=dict)
    sigma: float | None = None
    seed: int = 1
    settings: dict[str, Any] = field(default_factory=dict)


class Simulation:
    def __init__(self, setting: Setting) -> None:
        self.setting = setting
        self.world = World(setting.seed)
        model = MODELS[setting.model]
        model = replace(model, latency_ms=model.latency_ms | setting.latency_ms)
        if setting.sigma is not None:
            model = replace(model, sigma=setting.sigma)
        self.store = SimStore(self.world, model, group=self._group, readers=setting.readers, slow=setting.slow)
        self.store.watch = self._stored
        self.config = Config(**setting.settings)
        self.capabilities = Capabilities(model.name, min_rewrite_s=model.min_rewrite_s)
        self.settings = plan_settings(self.config, self.capabilities)
        self.layouts = [Layout(self.config.namespace, f"p{part:02}") for part in range(setting.partitions)]
        self.queues = [f"q{number:02}" for number in range(setting.queues)]
        self.shares = {layout: Shares() for layout in self.layouts}
        self._batches = 0
        self._owed = 0.0
        self._sent: dict[str, float] = {}
        self.fenced = 0
        self.measuring = False
        self._ends_at = setting.warm_s + setting.measure_s
        self.done = self.enqueued = 0
        self.busy_s = 0.0
        self.waits: list[float] = []
        self.cycles: list[float] = []
        self.board_bytes: list[int] = []
        self.warnings: Counter[str] = Counter()
        self.elections: list[float] = []
        self.assignments: list[float] = []
        self.pages_read = 0
        self.leaders: list[SimHost] = []
        self.hosts = [
            SimHost(self, number, number % setting.partitions, spread_s=setting.spread_s)
            for number in range(setting.hosts)
        ]

    # ---- what the hosts ask ----------------------------------------------------------------------------------

    @property
    def now_ms(self) -> int:
        return _EPOCH_MS + int(self.world.now * 1000)

    def starts(self, part: Part, number: int) -> float:
        """A slot begins a message. Returns the seconds that it takes."""
        setting, now = self.setting, self.world.now
        run_s = setting.task_ms / 1000
        if setting.jitter:
            run_s *= self.world.random.lognormvariate(-(setting.jitter**2) / 2, setting.jitter)
        if number == part.start == 0 and (sent := self._sent.pop(part.source, None)) is not None:
            self.waits.append(now - sent)
        self.busy_s += max(0.0, min(now + run_s, self._ends_at) - max(now, setting.warm_s))
        return run_s

    def elected(self, host: SimHost) -> None:
        self.elections.append(self.world.now)
        self.leaders.append(host)
        self.pages_read = len(host.agent.lead.chores.pages.pages) if host.agent.lead is not None else 0

    def cycled(self, began: float, *, assigned: bool) -> None:
        if assigned:
            self.assignments.append(self.world.now)
        if self.measuring:
            self.cycles.append(self.world.now - began)

    def settled(self, many: int) -> None:
        if self.measuring:
            self.done += many
            if self.setting.until_empty and self.done >= self.enqueued:
                self.world.stopped = True

    def _stored(self, key: str, size: int) -> None:
        if self.measuring and key.endswith("/board"):
            self.board_bytes.append(size)

    def _group(self, key: str) -> str:
        """The part of the bucket that has limits of its own."""
        match self.setting.split:
            case "none":
                return ""
            case "queue":
                root, _, rest = key.partition("/")
                part, _, rest = rest.partition("/")
                if rest.startswith("in/"):
                    return f"{part}/{rest[: rest.find('/', 3)]}"
                return f"{root}/{part}"
            case _:
                return key  # every key alone: as good as none

    # ---- work ------------------------------------------------------------------------------------------------

    def _arrive(self, count: int, *, at_once: bool = False) -> bool:
        setting = self.setting
        number = self._batches
        layout = self.layouts[number % setting.partitions]
        queue = self.queues[(number // setting.partitions) % setting.queues]
        path = source_path(
            queue,
            sent_ms=self.now_ms,
            batch=batch_id(number & 0xFFF, zlib.crc32(b"%d" % number) << 20 | number & 0xFFFFF),
            count=count,
        )
        size = 40 + count * setting.size
        if at_once:
            self.store.fill(layout.source(path), size)
        elif not self.store.create(layout.source(path), size):
            return False
        self._batches += 1
        self.enqueued += count
        if self.measuring:
            self._sent[path] = self.world.now
        return True

    def _retire(self, layout: Layout, pages: int) -> None:
        """Write what coordinators of earlier epochs have left."""
        for page in range(pages):
            ids = tuple(f"{self.now_ms}-{batch_id(0, 500 * page + number)}" for number in range(500))
            body = encode(RetiredPage(ids, 0))
            self.store.fill(layout.page(0, page), len(body), body)

    def _feed(self, _: Any) -> None:
        setting = self.setting
        self._owed += self.rate * 0.01
        while self._owed >= setting.batch:
            if not self._arrive(setting.batch):
                break
            self._owed -= setting.batch
        self.world.after(0.01, self._feed)

    @property
    def capacity(self) -> float:
        """Messages per second if every slot were always busy."""
        return self.setting.hosts * self.setting.slots / max(self.setting.task_ms / 1000, 1e-9)

    @property
    def rate(self) -> float:
        return self.capacity * self.setting.load

    # ---- the run ---------------------------------------------------------------------------------------------

    def run(self) -> dict[str, Any]:
        setting = self.setting
        waiting = setting.backlog + int(setting.backlog_s * self.capacity)
        while waiting > 0:
            count = min(setting.batch, waiting)
            self._arrive(count, at_once=True)
            waiting -= count
        for layout in self.layouts:
            self._retire(layout, setting.retired)
        if setting.load:
            self.world.after(0.0, self._feed)
        with _remembered():
            self.world.run(setting.warm_s)
            self._measure()
            if setting.kill_leader_at is not None:
                self.world.at(setting.warm_s + setting.kill_leader_at, self._kill)
            self.world.run(self._ends_at)
        return self._told()

    def _measure(self) -> None:
        self.measuring = True
        self._before = {role: Counter(kinds) for role, kinds in self.store.counts.requests.items()}
        self._enqueued_before = self.enqueued
        self._computed_before = self._computed()
        self._read_before = self.store.counts.received["host"]

    def _computed(self) -> float:
        return sum(host.processor.computed_s for host in self.leaders)

    def _kill(self, _: Any) -> None:
        leader = self.leaders[-1]
        self.killed_at = self.world.now
        leader.kill()
        if self.setting.again:
            # The supervisor forks a new agent: interpreter and connections are there in half a second.
            self.world.after(0.5, lambda _: self._replace(leader))

    def _replace(self, gone: SimHost) -> None:
        self.hosts.append(SimHost(self, len(self.hosts), self.layouts.index(gone.layout), before=gone))

    def _told(self) -> dict[str, Any]:
        setting, counts = self.setting, self.store.counts
        seconds, messages = self.world.now - setting.warm_s, max(1, self.done)
        enqueued = self.enqueued - self._enqueued_before
        roles = {
            role: {kind: counts.requests[role][kind] - self._before.get(role, Counter())[kind] for kind in KINDS}
            for role in ("producer", "worker", "host", "coordinator")
        }
        total = {kind: sum(kinds[kind] for kinds in roles.values()) for kind in KINDS}
        # What was enqueued here is more than what was done, where all slots are busy and more arrives.
        sent = {kind: roles["producer"][kind] / max(1, enqueued) for kind in KINDS}
        each = {kind: sent[kind] + (total[kind] - roles["producer"][kind]) / messages for kind in KINDS}
        model = MODELS[setting.model]
        slots = setting.hosts * setting.slots
        told: dict[str, Any] = {
            "messages": self.done,
            "done_per_s": self.done / seconds,
            "enqueued_per_s": enqueued / seconds,
            "utilisation": min(1.0, self.busy_s / (slots * seconds)),
            "latency_s": _spread(self.waits),
            "requests_per_message": each,
            "write_class_per_message": each["put"] + each["list"],
            "read_class_per_message": each["get"],
            "by_role": roles,
            "dollars_per_million": model.bill(each) * 1e6,
            "dollars_per_day": model.bill(total) / seconds * 86_400,
            "board_bytes": _spread([float(size) for size in self.board_bytes]),
            "board_read_mb_per_s": (counts.received["host"] - self._read_before) / seconds / 1e6,
            "cycle_s": _spread(self.cycles),
            "cycles_per_s": len(self.cycles) / seconds,
            "coordinator_cpu": (self._computed() - self._computed_before) / seconds,
            "coordinator_us_per_message": (self._computed() - self._computed_before) / messages * 1e6,
            "conflicts": sum(counts.conflicts.values()),
            "refused": dict(counts.refused),
            "fenced": self.fenced,
            "warnings": dict(self.warnings),
            "elections": len(self.elections),
            "window_ids": max(
                (len(lead.window) for host in self.leaders if (lead := host.agent.lead) is not None), default=0
            ),
            "waiting_objects": len(self.store),
            "events": self.world.events,
        }
        if setting.until_empty:
            told["drained_s"] = self.world.now if self.world.stopped else None
        if setting.kill_leader_at is not None:
            told["fail_over_s"] = next((at - self.killed_at for at in self.assignments if at > self.killed_at), None)
            told["elected_s"] = next((at - self.killed_at for at in self.elections if at > self.killed_at), None)
            told["pages_read"] = self.pages_read
        return told


def _spread(values: list[float]) -> dict[str, float]:
    if not values:
        return {"p50": 0.0, "p99": 0.0, "max": 0.0}
    return {"p50": percentile(values, 0.5), "p99": percentile(values, 0.99), "max": max(values)}


@contextmanager
def _remembered() -> Iterator[None]:
    """Hosts share what they decode of one board. Nothing else of the production steps is replaced.

    The garbage collector rests: it would look at all hosts and all messages in the time of one coordinator, which has only
    its own."""
    original: Any = elect.decode  # type: ignore[attr-defined]
    elect.decode = remembering(original)  # type: ignore[attr-defined]
    collects = gc.isenabled()
    gc.disable()
    # A backlog is more keys than production keeps parsed; the simulation holds all hosts in one process.
    try:
        yield
    finally:
        elect.decode = original  # type: ignore[attr-defined]
        if collects:
            gc.enable()
        parse_source.cache_clear()


def simulate(setting: Setting) -> dict[str, Any]:
    return Simulation(setting).run()
