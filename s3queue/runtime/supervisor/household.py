"""The arguments and the summary of a supervisor's run."""

from __future__ import annotations

import os
import platform
import re
import secrets
import socket
import sys
import time
from typing import Any, NamedTuple, NoReturn

from s3queue.config import Config, redact_url
from s3queue.observe.subscribing import Subscribers
from s3queue.registry import Registry
from s3queue.runtime.supervisor.wishes import Wishes
from s3queue.store import ObjectStore
from s3queue.version import __version__


class Summary(NamedTuple):
    """The summary of a run.

    Attributes:
        deaths: children that died without being asked to.
        restarts: children that were started to replace others, recycled workers included.
        requests: made by agent and workers, by kind: ``put``, ``get``, ``list``, ``delete``.
        messages: starts of messages; one that was started twice counts twice.
        drained: whether the host left normally, with no task left running.
        usage: requests by role (``coordinator``, ``host``, ``worker``) and kind, with the bytes of objects sent and
            received, retries, conflicts and puts without an answer.
        interrupted: whether it was told a second time to end, and ended at once.
        settled: by queue: how many messages were done here, and how many died. The counts of an agent that died are lost.
    """

    deaths: int
    restarts: int
    requests: dict[str, int]
    messages: int
    drained: bool
    usage: dict[str, dict[str, int]]
    interrupted: bool = False
    settled: dict[str, tuple[int, int]] = {}  # noqa: RUF012 - nobody changes it


class Household(NamedTuple):
    """The arguments of a run."""

    store: ObjectStore
    config: Config
    queues: tuple[str, ...]
    workers: int
    concurrency: int
    tasks: Registry
    wishes: Wishes
    subscribers: Subscribers
    door: socket.socket | None = None

    def described(self) -> dict[str, Any]:
        """For people who look at the log."""
        return {
            "store": redact_url(self.store.url),
            "namespace": self.config.namespace,
            "queues": ",".join(self.queues),
            "tasks": sum(len(self.tasks.tasks(queue)) for queue in self.queues),
            "workers": self.workers,
            "concurrency": self.concurrency,
            "pacing": self.config.pacing if self.store.capabilities.requests_cost else "none",
            "drain_timeout": f"{self.config.drain_timeout:g}s",
            "start_method": self.config.start_method,
            "python": platform.python_version(),
            "version": __version__,
        }


def end_unguarded() -> NoReturn:
    """End the program with one line: every child that imports this module would start a supervisor of its own."""
    main = getattr(sys.modules["__main__"], "__file__", None) or "the main module"
    guard = 'put the call that runs it below `if __name__ == "__main__":`'
    print(f"s3queue: {main} starts a supervisor whenever it is imported ({guard})", file=sys.stderr)
    raise SystemExit(2)


def new_session() -> str:
    """A session id that was never used before: the second, the machine, the process, and 32 random bits."""
    host = re.sub(r"[^A-Za-z0-9]+", "-", socket.gethostname())[:40].strip("-") or "host"
    return f"{time.strftime('%Y%m%d%H%M%S', time.gmtime())}-{host}-{os.getpid()}-{secrets.token_hex(4)}"
