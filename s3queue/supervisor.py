"""Forks and restarts the agent and the workers. No threads and no connection to the store: forking stays safe.

What it promises:

- A worker that died is reaped before the agent hears of it, and replaced after the agent has read its journal.
- An agent that died takes the workers with it; the next agent ends its session with what their journals say.
- A child that overruns a time limit, or shows no life for ``visibility_timeout``, is killed.
- SIGTERM and SIGINT drain: what runs may end, within ``drain_timeout``; a second one ends everything at once.
- When the supervisor itself dies, however that happens, its children die: by the kernel's hand where it offers that, and
  by the end of their pipes.
- A store that cannot keep the promises of the queue is refused before anything is in it.
- Children that cannot start are a reason to give up loudly, not to try for ever.
"""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import threading
from collections.abc import Iterable, Iterator
from typing import Any

from s3queue.config import Config, current_config, current_store
from s3queue.core.keys import check_name
from s3queue.errors import ConfigError
from s3queue.registry import Registry, registry
from s3queue.runtime.local.child import GROUP_SIGNALS
from s3queue.runtime.supervisor.loop import Host, Household, Summary
from s3queue.store import ObjectStore, as_store

__all__ = ["Summary", "Supervisor"]


class Supervisor:
    """A host: one agent and some workers, kept running.

    Args:
        store: a store or its URL; by default what `s3queue.configure`, the environment or ``s3queue.toml`` name.
        queues: what to serve; by default the queues of every registered task.
        workers: processes; by default the setting, and that by default one per CPU.
        concurrency: messages that one worker runs at a time; by default the setting.
        config: settings; by default those of this process.
        tasks: instead of the registered ones.
        settings: single settings, above those of ``config``.

    Raises:
        ConfigError: a setting that does not fit, no store, or nothing to serve.
    """

    def __init__(
        self,
        store: ObjectStore | str | None = None,
        queues: Iterable[str] | None = None,
        workers: int | None = None,
        concurrency: int | None = None,
        config: Config | None = None,
        *,
        tasks: Registry = registry,
        **settings: Any,
    ) -> None:
        given = {"workers": workers, "concurrency": concurrency, **settings}
        self.config = (config or current_config()).replace(**{name: it for name, it in given.items() if it is not None})
        self.store = current_store() if store is None else as_store(store)
        if isinstance(queues, str):
            raise ConfigError(f"queues is the string {queues!r}", f"for one queue write queues=[{queues!r}]")
        self.queues = tuple(dict.fromkeys(tasks.queues() if queues is None else queues))
        self.workers = self.config.workers or _cpus()
        self.concurrency = self.config.concurrency
        self.tasks = tasks
        self._bell, self._hammer = _wake_up_pair()
        if not self.queues:
            raise ConfigError("there is no queue to serve", "import the module that defines the tasks, or name queues")
        for queue in self.queues:
            tasks.offer(check_name(queue))

    def run(self, *, until_empty: bool = False) -> Summary:
        """Serve until drained: by SIGTERM or SIGINT, by `stop`, or, with ``until_empty``, when the served queues hold
        no message any more. Signals are handled only in the main thread.

        Raises:
            StoreUnsupported: the store cannot keep the promises of the queue: the first agent asks it (about 60 requests)
                before it writes anything else.
            ConfigError: a child says that it cannot start.
            QueueError: a child keeps dying before it is up.
        """
        with _signals_to(self._hammer):
            what = Household(
                self.store,
                self.config,
                self.queues,
                self.workers,
                self.concurrency,
                self.tasks,
                self._bell,
                self._hammer,
            )
            return Host(what, until_empty).serve()

    def stop(self) -> None:
        """Drain, like SIGTERM; a second time: end at once. For other threads and signal handlers."""
        with contextlib.suppress(BlockingIOError):
            self._hammer.send(b"\0")

    def __del__(self) -> None:
        for one in (getattr(self, "_bell", None), getattr(self, "_hammer", None)):
            if one is not None:
                one.close()


def _cpus() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _wake_up_pair() -> tuple[socket.socket, socket.socket]:
    bell, hammer = socket.socketpair()
    bell.setblocking(False)
    hammer.setblocking(False)
    return bell, hammer


@contextlib.contextmanager
def _signals_to(hammer: socket.socket) -> Iterator[None]:
    """Have SIGTERM and SIGINT written to the socket, and nothing else done about them."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    handlers = {number: signal.signal(number, _note_it) for number in GROUP_SIGNALS}
    # Some programs give up what Python sets up: a pipe to a child that just died must not end us, and children that
    # nobody needs to reap would tell nobody how they died.
    handlers[signal.SIGPIPE] = signal.signal(signal.SIGPIPE, signal.SIG_IGN)
    if signal.getsignal(signal.SIGCHLD) == signal.SIG_IGN:
        handlers[signal.SIGCHLD] = signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    wake_up = signal.set_wakeup_fd(hammer.fileno(), warn_on_full_buffer=False)
    try:
        yield
    finally:
        signal.set_wakeup_fd(wake_up)
        for number, handler in handlers.items():
            if handler is not None:  # None: it was not set by Python, and cannot be set back by it
                signal.signal(number, handler)


def _note_it(*_: object) -> None: ...
