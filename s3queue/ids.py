"""The id of a message: a string with methods that act on the message."""

from __future__ import annotations

from collections.abc import Coroutine, Generator
from typing import TYPE_CHECKING, Any, Generic, TypeVar, overload

from s3queue.errors import ConfigError
from s3queue.payloads.types import payload_type

if TYPE_CHECKING:
    from s3queue.messages import MessageHandle
    from s3queue.operate.details import MessageDetails
    from s3queue.operate.status import Status
    from s3queue.queue import Queue
    from s3queue.tasks import Task

__all__ = ["MessageId"]

R_co = TypeVar("R_co", covariant=True)
T = TypeVar("T")


class MessageId(str, Generic[R_co]):
    """The id of a message, as `enqueue` returns it. It is a string, and is pickled and sent as one.

    Attributes:
        is_new: whether this call enqueued the message. False: it is that of an earlier call with the same ``dedup_id``, or
            with the same arguments of a ``unique`` task.
    """

    __slots__ = ("_home",)

    #: Queue, task, and whether it is new; missing if the id was made from a string.
    _home: tuple[Queue, Task[..., Any] | None, bool]

    @classmethod
    def of(cls, id: str, queue: Queue, task: Task[..., Any] | None = None, *, is_new: bool = True) -> MessageId[Any]:
        """An id that knows the queue and the task of its message."""
        made: MessageId[Any] = str.__new__(cls, id)
        made._home = queue, task, is_new
        return made

    @classmethod
    def all_of(cls, ids: list[str], queue: Queue, task: Task[..., Any] | None) -> list[MessageId[Any]]:
        """As `of`, for several new messages."""
        home, new, made = (queue, task, True), str.__new__, []
        for id in ids:
            one: MessageId[Any] = new(cls, id)
            one._home = home
            made.append(one)
        return made

    @property
    def is_new(self) -> bool:
        """Whether this call enqueued the message, or found that of an earlier call."""
        return self._at()[2]

    def _at(self) -> tuple[Queue | None, Task[..., Any] | None, bool]:
        return getattr(self, "_home", (None, None, True))

    def __reduce__(self) -> tuple[type[str], tuple[str]]:
        return MessageId, (str.__str__(self),)  # in another process, its store is the one of that process

    @property
    def handle(self) -> MessageHandle:
        """The message, to see and to steer it. Makes no request.

        Raises:
            ConfigError: the string is no id of a message, or no store was named.
        """
        from s3queue.messages import MessageHandle

        queue, task, _ = self._at()
        if queue is None:
            return MessageHandle(self)
        return MessageHandle(self, queue.store, namespace=queue.namespace, config=queue.config, task=task)

    def status(self) -> Status:
        """See `MessageHandle.status`."""
        return self.handle.status()

    def cancel(
        self, *, reason: str = "", force_after: float | None = None, wait: bool = True, timeout: float = 60.0
    ) -> str:
        """See `MessageHandle.cancel`."""
        return self.handle.cancel(reason=reason, force_after=force_after, wait=wait, timeout=timeout)

    def run_now(self, *, wait: bool = True, timeout: float = 60.0) -> str:
        """See `MessageHandle.run_now`."""
        return self.handle.run_now(wait=wait, timeout=timeout)

    def details(self) -> MessageDetails:
        """See `MessageHandle.details`."""
        return self.handle.details()

    @overload
    def result(self: MessageId[Coroutine[Any, Any, T]], timeout: float = ...) -> T: ...
    @overload
    def result(self: MessageId[T], timeout: float = ...) -> T: ...
    def result(self, timeout: float = 60.0) -> Any:
        """Wait for the message to end, and return what its task returned. See `MessageHandle.result`.

        Args:
            timeout: seconds to wait.

        Raises:
            ConfigError: the task keeps no results. The rest as `MessageHandle.result`.
        """
        return self._with_result().result(timeout)

    @overload
    def aresult(self: MessageId[Coroutine[Any, Any, T]], timeout: float = ...) -> Coroutine[Any, Any, T]: ...
    @overload
    def aresult(self: MessageId[T], timeout: float = ...) -> Coroutine[Any, Any, T]: ...
    def aresult(self, timeout: float = 60.0) -> Coroutine[Any, Any, Any]:
        """As `result`, for callers on an event loop. ``await id`` is the same with the default time-out."""
        return self._with_result().aresult(timeout)

    @overload
    def __await__(self: MessageId[Coroutine[Any, Any, T]]) -> Generator[Any, Any, T]: ...
    @overload
    def __await__(self: MessageId[T]) -> Generator[Any, Any, T]: ...
    def __await__(self) -> Generator[Any, Any, Any]:
        return self.aresult().__await__()

    def _with_result(self) -> MessageHandle:
        task = self._at()[1]
        if task is not None and task.policy.result_ttl is None:
            raise ConfigError(f"{task.label} keeps no results", "declare it with result_ttl=, seconds to keep them for")
        return self.handle


payload_type(MessageId, encode=str.__str__, decode=MessageId)
