"""The id of a message: a text, and what can be done about the message."""

from __future__ import annotations

from collections.abc import Generator
from typing import TYPE_CHECKING, Any, Generic, TypeVar, cast

from s3queue.errors import ConfigError

if TYPE_CHECKING:
    from s3queue.messages import MessageHandle, Status
    from s3queue.queue import Queue
    from s3queue.tasks import Task

__all__ = ["MessageId"]

R_co = TypeVar("R_co", covariant=True)


class MessageId(str, Generic[R_co]):
    """The id of a message, as `enqueue` returns it. It equals the text that it is, and travels as that.

    Attributes:
        is_new: whether this call has enqueued the message. False: an earlier call with the same ``dedup_id``, or the same
            arguments of a ``unique`` task, had.
    """

    is_new: bool = True
    _queue: Queue | None = None
    _task: Task[..., Any] | None = None

    @classmethod
    def of(cls, id: str, queue: Queue, task: Task[..., Any] | None = None, *, is_new: bool = True) -> MessageId[Any]:
        """An id that knows where its message is, and of what task."""
        made = cls(id)
        made._queue, made._task = queue, task
        if not is_new:
            made.is_new = False
        return made

    def __reduce__(self) -> tuple[type[str], tuple[str]]:
        return MessageId, (str.__str__(self),)  # elsewhere its store is that of the process

    @property
    def handle(self) -> MessageHandle:
        """The message. Asks for nothing."""
        from s3queue.messages import MessageHandle

        queue = self._queue
        if queue is None:
            return MessageHandle(self)
        return MessageHandle(self, queue.store, namespace=queue.namespace, config=queue.config, task=self._task)

    def status(self) -> Status:
        """See `MessageHandle.status`."""
        return self.handle.status()

    def cancel(self, *, reason: str = "", wait: bool = True, timeout: float = 60.0) -> str:
        """See `MessageHandle.cancel`."""
        return self.handle.cancel(reason=reason, wait=wait, timeout=timeout)

    def result(self, timeout: float = 60.0) -> R_co:
        """What the task returned; waits for that. See `MessageHandle.result`."""
        return cast("R_co", self._with_result().result(timeout))

    async def aresult(self, timeout: float = 60.0) -> R_co:
        """As `result`, for callers on an event loop. ``await id`` is the same with the default."""
        return cast("R_co", await self._with_result().aresult(timeout))

    def __await__(self) -> Generator[Any, Any, R_co]:
        return self.aresult().__await__()

    def _with_result(self) -> MessageHandle:
        task = self._task
        if task is not None and task.policy.result_ttl is None:
            raise ConfigError(f"{task.label} keeps no results", "declare it with result_ttl=, seconds to keep them for")
        return self.handle
