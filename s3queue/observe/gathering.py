"""The measurements of a host: the snapshots and events of its processes, added up."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from s3queue.observe.measures import Histogram

__all__ = ["COUNTED", "Gathered", "Totals"]

#: Kinds of events that are counted.
COUNTED = frozenset({"worker_died", "agent_died", "recovered", "fenced", "elected"})


@dataclass
class Totals:
    """Sums since the start of the process that gathers them.

    Attributes:
        durations: by queue and task, in seconds.
        waits: by queue, in seconds.
        ran: attempts, by queue and task.
        results: attempts that did not end well, by queue, task and result.
        store: requests, by role, operation and result.
        deaths: of workers, by cause.
    """

    ran: dict[tuple[str, str], int] = field(default_factory=dict)
    durations: dict[tuple[str, str], Histogram] = field(default_factory=dict)
    waits: dict[str, Histogram] = field(default_factory=dict)
    results: dict[tuple[str, str, str], int] = field(default_factory=dict)
    store: dict[tuple[str, str, str], Histogram] = field(default_factory=dict)
    deaths: dict[str, int] = field(default_factory=dict)
    fences: int = 0
    elections: int = 0

    def attempts(self) -> dict[tuple[str, str, str], int]:
        """All attempts, by queue, task and result: those without another result ended well."""
        counts = dict(self.results)
        bad: dict[tuple[str, str], int] = {}
        for (queue, task, _), many in self.results.items():
            if task:  # else it was not known, or has not begun
                bad[queue, task] = bad.get((queue, task), 0) + many
        for label, many in self.ran.items():
            ok = many - bad.get(label, 0)
            if ok > 0:
                counts[(*label, "ok")] = ok
        return counts

    def requests(self) -> dict[str, dict[str, int]]:
        """Requests by role and operation, whatever their result."""
        counts: dict[str, dict[str, int]] = {}
        for (role, op, _), it in self.store.items():
            of_role = counts.setdefault(role, {})
            of_role[op] = of_role.get(op, 0) + sum(it.counts)
        return counts

    def add(self, snapshot: Mapping[str, Any]) -> None:
        """Add a snapshot of a process."""
        for queue, task, many in snapshot["ran"]:
            self.ran[queue, task] = self.ran.get((queue, task), 0) + many
        for queue, task, counts, total in snapshot["durations"]:
            _merge(self.durations, (queue, task), counts, total)
        for queue, counts, total in snapshot["waits"]:
            _merge(self.waits, queue, counts, total)
        for role, op, result, counts, total in snapshot["store"]:
            _merge(self.store, (role, op, result), counts, total)
        for queue, task, result, many in snapshot["results"]:
            label = (queue, task, result)
            self.results[label] = self.results.get(label, 0) + many


def _merge(histograms: dict[Any, Histogram], label: Any, counts: list[int], total: float) -> None:
    known = histograms.get(label)
    if known is None:
        histograms[label] = Histogram(counts, total)
    else:
        known.merge(Histogram(counts, total))


class Gathered:
    """The latest snapshot of each seat, the sums of earlier processes, and counted events."""

    def __init__(self) -> None:
        self._past = Totals()
        self._latest: dict[str, dict[str, Any]] = {}

    def hear(self, records: Iterable[dict[str, Any]]) -> None:
        """Take snapshots and events."""
        for record in records:
            if "kind" in record:
                self._count(record)
            elif "seat" in record:
                self._replace(record)

    def _replace(self, snapshot: dict[str, Any]) -> None:
        before = self._latest.get(snapshot["seat"])
        if before is not None and before["id"] != snapshot["id"]:
            self._past.add(before)
        self._latest[snapshot["seat"]] = snapshot

    def _count(self, event: Mapping[str, Any]) -> None:
        past, kind = self._past, event["kind"]
        match kind:
            case "worker_died":
                cause = str(event.get("cause", "unknown"))
                past.deaths[cause] = past.deaths.get(cause, 0) + 1
            case "recovered":
                label = (str(event.get("queue", "")), "", "lost")
                past.results[label] = past.results.get(label, 0) + 1
            case "fenced":
                past.fences += event.get("role") == "agent"
            case "elected":
                past.elections += 1

    def latest(self, seat: str) -> dict[str, Any]:
        """The latest snapshot of each seat."""
        return self._latest.get(seat, {})

    def totals(self) -> Totals:
        """Everything, added up."""
        totals = Totals(deaths=dict(self._past.deaths), fences=self._past.fences, elections=self._past.elections)
        totals.add(_as_snapshot(self._past))
        for snapshot in self._latest.values():
            totals.add(snapshot)
        return totals


def _as_snapshot(totals: Totals) -> dict[str, Any]:
    return {
        "ran": [[*label, many] for label, many in totals.ran.items()],
        "durations": [[*label, it.counts, it.sum] for label, it in totals.durations.items()],
        "waits": [[queue, it.counts, it.sum] for queue, it in totals.waits.items()],
        "results": [[*label, many] for label, many in totals.results.items()],
        "store": [[*label, it.counts, it.sum] for label, it in totals.store.items()],
    }
