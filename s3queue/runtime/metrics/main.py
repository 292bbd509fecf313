"""The process of a host that serves metrics, health and scaling.

A process of its own, so that the supervisor has no threads and no store connection, and the agent no work with scrapes. It
hears what the others measure, reads the summary when it is asked, and reads heartbeats and slots in the journal.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from typing import Any

from multiprocess import connection
from prometheus_client.core import Metric

from s3queue.io.clock import clock
from s3queue.observe.ears import Ear, Listener
from s3queue.observe.gathering import Gathered, Totals
from s3queue.observe.measures import MeasuredStore, Measures
from s3queue.observe.metrics import Rising, of_host, of_namespace
from s3queue.observe.prices import prices_of
from s3queue.observe.scaling import scale
from s3queue.observe.serving import Answers, Health, application, server
from s3queue.runtime.local.journal import Journal
from s3queue.runtime.local.spec import MetricsSpec
from s3queue.runtime.local.wire import Started, pack
from s3queue.runtime.metrics.summaries import Summaries

#: Seconds without an answer of the store after which a host is not healthy, or ``visibility_timeout`` if that is more. An
#: idle agent asks every 15 s at least.
LATELY_S = 60.0


def main(spec: MetricsSpec) -> None:
    """Serve until the supervisor ends."""
    Metrics(spec).serve()


class Metrics:
    def __init__(self, spec: MetricsSpec) -> None:
        self._spec = spec
        self._listener = Listener(spec.heard_at)
        self._gathered = Gathered()
        #: Guards what was gathered: scrapes come in threads of their own.
        self._lock = threading.Lock()
        self._journal = Journal(spec.buffer, spec.workers, spec.concurrency)
        self._own = Measures("metrics", Ear(self._listener.path))
        measured = MeasuredStore(spec.store, self._own, "metrics")
        self._summaries = Summaries(measured, spec.config.namespace)
        self._rising = Rising()
        self._prices = prices_of(spec.store, spec.config.prices)

    def serve(self) -> None:
        answers = Answers(self.metrics, self.healthy, self.ready, self.scale)
        serving = server(self._spec.door, application(answers))
        threading.Thread(target=serving.serve_forever, name="s3queue-http", daemon=True).start()
        self._spec.conn.send_bytes(pack(Started()))
        while True:
            readable = connection.wait([self._spec.conn, *self._listener.watched()])
            if self._spec.conn in readable:  # it never says anything: this is its end
                os._exit(0)
            with self._lock:
                self._gathered.hear(self._listener.heard())

    # ---- what is asked, in threads of their own ----------------------------------------------------------------------

    def metrics(self) -> Iterator[Metric]:
        seen = self._summaries.last()
        with self._lock:
            self._gathered.hear([self._own.snapshot()])
            totals = self._gathered.totals()
            families = [
                *of_namespace(seen, self._rising),
                *of_host(totals, self.slots(), self._prices, self._rising),
            ]
        yield from families

    def slots(self) -> dict[str, int]:
        """By state. Those of a worker that is being replaced are none."""
        workers = [self._journal.worker(number) for number in range(self._spec.workers)]
        up = [worker for worker in workers if worker.pid]
        busy = sum(len(worker.running()) for worker in up)
        return {"busy": busy, "idle": len(up) * self._spec.concurrency - busy}

    def healthy(self) -> Health:
        """The agent lives, and reached the store lately."""
        now, config = clock(), self._spec.config
        beat_s = now - self._journal.agent_beat if self._journal.agent_beat else None
        answered_s = self._answered_s(now)
        lately_s = max(LATELY_S, config.visibility_timeout)
        agent = "none" if beat_s is None else f"{beat_s:.1f} s ago"
        store = "no answer yet" if answered_s is None else f"{answered_s:.1f} s ago"
        ok = beat_s is not None and beat_s < config.visibility_timeout
        ok = ok and answered_s is not None and answered_s < lately_s
        return Health(ok, {"agent": agent, "store": store})

    def ready(self) -> Health:
        """The agent has joined and is not draining, and a worker is up."""
        with self._lock:
            agent = self._gathered.latest("agent")
        joined, draining = bool(agent.get("joined")), bool(agent.get("draining"))
        workers = sum(self._journal.worker(number).pid > 0 for number in range(self._spec.workers))
        healthy = self.healthy()
        state = "draining" if draining else "joined" if joined else "starting"
        checks = {"host": state, "workers": f"{workers} of {self._spec.workers}"}
        return Health(healthy.ok and joined and not draining and workers > 0, {**healthy.checks, **checks})

    def scale(self) -> dict[str, Any]:
        return scale(self._summaries.last(), self._spec.queues)

    def _answered_s(self, now: float) -> float | None:
        with self._lock:
            answered = self._gathered.latest("agent").get("answered", 0.0)
        return now - answered if answered else None

    def totals(self) -> Totals:
        """What was gathered so far."""
        with self._lock:
            return self._gathered.totals()
