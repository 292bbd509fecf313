"""The arguments of a child process from its supervisor.

A spec reaches a forked child as it is; for a spawned one it is pickled, while the process is being started, by
`multiprocess`, which passes shared memory and descriptors along.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from s3queue.core.records import Place
from s3queue.observe.ears import Ear
from s3queue.runtime.local.life import Life
from s3queue.store import ObjectStore

if TYPE_CHECKING:
    from s3queue.config import Config

__all__ = ["AgentSpec", "MetricsSpec", "WorkerSpec"]


@dataclass(frozen=True, kw_only=True)
class AgentSpec:
    """
    Attributes:
        store: not connected yet; opens in the child.
        queues: what this host serves.
        workers: how many there are; they are numbered from 0.
        concurrency: slots per worker.
        rundir: the agent listens on ``{rundir}/agent.sock`` before it says `Started`.
        session: id of this life of the host; never used before.
        orphaned: sessions of agents that died before this one, and that are not known to have been ended. Their workers
            have been reaped, and the journals in the buffer are as they left them.
        buffer: shared memory for `s3queue.runtime.local.journal.Journal`.
        conn: `multiprocess` connection to the supervisor. It says EOFError when the supervisor is gone: exit at once.
        life: held open for as long as this process lives; nothing else to do with it.
        tasks: the registry.
        until_empty: say `Empty` once the served queues hold no message.
        ears: processes of this host that listen to events.
        measured: what it measures is sent there; None: it measures nothing.
        proven: another agent of this supervisor was up before: the store can be reached, and can hold a queue.
    """

    store: ObjectStore
    config: Config
    queues: tuple[str, ...]
    workers: int
    concurrency: int
    rundir: str
    place: Place
    session: str
    orphaned: tuple[str, ...]
    buffer: Any
    conn: Any
    life: Life
    tasks: Any
    until_empty: bool = False
    proven: bool = False
    ears: tuple[Ear, ...] = ()
    measured: Ear | None = None


@dataclass(frozen=True, kw_only=True)
class WorkerSpec:
    """
    Attributes:
        worker: the number of this worker, from 0; it keeps it when it is replaced.
        session: of the agent that it works for. A worker never outlives its agent.
        others: as in `AgentSpec`.
    """

    store: ObjectStore
    config: Config
    worker: int
    workers: int
    concurrency: int
    rundir: str
    session: str
    buffer: Any
    conn: Any
    life: Life
    tasks: Any
    ears: tuple[Ear, ...] = ()
    measured: Ear | None = None


@dataclass(frozen=True, kw_only=True)
class MetricsSpec:
    """
    Attributes:
        door: a socket that listens for scrapes.
        heard_at: a socket that listens for what the others measure.
        others: as in `AgentSpec`.
    """

    store: ObjectStore
    config: Config
    queues: tuple[str, ...]
    workers: int
    concurrency: int
    buffer: Any
    door: Any
    heard_at: Any
    conn: Any
    life: Life
