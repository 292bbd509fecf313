"""How many slots a queue could use: for autoscalers."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from s3queue.observe.stats import QueueStats, Stats

__all__ = ["WITHIN_S", "scale", "wanted"]

#: Seconds within which the wanted slots would finish the ready messages.
WITHIN_S = 60.0


def scale(seen: Stats | None, queues: tuple[str, ...] = (), within_s: float = WITHIN_S) -> dict[str, Any]:
    """By queue, and for all queues: slots that are wanted, messages that are ready, and messages that hosts run or have
    next.

    Never empty: autoscalers differ in what they do if they read nothing. A paused queue wants slots only for running
    messages.

    Args:
        seen: None: there is no summary yet.
        queues: that are named in any case.
    """
    told: dict[str, dict[str, int]] = {queue: {"wanted": 0, "ready": 0, "running": 0} for queue in queues}
    busy = 0 if seen is None else sum(host.busy for host in seen.hosts if not host.over)
    for queue, counts in {} if seen is None else seen.queues.items():
        told[queue] = {"wanted": wanted(counts, busy, within_s), "ready": counts.ready, "running": counts.running}
    total = {name: sum(one[name] for one in told.values()) for name in ("wanted", "ready", "running")}
    as_of = None if seen is None or seen.as_of is None else seen.as_of.timestamp()
    return {"queues": told, "total": total, "as_of": as_of}


def wanted(counts: QueueStats, busy: int, within_s: float = WITHIN_S) -> int:
    """Slots that would finish the ready messages in time, by the mean time of a message; as many as there are messages
    while no mean is known. Never fewer than the busy ones, so that running messages are not scaled away.

    Args:
        busy: slots of all hosts with a message, of any queue.
    """
    runs = min(counts.running, busy)
    ready = 0 if counts.paused else counts.ready
    there = ready + counts.running
    if not there:
        return 0
    if counts.mean_s is None:
        return max(runs, there)
    return max(runs, math.ceil(there * counts.mean_s / within_s), 1 if ready else 0)
