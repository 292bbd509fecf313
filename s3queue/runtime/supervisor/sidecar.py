"""The child that serves metrics: started with the host, replaced when it dies, killed when the host ends.

Nothing depends on it. Its death is logged and costs the host nothing; what was measured meanwhile is counted again from
the next snapshots.
"""

from __future__ import annotations

import importlib.util
import socket
from collections.abc import Callable
from typing import Any

from s3queue.errors import ConfigError
from s3queue.io.clock import clock
from s3queue.observe.ears import Ear, open_ear
from s3queue.observe.events import Events
from s3queue.observe.gathering import COUNTED
from s3queue.runtime.local.life import Life
from s3queue.runtime.local.wire import CannotStart, Started
from s3queue.runtime.supervisor.children import Child
from s3queue.runtime.supervisor.patience import Patience
from s3queue.runtime.supervisor.watch import Verdict

__all__ = ["Sidecar", "check_metrics", "metrics_ear", "open_door"]


def check_metrics() -> None:
    """Raises `ConfigError` where the library for metrics is not installed."""
    if importlib.util.find_spec("prometheus_client") is None:
        raise ConfigError("metrics need prometheus_client", "pip install 's3queue[metrics]'")


def open_door(where: str) -> socket.socket:
    """A socket that listens there.

    Args:
        where: ``127.0.0.1:9191``, ``[::1]:9191`` or ``:9191`` for all addresses; port 0 for any that is free.

    Raises:
        ConfigError: it is no address, or one that cannot be listened at.
    """
    host, separator, port = where.rpartition(":")
    if not separator or not port.isdecimal() or int(port) > 65535:
        raise ConfigError(f"not an address to listen at: {where!r}", "for example 127.0.0.1:9191")
    name = host.strip("[]")
    family = socket.AF_INET6 if ":" in name else socket.AF_INET
    door = socket.socket(family, socket.SOCK_STREAM)
    try:
        door.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        door.bind((name, int(port)))
        door.listen(64)
    except (OSError, OverflowError) as fault:
        door.close()
        why = getattr(fault, "strerror", None) or fault
        raise ConfigError(f"cannot listen at {where}: {why}", "is another program there? name another port") from fault
    return door


def metrics_ear(life: Life) -> Ear:
    """The ear of the process that serves metrics of this host."""
    return Ear(str(life.rundir / "metrics.sock"), COUNTED)


class Sidecar:
    """
    Args:
        door: a socket that listens for scrapes.
        ear: where the other processes of the host send what they measure.
        start: makes a child of these fields; None: the system has no room for it now.
    """

    def __init__(
        self, door: socket.socket, ear: Ear, events: Events, start: Callable[[dict[str, Any]], Child | None]
    ) -> None:
        self.door, self.ear = door, ear
        #: Ours, too, so that what is sent while the child is being replaced waits for the next one.
        self._heard_at = open_ear(ear.path)
        self._events, self._start = events, start
        self._child: Child | None = None
        self._due = 0.0
        self._patience = Patience()

    def start_if_due(self, fields: Callable[[], dict[str, Any]]) -> None:
        now = clock()
        if self._child is None and now >= self._due:
            self._child = self._start({**fields(), "door": self.door, "heard_at": self._heard_at})
            if self._child is None:
                self._due = now + self._patience.refused()

    def doors(self) -> list[socket.socket]:
        """Sockets that no other child may keep open."""
        return [self.door, self._heard_at]

    def children(self) -> list[Child]:
        return [] if self._child is None else [self._child]

    def look(self) -> None:
        """Hear what it says; notice its death."""
        child = self._child
        if child is None:
            return
        dead = child.is_dead
        for note in child.hear():
            match note:
                case Started():
                    child.up = True
                    self._patience.is_up()
                    host, port = self.door.getsockname()[:2]
                    self._events.warn("metrics", f"metrics at http://{host}:{port}/metrics", level=_INFO)
                case CannotStart():
                    self._events.warn("no metrics", f"metrics cannot be served: {' '.join(note.args)}")
        if dead:
            self._child = None
            child.reap()
            _, text = child.death(out_of_memory=False)
            self._due = clock() + self._patience.died(up=child.up, age_s=child.age_s, blameless=False)
            self._events.warn("metrics died", f"{text}; it is started again")

    def end(self) -> None:
        if self._child is not None:
            self._child.kill(Verdict("killed", "the host ends"))
            self._child.reap()
            self._child = None
        self.ear.close()
        self._heard_at.close()
        self.door.close()


_INFO = 20
