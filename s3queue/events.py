"""Events: one typed record per kind.

Most kinds are told once, by the process that learns of it first, which may be before it is committed: a host that is fenced
meanwhile has told of attempts that do not count. `Settled` is told after the commit, and is what auditing programs read.

Fields of every event: ``at`` (seconds since 1970), ``role`` (``producer``, ``worker``, ``agent``, ``supervisor``,
``dashboard``) and ``pid`` of the process that told it. ``message`` is a message's id. ``text`` is for people, and may be a
traceback.
"""

from __future__ import annotations

from functools import reduce
from operator import or_
from typing import Any

import msgspec
from msgspec import Struct

__all__ = ["KINDS", "Event", "decode_event"]


class Event(Struct, frozen=True, kw_only=True, tag_field="kind", tag="event", omit_defaults=True):
    """What every event tells."""

    at: float = 0.0
    role: str = ""
    pid: int = 0

    @property
    def kind(self) -> str:
        """Its name, as in `s3queue.on`."""
        return str(self.__struct_config__.tag)


# ---- messages ----------------------------------------------------------------------------------------------------------


class Enqueued(Event, frozen=True, tag="enqueued"):
    """Messages are stored. By the producer; one event a call, or more where the call fills several batches."""

    ids: list[str]
    queue: str = ""


class Claimed(Event, frozen=True, tag="claimed"):
    """A host may run these tickets: its stored ledger names them. By its agent."""

    session: str
    tickets: list[str]


class Started(Event, frozen=True, tag="started"):
    """A task begins with a message. By the worker."""

    message: str
    attempt: int
    ticket: str
    queue: str = ""
    task: str = ""


class Succeeded(Event, frozen=True, tag="succeeded"):
    """A task returned. By the worker. ``run_s``: seconds in the task."""

    message: str
    attempt: int
    queue: str = ""
    task: str = ""
    run_s: float = 0.0


class Failed(Event, frozen=True, tag="failed"):
    """An attempt failed. `Retrying` or `Dead` follows. By the worker."""

    message: str
    attempt: int
    cause: str
    queue: str = ""
    task: str | None = None
    of: int = 0
    text: str = ""


class Retrying(Event, frozen=True, tag="retrying"):
    """An attempt failed, and another one follows in ``next_s`` seconds. By the worker. ``of``: attempts that it has."""

    message: str
    attempt: int
    cause: str = ""
    next_s: float = 0.0
    queue: str = ""
    task: str | None = None
    of: int = 0
    text: str = ""


class Snoozed(Event, frozen=True, tag="snoozed"):
    """A task snoozed its message for ``next_s`` seconds, without losing an attempt. By the worker."""

    message: str
    attempt: int
    next_s: float = 0.0
    queue: str = ""
    task: str | None = None
    of: int = 0
    cause: str = ""
    text: str = ""


class Dead(Event, frozen=True, tag="dead"):
    """A message is out of attempts, or was rejected. By the worker; by the agent where the process of its last attempt
    died; by the coordinator where its host was lost, or no host knew its task."""

    message: str
    attempt: int
    cause: str = ""
    queue: str = ""
    task: str | None = None
    of: int = 0
    text: str = ""


class Cancelled(Event, frozen=True, tag="cancelled"):
    """Messages were cancelled, and do not start any more. By the coordinator, after the commit."""

    queue: str
    ids: list[str]


class Expired(Event, frozen=True, tag="expired"):
    """Messages had not begun when they expired. By the coordinator, after the commit."""

    queue: str
    ids: list[str]


class Recovered(Event, frozen=True, tag="recovered"):
    """The process that ran a message died, and the message runs again. By the agent. ``next``: how, for people."""

    message: str
    attempt: int
    cause: str
    of: int = 0
    queue: str = ""
    next: str = ""


class Settled(Event, frozen=True, tag="settled"):
    """Messages ``start`` up to ``stop`` of a batch have ended: ``outcome`` is ``done``, ``dead``, ``cancelled``, … By the
    coordinator, after the commit. Once for each message, whatever happened to its hosts."""

    ticket: str
    source: str
    start: int
    stop: int
    attempt: int
    outcome: str


class Moved(Event, frozen=True, tag="moved"):
    """Waiting messages were moved to this source; their ids stay the same. By the coordinator."""

    source: str
    ids: list[str]


# ---- processes and hosts -----------------------------------------------------------------------------------------------


class Serving(Event, frozen=True, tag="serving"):
    """A supervisor serves. Once a run."""

    store: str
    namespace: str
    queues: str
    tasks: int
    workers: int
    concurrency: int
    pacing: str
    drain_timeout: str
    start_method: str = ""
    python: str = ""
    version: str = ""


class WorkerStarted(Event, frozen=True, tag="worker_started"):
    """A worker process is up. By the supervisor."""

    worker: int
    worker_pid: int


class WorkerDied(Event, frozen=True, tag="worker_died"):
    """A worker process ended without being asked to. By the agent; by the supervisor where there was no agent.

    ``messages``: those that it was running; `Recovered` or `Dead` tells of each.
    """

    worker: int
    cause: str
    text: str = ""
    messages: list[str] = []


class WorkerLeft(Event, frozen=True, tag="worker_left"):
    """A worker process ended that was asked to. By the agent; by the supervisor where there was no agent any more."""

    worker: int


class AgentDied(Event, frozen=True, tag="agent_died"):
    """The agent ended without being asked to, and with it its ``session``; its workers are killed and started again. By the
    supervisor."""

    cause: str
    text: str = ""
    session: str = ""


class Reaped(Event, frozen=True, tag="reaped"):
    """A worker process that died was reaped. By the supervisor; `WorkerDied` follows once its journal was read."""

    cause: str
    text: str = ""


class Leaving(Event, frozen=True, tag="leaving"):
    """A worker process will be replaced: it has reached `max_messages` or `max_rss_bytes`. By the agent."""

    worker: int
    why: str


class Draining(Event, frozen=True, tag="draining"):
    """A host takes no more messages. By the supervisor. ``text``: what another signal does."""

    why: str
    running: int
    until: str
    text: str = ""


class Ending(Event, frozen=True, tag="ending"):
    """A host was told to end at once. By the supervisor."""

    why: str


class Ended(Event, frozen=True, tag="ended"):
    """A run is over, however it ended. By the supervisor. ``messages``: how many were started; ``deaths``: of worker
    processes; ``text``: what was done, by queue."""

    drained: bool
    messages: int
    deaths: int
    done: int = 0
    dead: int = 0
    text: str = ""


class GaveUp(Event, frozen=True, tag="gave_up"):
    """A host cannot start its processes. By the supervisor."""

    text: str = ""


class HostJoined(Event, frozen=True, tag="host_joined"):
    """A host has joined, and takes messages. By its agent."""

    session: str
    queues: list[str] = []
    slots: int = 0


class HostLeft(Event, frozen=True, tag="host_left"):
    """A host has left normally. By its agent."""

    session: str


class Fenced(Event, frozen=True, tag="fenced"):
    """A host's session was ended, since it was silent or gone; what it had not stored runs elsewhere. By the coordinator
    that did it; by the worker and the supervisor of the host itself."""

    session: str = ""
    worker: int = -1
    cause: str = ""
    text: str = ""


# ---- the coordinator ---------------------------------------------------------------------------------------------------


class Elected(Event, frozen=True, tag="elected"):
    """This agent was elected coordinator. By the agent."""

    session: str
    epoch: int


class Deposed(Event, frozen=True, tag="deposed"):
    """This agent is no longer the coordinator: another one was elected, or it leaves. By the agent."""

    session: str
    text: str = ""


class TicketsAssigned(Event, frozen=True, tag="tickets_assigned"):
    """Messages were assigned to hosts. By the coordinator, after the commit. ``tickets``: that are out now."""

    messages: int
    tickets: int


class Paused(Event, frozen=True, tag="paused"):
    """A queue, or a task of it, was paused. By the coordinator, after the commit. ``until_ms``: 0 for no end. ``task``:
    empty for the queue."""

    queue: str
    until_ms: int = 0
    task: str = ""


class Resumed(Event, frozen=True, tag="resumed"):
    """A queue, or a task of it, is no longer paused: it was resumed, or the pause has ended. By the coordinator, after the
    commit. ``task``: empty for the queue."""

    queue: str
    task: str = ""


class BreakerOpened(Event, frozen=True, tag="breaker_opened"):
    """A circuit breaker stopped a queue after ``failed`` failed attempts. By the coordinator, after the commit."""

    queue: str
    failed: int = 0


class BreakerClosed(Event, frozen=True, tag="breaker_closed"):
    """A circuit breaker lets its queue run again: a trial message succeeded, or the breaker was removed. By the
    coordinator, after the commit."""

    queue: str


class Redriven(Event, frozen=True, tag="redriven"):
    """Dead letters begin again, with their ids. By the coordinator, after the commit."""

    queue: str
    ids: list[str]


class Purged(Event, frozen=True, tag="purged"):
    """Messages were purged, and do not start any more. By the coordinator, after the commit."""

    queue: str
    ids: list[str]


class Operated(Event, frozen=True, tag="operated"):
    """Somebody did something in the dashboard, or was refused. By the dashboard, once for each action. ``outcome``:
    ``done``, ``failed``, ``cancelled`` or ``refused``; ``given``: what else was filled in."""

    who: str
    action: str
    outcome: str
    role_of: str = ""
    address: str = ""
    queue: str = ""
    message: str = ""
    given: dict[str, str] = {}
    text: str = ""


class LoginRefused(Event, frozen=True, tag="login_refused"):
    """Somebody tried to log in to the dashboard with a wrong token. By the dashboard."""

    address: str = ""


class StoreUnavailable(Event, frozen=True, tag="store_unavailable"):
    """The store does not answer; requests are tried again. By the agent, once until it answers."""

    text: str = ""


class StoreRecovered(Event, frozen=True, tag="store_recovered"):
    """The store answers again. By the agent. ``away_s``: seconds since it was first noticed."""

    away_s: float


def _kinds(base: type[Event]) -> dict[str, type[Event]]:
    return {str(kind.__struct_config__.tag): kind for kind in base.__subclasses__()}


#: Every kind, by name.
KINDS: dict[str, type[Event]] = _kinds(Event)

_decoder: Any = msgspec.json.Decoder(reduce(or_, KINDS.values()))


def decode_event(line: str | bytes) -> Event:
    """One line of a history. Raises `msgspec.DecodeError` where it is none."""
    event: Event = _decoder.decode(line)
    return event
