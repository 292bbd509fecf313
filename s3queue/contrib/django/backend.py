"""The backend: stores calls of Django's tasks as messages, and reads their results.

A message carries the arguments of its call, and the alias of the backend that enqueued it. Its task is named by the
import path of the function, so a host with an older release leaves an unknown task to other hosts.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from django.core import checks
from django.db import DEFAULT_DB_ALIAS, connections, transaction
from django.utils import timezone

from s3queue.contrib.django.framework import (
    BaseTaskBackend,
    TaskResult,
    TaskResultDoesNotExist,
    TaskResultStatus,
    task_enqueued,
)
from s3queue.contrib.django.looking import look
from s3queue.contrib.django.place import place_of
from s3queue.contrib.django.running import Call
from s3queue.enqueue.loading import load
from s3queue.enqueue.sending import Sending
from s3queue.errors import ConfigError
from s3queue.options.policies import LONGEST_RESULT_S, is_limit
from s3queue.payloads.codec import encode_value

if TYPE_CHECKING:
    from s3queue.contrib.django.framework import Task

__all__ = ["S3QueueBackend"]

#: Seconds for which return values are kept, unless ``OPTIONS`` say otherwise: a day.
RESULT_TTL_S = 86_400.0


class S3QueueBackend(BaseTaskBackend):
    """A backend of ``django.tasks``.

    ``OPTIONS``, all of them optional:

    - ``store``: a store or its URL; by default what ``S3QUEUE_STORE_URL`` or ``s3queue.toml`` name.
    - ``result_ttl``: seconds for which what tasks return is kept, at most 30 days; by default a day. One PUT more for each
      message. None: nothing is kept, and `get_result` knows only messages that have not ended, or have failed.
    - ``enqueue_on_commit``: store a message when the transaction of the caller commits, and not if it rolls back. True for
      the default database, or its alias. By default a message is stored at once.
    - ``modules``: import paths of modules with tasks, besides ``tasks`` of every app.
    - every setting of `s3queue.Config`, such as ``namespace``, ``max_attempts`` or ``workers``.

    Attributes:
        result_ttl: as above.
        modules: as above.
        settings: the options that are settings.
        place: where the messages are.
    """

    supports_defer = True
    supports_async_task = True
    supports_priority = True
    supports_get_result = True

    def __init__(self, alias: str, params: dict[str, Any]) -> None:
        super().__init__(alias, params)
        options = dict(self.options)
        store = options.pop("store", None)
        self.result_ttl: float | None = options.pop("result_ttl", RESULT_TTL_S)
        modules = options.pop("modules", ())
        self.modules: tuple[str, ...] = (modules,) if isinstance(modules, str) else tuple(modules)
        on_commit = options.pop("enqueue_on_commit", False)
        self._on_commit: str | None = DEFAULT_DB_ALIAS if on_commit is True else on_commit or None
        self.settings: dict[str, Any] = options
        self.supports_get_result = self.result_ttl is not None
        self.place = place_of(store, options)

    def check(self, **kwargs: Any) -> list[checks.CheckMessage]:
        """The problems of the options. Opens no store: these checks run with every command of ``manage.py``."""
        found: list[checks.CheckMessage] = []
        what = f"TASKS[{self.alias!r}]"
        try:
            _ = self.place.config
            ttl = self.result_ttl
            if ttl is not None and not (is_limit(ttl) and ttl <= LONGEST_RESULT_S):
                raise ConfigError(f"result_ttl is {ttl!r}", f"seconds above 0, at most {LONGEST_RESULT_S:.0f}, or None")
            if self._on_commit is not None and self._on_commit not in connections:
                raise ConfigError(f"enqueue_on_commit is {self._on_commit!r}", "True, or an alias in DATABASES")
            if not self.place.is_named:
                hint = "set S3QUEUE_STORE_URL, or the option store, for example sqlite:///jobs.db"
                found.append(checks.Warning(f"{what}: no store was named", hint=hint, id="s3queue.W001"))
        except ConfigError as wrong:
            found.append(checks.Error(f"{what}: {wrong.message}", hint=wrong.hint, id="s3queue.E001"))
        return found

    # ---- enqueue -----------------------------------------------------------------------------------------------

    def enqueue(self, task: Task, args: Any, kwargs: Any) -> TaskResult:
        """Store one call. One PUT, and the first time for a queue one GET. Outside of a transaction, or without
        ``enqueue_on_commit``, the message is stored when this returns.

        Raises:
            InvalidTask: the task does not fit this backend.
            TypeError, ValueError: an argument has no form in JSON.
            ConfigError: the message is too large.
            EnqueueUncertain, StoreUnavailable: as of `s3queue.Task.enqueue`.
        """
        result = self._result(task, args, kwargs)
        sending = self._sending(result)
        if self._on_commit is not None and transaction.get_connection(self._on_commit).in_atomic_block:
            object.__setattr__(result, "id", str(sending.reserve()))
            transaction.on_commit(functools.partial(self._send, sending, result), using=self._on_commit)
        else:
            self._send(sending, result)
        return result

    def enqueue_once(
        self,
        task: Task,
        args: Sequence[Any],
        kwargs: Mapping[str, Any],
        *,
        dedup_id: str,
        dedup_window: float | timedelta = timedelta(days=1),
    ) -> TaskResult:
        """As `enqueue`, at once, unless an earlier call within the window had the same name: then the result is that of
        its message. For an outbox; see ``docs/how-to/outbox.md``. Two PUTs.
        """
        result = self._result(task, args, kwargs)
        self._send(self._sending(result, dedup_id=dedup_id, dedup_window=dedup_window), result)
        return result

    def _result(self, task: Task, args: Sequence[Any], kwargs: Mapping[str, Any]) -> TaskResult:
        self.validate_task(task)
        return TaskResult(
            task=task,
            id="",
            status=TaskResultStatus.READY,
            enqueued_at=None,
            started_at=None,
            finished_at=None,
            last_attempted_at=None,
            args=list(args),
            kwargs=dict(kwargs),
            backend=self.alias,
            errors=[],
            worker_ids=[],
        )

    def _sending(self, result: TaskResult, **once: Any) -> Sending:
        task = result.task
        run_after = task.run_after
        if run_after is not None and timezone.is_naive(run_after):  # only without USE_TZ
            run_after = timezone.make_aware(run_after)
        call = Call(
            args=result.args,
            kwargs=result.kwargs,
            backend=self.alias,
            enqueued_at=datetime.now(UTC),
            priority=task.priority,
            run_after=run_after,
        )
        payload = encode_value({"call": call}, f"call of {task.module_path}")
        queue, priority = self.place.queue(task.queue_name), level(task.priority)
        return Sending(lambda: load(queue, task.module_path, [payload], at=run_after, priority=priority, **once))

    def _send(self, sending: Sending, result: TaskResult) -> None:
        object.__setattr__(result, "id", str(sending.run()[0]))
        object.__setattr__(result, "enqueued_at", datetime.now(UTC))
        if sending.is_new:
            task_enqueued.send(type(self), task_result=result)

    # ---- look --------------------------------------------------------------------------------------------------

    def get_result(self, result_id: str) -> TaskResult:
        """The state of a message; see `s3queue.contrib.django.looking`.

        Raises:
            TaskResultDoesNotExist: there is no such message; or it has ended and nothing is kept of it: ``result_ttl``
                is over, or it was cancelled, purged or has expired.
            ImportError: this release has no such task.
        """
        result = look(self.place, str(result_id))
        if result is None:
            raise TaskResultDoesNotExist(result_id)
        return result


def level(priority: int) -> int:
    """The priority of a message, where 0 goes first, for the priority of a Django task, where 100 goes first: ten
    levels for two hundred, in the same order.
    """
    return 5 - -(-priority // 20) if priority > 0 else 5 + -(priority // 25)
