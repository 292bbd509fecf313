"""Starts the processes of one host, with their arguments and the memory that they share."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import multiprocess
from multiprocess import resource_tracker

from s3queue.errors import ConfigError, QueueError
from s3queue.io.clock import clock
from s3queue.observe.events import Events
from s3queue.runtime.child import child_name, libraries_first, signals_held
from s3queue.runtime.local.journal import Journal
from s3queue.runtime.local.life import Life
from s3queue.runtime.supervisor.children import Child, Role
from s3queue.runtime.supervisor.household import Household
from s3queue.store import Shareable

#: Seconds without one living child, since the system has no room for a process, after which the host gives up.
ROOM_S = 120.0


class Starter:
    """Owns the shared memory and the runtime directory of a host.

    Attributes:
        journal: in memory that all processes of the host share.
        life: the runtime directory, and the lock that says that the host lives.

    Raises:
        ConfigError: processes cannot share memory here.
    """

    def __init__(self, what: Household) -> None:
        self._what = what
        self._context = multiprocess.get_context(what.config.start_method)
        self.life = Life.create()
        try:
            self._buffer = self._context.RawArray("b", Journal.size(what.workers, what.concurrency))
        except OSError as fault:
            self.life.close(remove=True)
            raise ConfigError(
                f"cannot share memory between processes: {fault.strerror or fault}",
                "make room in /dev/shm, or set TMPDIR to a directory that you may write",
            ) from fault
        self.journal = Journal(self._buffer, what.workers, what.concurrency)
        #: When a child was last alive, by `clock`.
        self._peopled = clock()

    def prepare(self) -> None:
        """Called before the first child: imports what all children need, and makes the store ready to be handed to them."""
        # Import once what every forked child would import first.
        from s3queue.runtime.agent import main as agent  # noqa: F401
        from s3queue.runtime.worker import main as worker  # noqa: F401

        # Before any helper is started: the process of a shared store would hold its pipe, and outlives this host.
        if isinstance(self._what.store, Shareable):
            with signals_held():
                self._what.store.share()
        if self._what.config.start_method != "fork":
            # It lets go of the signals that we hold back while it starts; so let it start now. The fork server must
            # be born with them held back, or one that goes to the whole group ends it, and with it all its children.
            with libraries_first(self._what.config.start_method):
                resource_tracker.ensure_running()

    def peopled(self, now: float) -> None:
        """A child is alive."""
        self._peopled = now

    def fields(self) -> dict[str, Any]:
        """The arguments that all children have in common."""
        what = self._what
        return {"store": what.store, "config": what.config, "concurrency": what.concurrency, "buffer": self._buffer}

    def start(
        self, role: Role, number: int, fields: dict[str, Any], ours: Sequence[Any], events: Events
    ) -> Child | None:
        """A new process. None: the system has no memory or descriptors for one now.

        Args:
            fields: given to it, besides those of `fields`.
            ours: descriptors that are not for children.

        Raises: QueueError: no child could be started for `ROOM_S` seconds, and none lives. While others live, the caller
            retries without end.
        """
        name = child_name(role, number)
        try:
            return Child(self._context, role, name, self.fields() | fields, self.life, ours)
        except (OSError, EOFError, MemoryError) as fault:
            events.warn("start", f"cannot start {name}, retrying: {fault}")
            if clock() - self._peopled > ROOM_S:
                raise QueueError(f"giving up: no process can be started: {fault}") from fault
            return None
