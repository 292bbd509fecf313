"""The record that dashboards, metrics and autoscalers read: all counts as of one moment, in one object."""

from __future__ import annotations

from msgspec import Struct, field

from s3queue.core.records.format import FORMAT, Count, Delay, Term
from s3queue.core.records.ledger import About, Usage


class Tally(Struct, omit_defaults=True):
    """Messages of one queue.

    Attributes:
        ready, scheduled, running, waiting: as `s3queue.QueueStats` says.
        at_least: of ready, scheduled and waiting there may be more: nobody has looked at all of it since.
        done, failed: committed since the namespace began.
        oldest_ms: when the oldest ready message was enqueued; 0 where there is none.
        in_per_s: messages that came; None where that is not known.
        out_per_s: messages that were done or died.
        mean_s: time of one message in a slot, as hosts measure it; 0 until known.
        died: by cause, how many; since a coordinator first counted them.
        hosts: living ones that serve it.
        limited: limits that hold up messages, or are used up; for people.
        held: by task, messages that hosts gave back since it is paused. paused_tasks: that are.
        expired, deaths, cancelled, purged, redriven: committed since the namespace began; ``dead`` is how many still are.
    """

    ready: Count = 0
    scheduled: Count = 0
    running: Count = 0
    waiting: Count = 0
    at_least: bool = False
    dead: Count = 0
    done: Count = 0
    failed: Count = 0
    oldest_ms: Count = 0
    in_per_s: Delay | None = None
    out_per_s: Delay = 0.0
    mean_s: Delay = 0.0
    died: dict[str, Count] = {}
    unfit: dict[str, Count] = {}
    hosts: Count = 0
    paused: bool = False
    limited: tuple[str, ...] = ()
    expired: Count = 0
    deaths: Count = 0
    cancelled: Count = 0
    purged: Count = 0
    redriven: Count = 0
    held: dict[str, Count] = {}
    paused_tasks: tuple[str, ...] = ()


class Progress(Struct, frozen=True, array_like=True):
    """How far a running message is, as its task said.

    Attributes:
        message: its id, or of one that was moved off the board: of the place that it has now.
        total: 0: not said.
    """

    message: str
    done: Delay = 0.0
    total: Delay = 0.0
    text: str = ""


class HostTally(Struct, frozen=True, omit_defaults=True):
    """One session, as its ledger said last.

    Attributes:
        progress: of some of its messages; empty where no task tells.
        about: what it tells of itself, for people.
        fenced: it is over since it was silent, not since it left.
    """

    session: str
    name: str = ""
    slots: Count = 0
    assigned: Count = 0
    queues: tuple[str, ...] = ()
    over: bool = False
    usage: dict[str, Usage] = {}
    progress: tuple[Progress, ...] = ()
    about: About = About()
    fenced: bool = False


class Summary(Struct, frozen=True, omit_defaults=True):
    """Written by the coordinator, while anything changes but the time.

    Attributes:
        written_ms: wall clock of the coordinator.
        cycle_s: duration of its last cycle.
        past: store requests of hosts that are gone, by role, as far as coordinators that write summaries have seen.
        fences: sessions that were fenced, as far as coordinators that write summaries have seen.
        census_ms: when the census began that what is ``at_least`` rests on; 0 where there was none yet.
        unreadable: some of the keys of what cannot be decoded or read; ``unreadable_many`` is how many there are.
    """

    nonce: str
    epoch: Term
    written_ms: Count
    coordinator: str = ""
    census_ms: Count = 0
    board_bytes: Count = 0
    queues: dict[str, Tally] = {}
    hosts: tuple[HostTally, ...] = ()
    full: tuple[str, ...] = ()
    unreadable: tuple[str, ...] = ()
    unreadable_many: Count = 0
    format: int = field(default_factory=lambda: FORMAT)
    cycle_s: Delay = 0.0
    fences: Count = 0
    past: dict[str, Usage] = {}
