"""Which tasks this process knows."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from s3queue.core.records import Offer
from s3queue.errors import ConfigError

if TYPE_CHECKING:
    from s3queue.tasks import Task

__all__ = ["Registry", "registry"]


class Registry:
    """The tasks of this process, by queue and name."""

    def __init__(self) -> None:
        self._tasks: dict[tuple[str, str], Task[..., Any]] = {}

    def add(self, task: Task[..., Any]) -> None:
        """Make the task known; one that was imported again replaces itself.

        Raises:
            ConfigError: another function has this queue and name.
        """
        known = self._tasks.get((task.queue, task.name))
        if known is not None and known.origin != task.origin:
            file, function = known.origin
            raise ConfigError(
                f"{task.label} of queue {task.queue!r} is already {function} in {file}",
                "give one of them a name=" if task.name else "a queue has one handler; use tasks, or another queue",
            )
        self._tasks[task.queue, task.name] = task

    def find(self, queue: str, name: str) -> Task[..., Any] | None:
        return self._tasks.get((queue, name))

    def queues(self) -> tuple[str, ...]:
        """Every queue that has a task, sorted."""
        return tuple(sorted({queue for queue, _ in self._tasks}))

    def tasks(self, queue: str | None = None) -> tuple[Task[..., Any], ...]:
        """The tasks of one queue, or all: what a child process needs, since each pickles as a reference."""
        return tuple(task for (on, _), task in self._tasks.items() if queue in (None, on))

    def offer(self, queue: str) -> Offer:
        """What a host can say of this queue before it has run anything.

        Raises:
            ConfigError: no task serves it, or one that does has annotations that cannot be resolved.
        """
        tasks = self.tasks(queue)
        if not tasks:
            known = ", ".join(self.queues()) or "none at all; import the module that defines the tasks"
            raise ConfigError(f"no task serves the queue {queue!r}", f"queues with tasks: {known}")
        for task in tasks:
            task.check()
        digests = {task.name: task.digest for task in tasks}
        return Offer(max_attempts=max(task.max_attempts for task in tasks), tasks=digests)


#: Every task that was declared in this process.
registry = Registry()
