"""Which tasks this process knows."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from inspect import CO_OPTIMIZED
from itertools import pairwise
from types import FrameType
from typing import TYPE_CHECKING, Any
from weakref import ref

from s3queue.core.records import Limits, Offer
from s3queue.errors import ConfigError
from s3queue.middleware.attempts import check, check_fit

if TYPE_CHECKING:
    from s3queue.tasks import Task

__all__ = ["Execution", "Registry", "registry"]


class Registry:
    """The tasks of this process, by queue and name."""

    def __init__(self) -> None:
        self._tasks: dict[tuple[str, str], Task[..., Any]] = {}
        #: What workers do around every attempt, the outermost first.
        self.middleware: tuple[object, ...] = ()

    def add(self, task: Task[..., Any]) -> None:
        """Make the task known; one whose module was executed again (imported under another name, reloaded) replaces
        itself.

        Raises:
            ConfigError: another function has this queue and name. One and the same queue and name would run only one of
                them, whichever was enqueued.
        """
        known = self._tasks.get((task.queue, task.name))
        if known is not None and not _is_same(known, task):
            file, function = known.origin
            raise ConfigError(
                f"{task.label} of queue {task.queue!r} is already {function} in {file}",
                "give one of them a name=" if task.name else "a queue has one handler; use tasks, or another queue",
            )
        self._tasks[task.queue, task.name] = task

    def within(self, middleware: Iterable[object]) -> Registry:
        """The same tasks, with more middleware inside of the present one."""
        other = Registry()
        other._tasks, other.middleware = self._tasks, self.middleware + check(middleware)
        return other

    def find(self, queue: str, name: str) -> Task[..., Any] | None:
        return self._tasks.get((queue, name))

    def queues(self) -> tuple[str, ...]:
        """Every queue that has a task, sorted."""
        return tuple(sorted({queue for queue, _ in self._tasks}))

    def tasks(self, queue: str | None = None) -> tuple[Task[..., Any], ...]:
        """The tasks of one queue, or all, for a child process; each pickles as a reference."""
        return tuple(task for (on, _), task in self._tasks.items() if queue in (None, on))

    def offer(self, queue: str) -> Offer:
        """The offer of a host for this queue, before it has run anything.

        Raises:
            ConfigError: no task serves it, or one that does has annotations that cannot be resolved.
        """
        tasks = self.tasks(queue)
        if not tasks:
            known = ", ".join(self.queues()) or "none at all; import the module that defines the tasks"
            raise ConfigError(f"no task serves the queue {queue!r}", f"queues with tasks: {known}")
        for task in tasks:
            task.check()
            check_fit(self.middleware, task.is_async, task.label)
        self.limits(queue)
        digests = {task.name: task.digest for task in tasks}
        batch = max(task.batch for task in tasks)
        drops = tuple(sorted(task.name for task in tasks if task.policy.on_failure == "drop"))
        return Offer(max(task.max_attempts for task in tasks), tasks=digests, batch=batch, drops=drops)

    def limits(self, queue: str) -> Limits | None:
        """The limits that the tasks of a queue declare; None: they declare none. Raises: ConfigError: two of them declare
        different limits.
        """
        said = [task for task in self.tasks(queue) if task.limits is not None]
        for one, other in pairwise(said):
            if one.limits == other.limits:
                continue
            raise ConfigError(
                f"{one.label} and {other.label} declare different limits of the queue {queue!r}",
                "limits are of a queue: declare them once, or alike, or give one task a queue of its own",
            )
        return said[0].limits if said else None


def _is_same(known: Task[..., Any], task: Task[..., Any]) -> bool:
    """Whether both are the same function, or come from the same place of a module that was executed twice. A qualified name
    alone does not tell: functions made by a decorator without `functools.wraps`, a loop or a lambda share one.
    """
    if known.function == task.function:
        return True
    return known.origin == task.origin and not known.execution.is_that_of(task.execution)


class Execution:
    """One execution of a module: the one that the caller is part of.

    A module that is executed again has a new code object, while the old one is gone or belongs to the old one.
    """

    def __init__(self) -> None:
        frame: FrameType | None = sys._getframe(1)
        # Not by the name <module>: a cell of a notebook has another.
        while frame is not None and (frame.f_code.co_flags & CO_OPTIMIZED or frame.f_locals is not frame.f_globals):
            frame = frame.f_back
        self._code = None if frame is None else ref(frame.f_code)

    def is_that_of(self, other: Execution) -> bool:
        if self._code is None or other._code is None:  # no module at all: a thread, an embedded interpreter
            return self._code is other._code
        code = self._code()
        return code is not None and code is other._code()


#: Every task that was declared in this process.
registry = Registry()
