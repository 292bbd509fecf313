"""Middleware in the producer: code around every enqueue.

A middleware may have some of these methods, beside those for attempts (`s3queue.middleware`) or instead of them::

    class Tenant:
        def before_enqueue(self, call): call.headers["tenant"] = current_tenant()
        def after_enqueue(self, call, ids): ...         # they are stored
        def enqueue_failed(self, call, error): ...      # not all of them are, or nobody knows

``before_enqueue`` is called in the order of the middleware, the others in reverse. They may be async where the caller
awaits `aenqueue` or `aenqueue_many`, and then run on its event loop. What ``before_enqueue`` raises, the caller gets, and
nothing was sent. What the others raise is logged, since it changes nothing.
"""

from __future__ import annotations

import contextvars
import inspect
import logging
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from s3queue.errors import ConfigError

if TYPE_CHECKING:
    from asyncio import AbstractEventLoop

    from s3queue.observe.tracing import SendSpan

__all__ = ["HOOKS", "Enqueue", "Enqueuing", "caller", "those_that_enqueue"]

HOOKS = ("before_enqueue", "after_enqueue", "enqueue_failed")
#: The event loop that awaits the enqueue of this thread.
caller: contextvars.ContextVar[AbstractEventLoop | None] = contextvars.ContextVar("s3queue_caller", default=None)


def those_that_enqueue(middleware: Iterable[object]) -> tuple[object, ...]:
    """The middleware with a method for enqueues."""
    return tuple(one for one in middleware if any(callable(getattr(one, name, None)) for name in HOOKS))


class Enqueue:
    """One call that enqueues messages.

    Attributes:
        queue, task: names; ``task`` is empty for a handler.
        count: number of its messages.
        headers: of each message: strings. ``before_enqueue`` may change them.
    """

    __slots__ = ("count", "headers", "queue", "task")

    def __init__(self, queue: str, task: str, count: int, headers: dict[str, str]) -> None:
        self.queue, self.task, self.count, self.headers = queue, task, count, headers

    def __repr__(self) -> str:
        return f"<enqueue of {self.count} to {self.queue!r}>"


class Enqueuing:
    """The middleware around one call that enqueues. Takes the place of its span, and ends that."""

    def __init__(self, call: Enqueue, middleware: tuple[object, ...]) -> None:
        self._call, self._middleware = call, middleware
        self._entered: list[object] = []
        self.span: SendSpan | None = None

    def begin(self) -> dict[str, str]:
        """Call ``before_enqueue`` of each middleware, and return the headers. If one raises, those that were called
        before are told."""
        for one in self._middleware:
            try:
                _do(one, "before_enqueue", self._call)
            except BaseException as raised:
                raised.add_note(f"raised by the middleware {type(one).__name__}.before_enqueue")
                self.failed(raised)
                raise
            self._entered.append(one)
        return self._call.headers

    def sent(self, ids: list[str]) -> None:
        """The messages are stored."""
        if self.span is not None:
            self.span.sent(ids)
        self._tell("after_enqueue", ids)

    def failed(self, fault: BaseException) -> None:
        """Some of the messages are not stored, or may not be."""
        if self.span is not None:
            self.span.failed(fault)
        self._tell("enqueue_failed", fault)

    def _tell(self, name: str, what: Any) -> None:
        for one in reversed(self._entered):
            try:
                _do(one, name, self._call, what)
            except Exception:
                logging.getLogger("s3queue.producer").exception("%s.%s failed", type(one).__name__, name)


def _do(one: object, name: str, *given: Any) -> None:
    hook = getattr(one, name, None)
    if hook is None:
        return
    done = hook(*given)
    if inspect.iscoroutine(done):
        loop = caller.get()
        if loop is None:
            done.close()
            raise ConfigError(f"{type(one).__name__}.{name} is async, and this enqueue is not awaited", "use aenqueue")
        import asyncio

        asyncio.run_coroutine_threadsafe(done, loop).result()
