"""Counts of a namespace and its hosts, as people and programs see them."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import msgspec
from msgspec import Struct, field

__all__ = ["HostStats", "QueueStats", "RunningStats", "Stats"]


class QueueStats(Struct):
    """Messages of one queue.

    Attributes:
        ready: messages that could run now.
        scheduled: messages whose due time has not come.
        running: messages assigned to a host: they run, or are next there.
        waiting: messages that failed or were snoozed, and wait for their next start.
        dead: messages with a dead letter that nobody has redriven or purged.
        done, failed: messages that are done, and attempts that failed, since the namespace was created.
        oldest_s: age of the oldest ready message, in seconds; None: no message is ready.
        unfit: messages that wait for a host that knows their task and takes their arguments, by ``task@digests``: the
            signatures that the hosts know which gave them back. They do not count as ready.
        paused: whether an operator has paused it.
        paused_tasks: tasks that an operator has paused.
        held: by task: messages of paused tasks that wait on the board. They do not count as ready.
        at_least: whether there may be more messages that are ready, scheduled or waiting than counted: the coordinator has
            not seen all of them yet.
        hosts: living hosts that serve it.
        in_per_s, out_per_s: messages per second that came, and that were done or died, lately; None: not known.
        mean_s: seconds that one message spends in a slot, on average; None: not known.
        limited: limits that hold up messages, or are used up, as text for people. Empty after an exact count.
        expired: messages that had not begun in time, since the namespace was created.
        deaths, cancelled, purged, redriven: how often messages died, were cancelled, were purged, and began a new life
            after their death, since the namespace was created.
        died: deaths by cause, since the first count of a coordinator. Empty after an exact count.
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
    """A running message, and how far it is: ``done`` of ``total``, see `s3queue.Context.progress`."""

    message: str
    done: float
    total: float
    text: str


class HostStats(Struct):
    """One session: a supervisor with its workers.

    Attributes:
        session: its id. name: of its supervisor, for people.
        slots: messages that it runs at once, at most. queues: that it serves.
        assigned: messages that run there, or are next.
        over: whether the session has ended.
        usage: store requests since its supervisor started, by role (``coordinator``, ``host``, ``worker``):
            requests by kind, bytes of objects sent and received, retries, conflicts, puts without an answer. As of its
            last write.
        busy: slots with an assigned message.
        fenced: whether its session was ended because it was silent for too long.
        release: version of this library that it runs.
        workers: its worker processes.
        deaths: worker processes that ended unasked, by cause, since its session began.
        rss_bytes: resident memory of its agent and workers. This and the three before are as of its last write, and
            empty or 0 if it does not report them.
        progress: of up to twenty running messages whose tasks report it, as of its last write.
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
        store, namespace: URL of the store, without secrets; prefix of all keys.
        coordinator: session of the coordinator; None: nobody leads now.
        epoch: term number of the coordinator.
        queues, hosts: see `QueueStats` and `HostStats`.
        full: bounds of the board that hold up work: ``board`` (its size), ``failures`` (histories on it), ``dead
            letters`` (that are not written yet).
        unreadable: keys of objects that cannot be decoded: records, copies of damaged requests, batches that workers could
            not read at their last try; and of batches larger than ``max_message_bytes`` allows, which are never read. At
            most a hundred, unless counted exactly.
        requests: cost of this call: requests by kind.
        as_of: when the coordinator wrote this summary. It writes one every 2 s, on billed stores every 10 s, while anything
            changes. None: counted just now.
        census_at: when the census began from which ``at_least`` counts come; None: there was none yet, or all counts are
            exact.
        board_bytes: size of the board; 0: not known.
        cycle_s: duration of the coordinator's last cycle, in seconds; 0: not known.
        fences: sessions that were fenced since the namespace was created, as far as coordinators counted; 0: not known.
        past: store requests of hosts that are gone, as far as coordinators counted; in the shape of `HostStats.usage`.
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
        """Whether every host had left when the coordinator wrote this. Messages that came later are not counted."""
        return self.as_of is not None and all(host.over for host in self.hosts)

    @property
    def usage(self) -> dict[str, dict[str, int]]:
        """Store requests of all hosts by role, hosts that are gone included; see `HostStats.usage`."""
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
        """All of it in values that JSON can hold."""
        builtins: dict[str, Any] = msgspec.to_builtins(self)
        return builtins
