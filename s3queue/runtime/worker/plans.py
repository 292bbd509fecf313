"""The properties of a task that every message needs, looked up once: how it is called, and the rules of its
attempts."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from s3queue.context import Context
from s3queue.core.records import Message
from s3queue.middleware.attempts import those_of_attempts, wrap
from s3queue.observe.measures import Tried
from s3queue.options.acknowledging import manual, manual_async
from s3queue.options.policies import own_limits
from s3queue.payloads.lazy import refuse_lazy
from s3queue.runtime.worker import outcomes
from s3queue.runtime.worker.loop import within

if TYPE_CHECKING:
    from s3queue.tasks import Task


class Plan:
    """Properties of a task that every message needs.

    Attributes:
        batch: messages of one call, at most; 0: it takes one.
        wait_s: seconds for which the first message of a batch waits for more.
    """

    __slots__ = (
        "batch",
        "call",
        "decode",
        "is_async",
        "max_attempts",
        "middleware",
        "result_s",
        "soft_s",
        "task",
        "terms",
        "time_limit",
        "tried",
        "wait_s",
        "wants_ctx",
    )

    def __init__(
        self,
        task: Task[..., Any],
        terms: outcomes.Terms,
        middleware: tuple[object, ...],
        tried: Tried | None = None,
    ) -> None:
        self.tried = tried
        self.task, self.terms = task, terms
        self.max_attempts, self.time_limit = terms.max_attempts, terms.time_limit
        self.soft_s = soft_s = task.policy.soft_time_limit
        self.result_s = task.policy.result_ttl
        self.batch, self.wait_s = task.batch, task.wait_s
        # Bound here, without the task: each further call costs a twentieth of an empty message.
        self.decode = task.check().decode
        self.call: Callable[..., Any] = task.call if task.is_async or task.wants_ctx else _calling(task)
        self.is_async = task.is_async
        self.wants_ctx = task.wants_ctx
        # The call is put together here, once, so that a task does not pay for features that it does not use.
        if task.resources:
            self.call = _handing(task)
        if task.policy.ack == "manual":
            self.call = (manual_async if task.is_async else manual)(self.call)
        if soft_s is not None and task.is_async:
            self.call = within(soft_s, self.call)
        self.middleware = middleware
        if middleware := those_of_attempts(middleware + task.middleware):
            self.call, self.wants_ctx = wrap(self.call, task.is_async, middleware), True

    def of(self, message: Message) -> tuple[Plan, dict[str, str]]:
        """The terms of a message with headers, and the headers that its task sees."""
        own = own_limits(message.headers)
        if own is None:
            return self, message.headers
        attempts, limit, headers = own
        terms = self.terms._replace(
            max_attempts=self.max_attempts if attempts is None else min(attempts, self.max_attempts),
            time_limit=self.time_limit if limit is None else limit,
        )
        return Plan(self.task, terms, self.middleware, self.tried), headers


def _calling(task: Task[..., Any]) -> Callable[..., Any]:
    """As `Task.call`, for a sync task without a context."""
    function, label = task.function, task.label

    def call(args: tuple[Any, ...], kwargs: dict[str, Any], ctx: Context | None) -> Any:
        result = function(*args, **kwargs)
        if result is not None:
            refuse_lazy(result, label)
        return result

    return call


def _handing(task: Task[..., Any]) -> Callable[..., Any]:
    """The call of a task with resources. If a resource cannot be made, the attempt fails."""

    def call(args: tuple[Any, ...], kwargs: dict[str, Any], ctx: Context | None) -> Any:
        return task.call(args, {**kwargs, **{name: one.get() for name, one in task.resources.items()}}, ctx)

    return call
