"""One attempt of a Django task in a worker: its context, its signals, and its result."""

from __future__ import annotations

import traceback
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from inspect import iscoroutinefunction
from typing import Any

from django.utils.module_loading import import_string
from msgspec import Struct

from s3queue.context import Context
from s3queue.contrib.django.framework import (
    Task,
    TaskContext,
    TaskError,
    TaskResult,
    TaskResultStatus,
    normalize_json,
    task_backends,
    task_finished,
    task_started,
)
from s3queue.core.keys import parse_message_id, parse_source
from s3queue.errors import Cancelled, Fenced, Reject, Snooze
from s3queue.registry import registry

__all__ = ["Call", "Ended", "MessageContext", "result_of", "runner", "worker_ids"]

#: Key of ``ctx.state``: when the first attempt began, and which workers ran the earlier ones.
STATE = "django"
#: Workers that are kept, at most.
_MOST_WORKERS = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class MessageContext(TaskContext):
    """The context of a task with ``takes_context``.

    Attributes:
        message: the `s3queue.Context`: fencing token, deadline, progress, state, cancellation.
    """

    message: Context


class Call(Struct, kw_only=True, omit_defaults=True):
    """The payload of a message.

    Attributes:
        backend: alias of the backend that enqueued it.
    """

    args: list[Any]
    kwargs: dict[str, Any]
    backend: str
    enqueued_at: datetime | None = None
    priority: int = 0
    run_after: datetime | None = None


class Ended(Struct, kw_only=True):
    """The kept result of a call that ended well. Its message is gone by then."""

    path: str
    value: Any
    call: Call
    started_at: datetime
    last_attempted_at: datetime
    finished_at: datetime
    worker_ids: list[str]


def runner(task: Task) -> Callable[..., Any]:
    """The function that a worker calls for messages of this task."""
    path = task.module_path

    def run(ctx: Context, call: Call) -> Ended:
        attempt = _Attempt(path, call, ctx)
        task_started.send(attempt.sender, task_result=attempt.result)
        try:
            ended = attempt.ended(attempt.result.task.call(*attempt.positional(), **attempt.result.kwargs))
        except Exception as raised:
            if attempt.failed(raised):
                task_finished.send(attempt.sender, task_result=attempt.result)
            raise
        task_finished.send(attempt.sender, task_result=attempt.result)
        return ended

    async def arun(ctx: Context, call: Call) -> Ended:
        attempt = _Attempt(path, call, ctx)
        await task_started.asend(attempt.sender, task_result=attempt.result)
        try:
            ended = attempt.ended(await attempt.result.task.acall(*attempt.positional(), **attempt.result.kwargs))
        except Exception as raised:
            if attempt.failed(raised):
                await task_finished.asend(attempt.sender, task_result=attempt.result)
            raise
        await task_finished.asend(attempt.sender, task_result=attempt.result)
        return ended

    function: Callable[..., Any] = arun if iscoroutinefunction(task.func) else run
    # Where another process finds it again: importing that module declares it.
    function.__module__, function.__qualname__ = "s3queue.contrib.django.serving", path
    return function


class _Attempt:
    """One attempt of a Django task.

    Attributes:
        result: the `TaskResult` that the task and receivers of signals see.
        sender: of signals.
    """

    def __init__(self, path: str, call: Call, ctx: Context) -> None:
        self._path, self._call, self._ctx = path, call, ctx
        now = datetime.now(UTC)
        began, before = ctx.state.get(STATE) or (None, [])
        self._started_at = datetime.fromisoformat(began) if began else now
        self._last_at = now
        self._workers = worker_ids([*before, ctx.session], ctx.attempt)
        self.result = result_of(
            path,
            call,
            ctx.message_id,
            TaskResultStatus.RUNNING,
            started_at=self._started_at,
            last_attempted_at=now,
            worker_ids=self._workers,
        )
        self.sender = type(task_backends[call.backend])

    def positional(self) -> list[Any]:
        args: list[Any] = self.result.args
        if not self.result.task.takes_context:
            return args
        return [MessageContext(task_result=self.result, message=self._ctx), *args]

    def ended(self, value: Any) -> Ended:
        """The task has returned this value. Returns the result to keep.

        Raises:
            TypeError, ValueError: the value has no form in JSON.
        """
        ended = Ended(
            path=self._path,
            value=normalize_json(value),
            call=self._call,
            started_at=self._started_at,
            last_attempted_at=self._last_at,
            finished_at=datetime.now(UTC),
            worker_ids=self._workers,
        )
        _set(self.result, status=TaskResultStatus.SUCCESSFUL, finished_at=ended.finished_at, _return_value=ended.value)
        return ended

    def failed(self, raised: Exception) -> bool:
        """The task has raised this exception. Returns whether that was the last attempt."""
        if isinstance(raised, Cancelled | Fenced):
            return False
        ctx = self._ctx
        known = registry.find(ctx.queue, ctx.task)
        is_over = isinstance(raised, Reject) or (
            not isinstance(raised, Snooze)
            and known is not None
            and (ctx.attempt >= known.max_attempts or known.policy.gives_up(raised))
        )
        if not is_over:
            workers = self._workers[: ctx.attempt - 1] if isinstance(raised, Snooze) else self._workers
            ctx.state[STATE] = [self._started_at.isoformat(), workers[-_MOST_WORKERS:]]
            return False
        kind = type(raised)
        text = "".join(traceback.format_exception(raised))
        error = TaskError(exception_class_path=f"{kind.__module__}.{kind.__qualname__}", traceback=text)
        self.result.errors.append(error)
        _set(self.result, status=TaskResultStatus.FAILED, finished_at=datetime.now(UTC))
        return True


def result_of(path: str, call: Call, message: str, status: TaskResultStatus, **known: Any) -> TaskResult:
    """A `TaskResult` of a message. Arguments that are left out are not known.

    Raises:
        ImportError: there is no such task.
        InvalidTask, InvalidTaskBackend: these settings do not have it.
    """
    queue = parse_source(parse_message_id(message).path).queue
    task = import_string(path).using(priority=call.priority, queue_name=queue, backend=call.backend)
    if call.run_after is not None:
        task = task.using(run_after=call.run_after)
    value = known.pop("value", None)
    unknown: dict[str, Any] = {"started_at": None, "finished_at": None, "last_attempted_at": None}
    result = TaskResult(
        task=task,
        id=message,
        status=status,
        enqueued_at=call.enqueued_at,
        args=call.args,
        kwargs=call.kwargs,
        backend=call.backend,
        errors=known.pop("errors", []),
        worker_ids=known.pop("worker_ids", []),
        **(unknown | known),
    )
    _set(result, _return_value=value)
    return result


def worker_ids(known: list[str], attempts: int) -> list[str]:
    """One id for each attempt, the last ones known; empty strings for attempts whose worker is not known."""
    padded = [""] * max(0, attempts - len(known)) + known
    return padded[len(padded) - attempts :]


def _set(result: TaskResult, **values: Any) -> None:
    for name, value in values.items():
        object.__setattr__(result, name, value)  # it is frozen for its users
