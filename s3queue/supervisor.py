"""Forks and restarts the agent and the workers. No threads but that of subscribers, which stands still meanwhile, and no
connection to the store: forking stays safe.

What it promises:

- A worker that died is reaped before the agent hears of it, and replaced after the agent has read its journal.
- An agent that died takes the workers with it; the next agent ends its session with what their journals say.
- A child that overruns a time limit, or shows no life for ``visibility_timeout``, is killed.
- SIGTERM and SIGINT drain: what runs may end, within ``drain_timeout``. Signals within a second are one wish; a second
  wish ends everything at once.
- When the supervisor itself dies, however that happens, its children die: by the kernel's hand where it offers that, and
  by the end of their pipes.
- A store that cannot keep the promises of the queue is refused before anything is in it.
- A child that cannot start is tried again, ever later. Where no agent can start, or none of the workers, the host gives up.
- A store that does not answer is waited for, at the first start, too; a store that refuses ends the start.
- What the tasks of a worker have started ends with the worker; see `s3queue.runtime.supervisor.leftovers`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import nullcontext
from typing import TYPE_CHECKING, Any, TypeVar, Unpack

from s3queue.config import Config, current_config, current_store
from s3queue.core.keys import check_name
from s3queue.errors import ConfigError
from s3queue.observe.prices import parse_prices
from s3queue.observe.subscribing import Subscribers
from s3queue.registry import Registry, registry
from s3queue.runtime.local.cgroup import cpus
from s3queue.runtime.supervisor.helpers import helpers_end
from s3queue.runtime.supervisor.household import Household, Summary
from s3queue.runtime.supervisor.loop import Host
from s3queue.runtime.supervisor.processes import end_if_imported
from s3queue.runtime.supervisor.sidecar import check_metrics, open_door
from s3queue.runtime.supervisor.wishes import Wishes
from s3queue.store import ObjectStore, as_store

if TYPE_CHECKING:
    from s3queue.middleware import Middleware
    from s3queue.options.settings import HostSettings

__all__ = ["Summary", "Supervisor"]

_Call = TypeVar("_Call", bound=Callable[[Any], object])


class Supervisor:
    """A host: one agent and some workers, kept running.

    Args:
        store: a store or its URL; by default what `s3queue.configure`, the environment or ``s3queue.toml`` name.
        queues: what to serve; by default the queues of every registered task.
        workers: worker processes; by default the setting, whose default is one per CPU.
        concurrency: messages that one worker runs at a time; by default the setting.
        config: settings; by default those of this process.
        tasks: instead of the registered ones.
        middleware: runs around every attempt, inside that of `s3queue.use`; see `s3queue.middleware`.
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
        middleware: Iterable[Middleware] = (),
        **settings: Unpack[HostSettings],
    ) -> None:
        given: dict[str, Any] = {"workers": workers, "concurrency": concurrency, **settings}
        self.config = (config or current_config()).replace(**{name: it for name, it in given.items() if it is not None})
        self.store = current_store() if store is None else as_store(store)
        if isinstance(queues, str):
            raise ConfigError(f"queues is the string {queues!r}", f"for one queue write queues=[{queues!r}]")
        self.queues = tuple(dict.fromkeys(tasks.queues() if queues is None else queues))
        self.workers = self.config.workers or cpus()
        self.concurrency = self.config.concurrency
        if middleware:
            tasks = tasks.within(middleware)
        self.tasks = tasks
        if self.config.prices:
            parse_prices(self.config.prices)
        if self.config.metrics is not None:
            check_metrics()
        self._wishes = Wishes()
        self._subscribers = Subscribers()
        if not self.queues:
            raise ConfigError("there is no queue to serve", "import the module that defines the tasks, or name queues")
        for queue in self.queues:
            tasks.offer(check_name(queue))
            _check_results(tasks, queue, self.config)

    def run(self, *, until_empty: bool = False, inline: bool = False) -> Summary:
        """Serve until drained: by SIGTERM or SIGINT, by `stop`, or, with ``until_empty``, when the served queues hold
        no message any more. Signals are handled only in the main thread.

        A store that does not answer is waited for, also at the start.

        Args:
            inline: run in this process, in threads, one message at a time: for debuggers. See `s3queue.runtime.inline`.

        Returns:
            What the run did and what it cost.

        Raises:
            StoreUnsupported: the store cannot keep the promises of the queue. The first agent of a namespace checks this,
                with about 440 requests, before it writes anything else.
            StoreDenied: the store refuses these credentials or this bucket.
            ConfigError: a child process reports that it cannot start.
            QueueError: a child process keeps dying before it is up.
        """
        self._wishes.begin()
        if inline:
            return self._run_inline(until_empty)
        end_if_imported()
        door = None if self.config.metrics is None else open_door(self.config.metrics)
        with self._wishes.of_signals(), door or nullcontext(), helpers_end():
            what = Household(
                self.store,
                self.config,
                self.queues,
                self.workers,
                self.concurrency,
                self.tasks,
                self._wishes,
                self._subscribers,
                door,
            )
            return Host(what, until_empty).serve()

    def _run_inline(self, until_empty: bool) -> Summary:
        from s3queue.runtime import inline

        with self._wishes.of_signals():
            what = Household(self.store, self.config, self.queues, 1, 1, self.tasks, self._wishes, self._subscribers)
            return inline.serve(what, until_empty)

    def on(self, *kinds: str) -> Callable[[_Call], _Call]:
        """Call a function, in this process, with each event of these kinds from any process of this host::

            @supervisor.on("dead", "worker_died")
            def page_somebody(event: s3queue.events.Event) -> None: ...

        Call this before `run`. The function runs in a thread of its own, and gets one event after the other. Nothing waits
        for it, however slow it is. So an event is delivered at most once: it is dropped if 10,000 wait, if its process
        dies, or 2 s after the run is over. Dropped events are logged, and so are exceptions that the function raises.
        With the start method ``fork`` a new child inherits the locks that a call holds for longer than 0.1 s: use
        ``forkserver`` if subscribers hold locks that tasks need.

        Raises:
            ConfigError: there is no such kind.
        """
        return self._subscribers.on(*kinds)

    def stop(self) -> None:
        """Drain, as at SIGTERM. A second call, at least a second later, ends the run at once. For other threads and signal
        handlers."""
        self._wishes.stop()

    def __del__(self) -> None:
        wishes = getattr(self, "_wishes", None)
        if wishes is not None:
            wishes.close()


def _check_results(tasks: Registry, queue: str, config: Config) -> None:
    """Raises `ConfigError` if a result would be kept longer than the record that its message was cancelled, or died
    later."""
    for task in tasks.tasks(queue):
        kept_s = task.policy.result_ttl
        if kept_s is not None and kept_s > config.dead_retention:
            raise ConfigError(
                f"{task.label} keeps results for {kept_s:.0f} s, and dead_retention is {config.dead_retention:.0f} s",
                "result_ttl is at most that: a tombstone says that a result does not count",
            )
