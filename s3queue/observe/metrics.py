"""Metrics in the format of Prometheus. Seconds and bytes; labels ``queue`` and ``task``, never an id.

There are two kinds, see ``docs/how-to/monitor.md``: figures of the namespace, from the summary, are the same on every
host; measurements of a host are its own, and may be added up.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import accumulate
from typing import TYPE_CHECKING, Any

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric

from s3queue.observe.measures import BUCKETS, Histogram
from s3queue.observe.prices import dollars

if TYPE_CHECKING:
    from s3queue.observe.gathering import Totals
    from s3queue.observe.stats import Stats

__all__ = ["Rising", "of_host", "of_namespace", "of_usage"]

#: By state, the field of `s3queue.observe.stats.QueueStats`.
_STATES = {"ready": "ready", "scheduled": "scheduled", "running": "running", "retrying": "waiting"}
#: By outcome, the same.
_OUTCOMES = {"done": "done", "dead": "deaths", "cancelled": "cancelled", "expired": "expired", "purged": "purged"}
#: Fields of the usage of a host that count requests; the rest of those are puts.
_OPS = ("put", "get", "list", "delete")


class Rising:
    """Keeps derived counters from falling. Prometheus takes a counter that falls for one that was reset.

    A message is counted where it was when the coordinator looked, and a message that a census has not reached is not
    counted for a while: so differences of counts may fall.
    """

    def __init__(self) -> None:
        self._highest: dict[str, float] = {}

    def at_least(self, name: str, value: float) -> float:
        """The value, or the largest value so far if that is greater."""
        highest = self._highest[name] = max(value, self._highest.get(name, 0.0))
        return highest


# ---- of the namespace ------------------------------------------------------------------------------------------------


def of_namespace(seen: Stats | None, rising: Rising) -> Iterator[Metric]:
    """Metrics of the last summary. None: there is no summary yet."""
    yield from _messages(seen, rising)
    now = GaugeMetricFamily("s3queue_hosts", "Hosts that live.")
    now.add_metric([], 0 if seen is None else sum(not host.over for host in seen.hosts))
    yield now
    for name, text, value in (
        ("s3queue_board_bytes", "Size of the board.", 0 if seen is None else seen.board_bytes),
        ("s3queue_cycle_seconds", "Duration of the coordinator's last cycle.", 0.0 if seen is None else seen.cycle_s),
    ):
        gauge = GaugeMetricFamily(name, text)
        gauge.add_metric([], value)
        yield gauge
    elections = CounterMetricFamily("s3queue_elections_total", "Coordinators that were elected in this namespace.")
    elections.add_metric([], 0 if seen is None else seen.epoch)
    yield elections
    if seen is not None and seen.as_of is not None:
        at = GaugeMetricFamily("s3queue_summary_timestamp_seconds", "When the coordinator said so, since 1970.")
        at.add_metric([], seen.as_of.timestamp())
        yield at


def _messages(seen: Stats | None, rising: Rising) -> Iterator[Metric]:
    messages = GaugeMetricFamily("s3queue_messages", "Messages; dead: with a dead letter.", labels=["queue", "state"])
    oldest = GaugeMetricFamily("s3queue_oldest_ready_seconds", "Age of the oldest ready message.", labels=["queue"])
    enqueued = CounterMetricFamily("s3queue_messages_enqueued_total", "Messages that were enqueued.", labels=["queue"])
    finished = CounterMetricFamily(
        "s3queue_messages_finished_total",
        "Messages that ended; redriven ones again.",
        labels=["queue", "outcome"],
    )
    for queue, counts in {} if seen is None else seen.queues.items():
        there = {state: getattr(counts, name) for state, name in _STATES.items()}
        there["unfit"] = sum(counts.unfit.values())
        there["held"] = sum(counts.held.values())
        for state, many in there.items():
            messages.add_metric([queue, state], many)
        oldest.add_metric([queue], counts.oldest_s or 0.0)
        ended = {outcome: getattr(counts, name) for outcome, name in _OUTCOMES.items()}
        for outcome, many in ended.items():
            finished.add_metric([queue, outcome], many)
        messages.add_metric([queue, "dead"], counts.dead)
        came = sum(there.values()) + sum(ended.values()) - counts.redriven
        enqueued.add_metric([queue], rising.at_least(queue, came))
    yield from (messages, oldest, enqueued, finished)


def of_usage(seen: Stats | None, prices: Mapping[str, float]) -> Iterator[Metric]:
    """Metrics that hosts measure, as far as the summary has them: for an exporter."""
    slots = GaugeMetricFamily("s3queue_slots", "Slots of workers.", labels=["state"])
    attempts = CounterMetricFamily("s3queue_attempts_total", "Attempts that ended.", labels=["queue", "task", "result"])
    requests = CounterMetricFamily("s3queue_store_requests_total", "Requests.", labels=["role", "op", "result"])
    spent = CounterMetricFamily("s3queue_store_dollars_total", "Cost of the requests in dollars.", labels=["role"])
    hosts = [] if seen is None else [host for host in seen.hosts if not host.over]
    busy = sum(host.busy for host in hosts)
    slots.add_metric(["busy"], busy)
    slots.add_metric(["idle"], sum(host.slots for host in hosts) - busy)
    for queue, counts in {} if seen is None else seen.queues.items():
        attempts.add_metric([queue, "", "ok"], counts.done)
        attempts.add_metric([queue, "", "failed"], counts.failed)
    usage = {} if seen is None else seen.usage
    for role, asked in sorted(usage.items()):
        bad = {"conflict": asked.get("conflicts", 0), "unanswered": asked.get("unanswered", 0)}
        for op in _OPS:
            ok = asked.get(op, 0) - (sum(bad.values()) if op == "put" else 0)
            requests.add_metric([role, op, "ok"], max(0, ok))
        for result, many in bad.items():
            requests.add_metric([role, "put", result], many)
        spent.add_metric([role], dollars(asked, prices))
    fences = CounterMetricFamily("s3queue_fences_total", "Sessions that were fenced.")
    fences.add_metric([], 0 if seen is None else seen.fences)
    yield from (slots, attempts, requests, spent, fences)


# ---- of a host -------------------------------------------------------------------------------------------------------


def of_host(totals: Totals, slots: Mapping[str, int], prices: Mapping[str, float], rising: Rising) -> Iterator[Metric]:
    """Metrics that the processes of one host have measured.

    Args:
        slots: number of slots by state.
        prices: dollars per million requests by operation.
    """
    attempts = CounterMetricFamily("s3queue_attempts_total", "Attempts that ended.", labels=["queue", "task", "result"])
    for (queue, task, result), many in sorted(totals.attempts().items()):
        # An attempt whose result cannot be stored has ended well until then.
        told = rising.at_least(f"{queue}\0{task}", many) if result == "ok" else many
        attempts.add_metric([queue, task, result], told)
    yield attempts
    yield _histogram("s3queue_message_duration_seconds", "Time in a task.", ["queue", "task"], totals.durations)
    yield _histogram(
        "s3queue_message_wait_seconds",
        "Time from when a message could start to its first attempt.",
        ["queue"],
        {(queue,): it for queue, it in totals.waits.items()},
    )
    states = GaugeMetricFamily("s3queue_slots", "Slots of workers.", labels=["state"])
    for state, many in slots.items():
        states.add_metric([state], many)
    yield states
    deaths = CounterMetricFamily("s3queue_worker_deaths_total", "Worker processes that died.", labels=["cause"])
    for cause, many in sorted(totals.deaths.items()):
        deaths.add_metric([cause], many)
    yield deaths
    fences = CounterMetricFamily("s3queue_fences_total", "Sessions that this host has fenced as the coordinator.")
    fences.add_metric([], totals.fences)
    yield fences
    yield from _of_store(totals, prices)


def _of_store(totals: Totals, prices: Mapping[str, float]) -> Iterator[Metric]:
    requests = CounterMetricFamily("s3queue_store_requests_total", "Requests.", labels=["role", "op", "result"])
    by_op: dict[tuple[str], Histogram] = {}
    for (role, op, result), it in sorted(totals.store.items()):
        requests.add_metric([role, op, result], sum(it.counts))
        by_op.setdefault((op,), Histogram()).merge(it)
    yield requests
    yield _histogram("s3queue_store_request_seconds", "Time of a request.", ["op"], by_op)
    spent = CounterMetricFamily("s3queue_store_dollars_total", "Cost of the requests in dollars.", labels=["role"])
    for role, asked in sorted(totals.requests().items()):
        spent.add_metric([role], dollars(asked, prices))
    yield spent


def _histogram(name: str, text: str, labels: list[str], histograms: Mapping[Any, Histogram]) -> Metric:
    family = HistogramMetricFamily(name, text, labels=labels)
    bounds = [*(f"{bound:g}" for bound in BUCKETS), "+Inf"]
    for label, it in sorted(histograms.items()):
        family.add_metric(list(label), list(zip(bounds, accumulate(it.counts), strict=True)), it.sum)
    return family
