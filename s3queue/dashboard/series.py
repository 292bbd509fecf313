"""The figures of the last hour, for charts: in memory, bounded, as far as the summary was read."""

from __future__ import annotations

from array import array
from collections import deque
from collections.abc import Mapping
from typing import Any, NamedTuple

from s3queue.observe.prices import dollars
from s3queue.observe.stats import QueueStats, Stats

#: Points that are kept: an hour, one every two seconds.
POINTS = 1800
#: Queues whose points are kept.
_MOST_QUEUES = 200
#: Seconds over which requests are counted for their rate: a host reports its requests with its heartbeat.
_SPAN_S = 60.0

_KINDS = ("put", "get", "list", "delete")
QUEUE = ("ready", "running", "waiting", "scheduled", "in_per_s", "out_per_s", "oldest_s", "mean_s")
EVERYTHING = (*QUEUE, "busy", "slots", "requests_per_s", "dollars_per_hour")
_NAN = float("nan")


class Spending(NamedTuple):
    """Requests of the hosts lately, and their price.

    Attributes:
        dollars_per_hour: at the present rate.
        per_million: dollars for a million messages that are done; None: not known, or no message was done.
    """

    requests_per_s: float
    dollars_per_hour: float
    per_million: float | None


class _Account(NamedTuple):
    at_s: float
    ended: int
    usage: dict[tuple[str, str], dict[str, int]]


class Spendings:
    """Spending between two summaries, a minute or more apart if possible."""

    def __init__(self, prices: Mapping[str, float]) -> None:
        self._prices = prices
        self._accounts: deque[_Account] = deque()

    def add(self, seen: Stats) -> Spending | None:
        """Add a summary. Returns the spending; None: not known yet."""
        if seen.as_of is None:
            return None
        usage: dict[tuple[str, str], dict[str, int]] = {}
        for host in seen.hosts:
            for role, asked in host.usage.items():
                # The next session of a supervisor goes on counting.
                known = usage.setdefault((host.name or host.session, role), {})
                known.update({kind: max(known.get(kind, 0), asked.get(kind, 0)) for kind in _KINDS})
        ended = sum(queue.done for queue in seen.queues.values())
        now = _Account(seen.as_of.timestamp(), ended, usage)
        accounts = self._accounts
        if not accounts or accounts[-1].at_s < now.at_s:
            accounts.append(now)
        while len(accounts) > 2 and now.at_s - accounts[1].at_s >= _SPAN_S:
            accounts.popleft()
        return _spent(accounts[0], accounts[-1], self._prices)


def _spent(before: _Account, now: _Account, prices: Mapping[str, float]) -> Spending | None:
    if now.at_s <= before.at_s:
        return None
    asked = dict.fromkeys(_KINDS, 0)
    for who, counts in now.usage.items():
        counted = before.usage.get(who, {})
        for kind, many in counts.items():
            asked[kind] += max(0, many - counted.get(kind, 0))
    span_s, ended = now.at_s - before.at_s, now.ended - before.ended
    spent = dollars(asked, prices)
    return Spending(sum(asked.values()) / span_s, spent * 3600 / span_s, spent * 1e6 / ended if ended > 0 else None)


class Series:
    """Columns of equal length, the oldest point first."""

    def __init__(self, names: tuple[str, ...]) -> None:
        self._names = names
        self._at: deque[float] = deque(maxlen=POINTS)
        self._columns = {name: array("f") for name in names}

    def add(self, at_s: float, values: dict[str, float | None]) -> None:
        """Add a point. Points beyond the bound are dropped, the oldest first."""
        self._at.append(at_s)
        for name, column in self._columns.items():
            value = values.get(name)
            column.append(_NAN if value is None else value)
            if len(column) > 2 * POINTS:
                del column[:-POINTS]

    def as_dict(self) -> dict[str, list[Any]]:
        """The columns by name. ``at`` in seconds since 1970; None where a number is not known."""
        many = len(self._at)
        told: dict[str, list[Any]] = {"at": [round(at, 1) for at in self._at]}
        for name, column in self._columns.items():
            told[name] = [_known(value) for value in (column[-many:] if many else ())]
        return told

    def last(self) -> dict[str, Any]:
        """The newest point."""
        if not self._at:
            return {}
        return {"at": round(self._at[-1], 1), **{name: _known(column[-1]) for name, column in self._columns.items()}}


def _known(value: float) -> float | None:
    return None if value != value else round(value, 4)


class Chronicle:
    """The series of all queues together, and of each queue."""

    def __init__(self) -> None:
        self.everything = Series(EVERYTHING)
        self.queues: dict[str, Series] = {}
        self._at_s = 0.0

    def add(self, at_s: float, seen: Stats, spending: Spending | None) -> None:
        """Add a point, unless it is not later than the last one."""
        if at_s <= self._at_s:
            return
        self._at_s = at_s
        living = [host for host in seen.hosts if not host.over]
        self.everything.add(
            at_s,
            {
                **_sum(list(seen.queues.values())),
                "busy": sum(host.busy for host in living),
                "slots": sum(host.slots for host in living),
                "requests_per_s": spending.requests_per_s if spending else None,
                "dollars_per_hour": spending.dollars_per_hour if spending else None,
            },
        )
        for name, queue in seen.queues.items():
            if name in self.queues or len(self.queues) < _MOST_QUEUES:
                self.queues.setdefault(name, Series(QUEUE)).add(at_s, _sum([queue]))


def _sum(queues: list[QueueStats]) -> dict[str, float | None]:
    said = {name: [value for queue in queues if (value := getattr(queue, name)) is not None] for name in QUEUE}
    told: dict[str, float | None] = {name: sum(values) if values else None for name, values in said.items()}
    told["oldest_s"] = max(said["oldest_s"], default=0.0)
    told["mean_s"] = max(said["mean_s"], default=None)
    return told
