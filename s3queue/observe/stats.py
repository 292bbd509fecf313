"""How many messages of a namespace are where, and which hosts it has: the figures, as people and programs see them."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import msgspec
from msgspec import Struct, field

__all__ = ["HostStats", "QueueStats", "RunningStats", "Stats"]


class QueueStats(Struct):
    """Messages of one queue.

    Attributes:
        ready: could run now.
        scheduled: have not reached their due time.
        running: assigned to a host: running, or next there.
        waiting: failed or snoozed, and wait for their next start; on the board or off it.
        dead: messages that are dead: those that were redriven or purged since are not.
        done, failed: committed since the namespace began: messages done; attempts that failed.
        oldest_s: age in seconds of the oldest message that is ready; None where there is none.
        unfit: messages that wait for a host that knows their task, or takes their arguments, by ``task@digests``: the
            signatures that the hosts which gave them back know. They are none of those that are ready.
        paused: no message of it is assigned, since an operator has said so.
        paused_tasks: tasks of which none starts, since an operator has said so. held: by task, messages of them that wait
            on the board for that. They are none of those that are ready.
        at_least: of those that are ready, scheduled or waiting there may be more: the coordinator has not looked at all.
        hosts: living ones that serve it.
        in_per_s, out_per_s: messages that came, and that were done or died, in the seconds before; None: not known.
        mean_s: time of one message in a slot; None until known.
        limited: limits that hold up messages, or are used up; for people. Empty where it was counted exactly.
        expired: messages that had not begun in time, since the namespace began.
        deaths, cancelled, purged, redriven: how often messages died, were cancelled, purged, or began again after their
            death, since the namespace began.
        died: by cause, since a coordinator counted them first. Empty where it was counted exactly.
    """

    ready: int = 0
    scheduled: int = 0
    running: int = 0
    waiting: int = 0
    dead: int = 0
    done: int = 0
    failed: int = 0
    oldest_s: float | None = None
    unfit: dict[str, int] = field(default_factory=dict)
    paused: bool = False
    at_least: bool = False
    hosts: int = 0
    in_per_s: float | None = None
    out_per_s: float | None = None
    mean_s: float | None = None
    died: dict[str, int] = field(default_factory=dict)
    limited: list[str] = field(default_factory=list)
    expired: int = 0
    deaths: int = 0
    cancelled: int = 0
    purged: int = 0
    redriven: int = 0
    held: dict[str, int] = field(default_factory=dict)
    paused_tasks: list[str] = field(default_factory=list)

    @property
    def is_unserved(self) -> bool:
        """Whether messages wait here and no living host serves the queue."""
        there = self.ready or self.running or self.waiting or self.scheduled or self.unfit or self.held
        return not self.hosts and bool(there)


class RunningStats(Struct):
    """A message that runs, and how far it is; see `s3queue.Context.progress`."""

    message: str
    done: float
    total: float
    text: str


class HostStats(Struct):
    """One session: a supervisor with its workers.

    Attributes:
        assigned: messages that run there or are next.
        usage: store requests since its supervisor started, by role (``coordinator``, ``host``, ``worker``):
            requests by kind, bytes of objects sent and received, retries, conflicts, puts without an answer; as of its
            last write.
        busy: slots that a message is assigned to.
        fenced: it is over since it was silent for too long, and did not leave.
        release: of this library that it runs. workers: its processes that run tasks. deaths: of workers that nobody had
            asked to end, by cause, since its session began. rss_bytes: resident memory of its agent and workers. As of its
            last write; empty or 0 where it does not tell.
        progress: of up to twenty messages that run there and whose tasks tell it, as of its last write.
    """

    session: str
    name: str = ""
    slots: int = 0
    queues: list[str] = field(default_factory=list)
    assigned: int = 0
    over: bool = False
    usage: dict[str, dict[str, int]] = field(default_factory=dict)
    busy: int = 0
    progress: list[RunningStats] = field(default_factory=list)
    fenced: bool = False
    release: str = ""
    workers: int = 0
    deaths: dict[str, int] = field(default_factory=dict)
    rss_bytes: int = 0


class Stats(Struct):
    """A namespace.

    Attributes:
        coordinator: session that leads; None between two.
        full: bounds of the board that hold back work: ``board`` (its size), ``failures`` (histories on it), ``dead
            letters`` (that are not written yet).
        unreadable: keys of objects that could not be decoded, of copies of requests that nobody could read, of batches
            that workers could not read when they last tried, and of those that are larger than ``max_message_bytes``
            allows, which are never read. A hundred at most, unless it was counted exactly.
        requests: what looking cost, by kind.
        as_of: when the coordinator wrote this summary. It writes one every 2 s, 10 s on billed stores, while anything
            changes. None: counted just now.
        census_at: when the census began that ``at_least`` counts come from; None before the first one, or if all counts
            are exact.
        board_bytes: size of the board; 0 if unknown.
        cycle_s: duration of the coordinator's last cycle, in seconds; 0 if unknown.
        fences: sessions that were fenced since the namespace began, as far as coordinators have counted; 0 if unknown.
        past: store requests of hosts that are gone, as far as coordinators have counted; as of `HostStats.usage`.
    """

    store: str
    namespace: str
    coordinator: str | None = None
    epoch: int = 0
    queues: dict[str, QueueStats] = field(default_factory=dict)
    hosts: list[HostStats] = field(default_factory=list)
    unreadable: list[str] = field(default_factory=list)
    requests: dict[str, int] = field(default_factory=dict)
    full: list[str] = field(default_factory=list)
    as_of: datetime | None = None
    census_at: datetime | None = None
    board_bytes: int = 0
    cycle_s: float = 0.0
    fences: int = 0
    past: dict[str, dict[str, int]] = field(default_factory=dict)

    @property
    def is_unattended(self) -> bool:
        """Whether every host had left when the coordinator said this: nobody counts what has come since."""
        return self.as_of is not None and all(host.over for host in self.hosts)

    @property
    def usage(self) -> dict[str, dict[str, int]]:
        """Store requests of all hosts by role, those that are gone included; see `HostStats.usage`."""
        by_host: dict[str, dict[str, dict[str, int]]] = {}
        for host in self.hosts:  # the next session of a supervisor goes on counting
            known = by_host.setdefault(host.name or host.session, {})
            for role, asked in host.usage.items():
                counts = known.setdefault(role, {})
                counts.update({name: max(many, counts.get(name, 0)) for name, many in asked.items()})
        total: dict[str, dict[str, int]] = {}
        for said in (self.past, *by_host.values()):
            for role, asked in said.items():
                counts = total.setdefault(role, {})
                counts.update({name: many + counts.get(name, 0) for name, many in asked.items()})
        return total

    def as_dict(self) -> dict[str, Any]:
        builtins: dict[str, Any] = msgspec.to_builtins(self)
        return builtins
