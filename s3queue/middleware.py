"""What is done around every attempt: error reports, connections, what a message carries from its enqueue.

A middleware is a plain object with some of these methods, or with ``around`` alone, and perhaps with those of
`s3queue.enqueue.middleware` for the producer::

    class Timing:
        def before(self, ctx): ...              # an attempt begins
        def after(self, ctx, result): ...       # it ended well
        def failed(self, ctx, raised): ...      # it raised, `Retry`, `Snooze`, `Reject` and a cancellation included

    class Span:
        def around(self, ctx):                  # a generator that yields once
            with tracer.start_span(ctx.task):
                yield

The first one is outermost. Each runs in the thread, or on the event loop, and with the context variables of its attempt;
around an ``async`` task all of them may be async. What a middleware raises is the failure of the attempt, as if the task
had raised it. Where there is no middleware nothing of this is called.
"""

from __future__ import annotations

import contextlib
import contextvars
import functools
import inspect
import logging
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from typing import Any

from s3queue.context import Context
from s3queue.enqueue.middleware import Enqueue, those_that_enqueue
from s3queue.errors import ConfigError, Reject, Retry, Snooze

__all__ = ["CarryContext", "DjangoConnections", "Enqueue", "Report", "check", "those_of_attempts", "wrap"]

_HOOKS = ("before", "after", "failed")
_Call = Callable[..., Any]


def check(middleware: Iterable[object]) -> tuple[object, ...]:
    """The middleware. Raises `ConfigError` for what is none."""
    found = tuple(middleware)
    for one in found:
        hooks = [name for name in _HOOKS if callable(getattr(one, name, None))]
        around = callable(getattr(one, "around", None))
        enqueues = bool(those_that_enqueue([one]))
        if isinstance(one, type) or (around and hooks) or not (around or hooks or enqueues):
            raise ConfigError(
                f"{one!r} is no middleware",
                "an object with before, after or failed, or one with around and none of those; or with before_enqueue",
            )
        if around and not (inspect.isgeneratorfunction(one.around) or inspect.isasyncgenfunction(one.around)):  # type: ignore[attr-defined]
            raise ConfigError(f"around of {one!r} is not a generator", "write yield where the task is to run")
    return found


def those_of_attempts(middleware: Iterable[object]) -> tuple[object, ...]:
    """Those with a method for attempts."""
    return tuple(one for one in middleware if any(callable(getattr(one, name, None)) for name in (*_HOOKS, "around")))


def check_fit(middleware: Iterable[object], is_async: bool, what: str) -> None:
    """Raises `ConfigError` for what only an async task could wait for."""
    for one in middleware:
        for name in (*_HOOKS, "around"):
            hook = getattr(one, name, None)
            if not is_async and (inspect.iscoroutinefunction(hook) or inspect.isasyncgenfunction(hook)):
                raise ConfigError(
                    f"{type(one).__name__}.{name} is async, and {what} is not", "give it to async tasks, by middleware="
                )


def wrap(call: _Call, is_async: bool, middleware: tuple[object, ...]) -> _Call:
    """The call of a task, with all of these around it. Its last argument is a `Context`, always."""
    for one in reversed(those_of_attempts(middleware)):
        call = (_wrapped_async if is_async else _wrapped)(call, one)
    return call


def _wrapped(call: _Call, one: Any) -> _Call:
    if (around := getattr(one, "around", None)) is not None:
        enter = contextlib.contextmanager(around)

        def inside(args: Any, kwargs: Any, ctx: Context) -> Any:
            with enter(ctx):
                return call(args, kwargs, ctx)

        return inside
    before, after, failed = (_named(one, name) for name in _HOOKS)

    def between(args: Any, kwargs: Any, ctx: Context) -> Any:
        before(ctx)
        try:
            result = call(args, kwargs, ctx)
        except BaseException as raised:
            failed(ctx, raised)
            raise
        after(ctx, result)
        return result

    return between


def _wrapped_async(call: _Call, one: Any) -> _Call:
    if (around := getattr(one, "around", None)) is not None:
        enter = contextlib.asynccontextmanager(_as_async(around))

        async def inside(args: Any, kwargs: Any, ctx: Context) -> Any:
            async with enter(ctx):
                return await call(args, kwargs, ctx)

        return inside
    before, after, failed = (_named_async(one, name) for name in _HOOKS)

    async def between(args: Any, kwargs: Any, ctx: Context) -> Any:
        await before(ctx)
        try:
            result = await call(args, kwargs, ctx)
        except BaseException as raised:
            await failed(ctx, raised)
            raise
        await after(ctx, result)
        return result

    return between


def _as_async(around: _Call) -> Callable[[Context], AsyncIterator[None]]:
    if inspect.isasyncgenfunction(around):
        return around
    enter = contextlib.contextmanager(around)

    async def generator(ctx: Context) -> AsyncIterator[None]:
        with enter(ctx):
            yield

    return generator


def _named(one: object, name: str) -> _Call:
    """The hook; what it raises says where it comes from."""
    hook = getattr(one, name, None)
    if hook is None:
        return lambda *given: None

    @functools.wraps(hook)
    def told(*given: Any) -> Any:
        try:
            return hook(*given)
        except BaseException as raised:
            raised.add_note(f"raised by the middleware {type(one).__name__}.{name}")
            raise

    return told


def _named_async(one: object, name: str) -> _Call:
    hook = getattr(one, name, None)

    async def told(*given: Any) -> None:
        if hook is None:
            return
        try:
            done = hook(*given)
            if inspect.isawaitable(done):
                await done
        except BaseException as raised:
            raised.add_note(f"raised by the middleware {type(one).__name__}.{name}")
            raise

    return told


# ---- made already ----------------------------------------------------------------------------------------------------


class Report:
    """Tells an error reporter of every attempt that raised, save `Retry`, `Snooze` and `Reject`.

    Args:
        capture: called with the exception, for example ``sentry_sdk.capture_exception``. What it raises is logged, and
            changes nothing.
    """

    def __init__(self, capture: Callable[[BaseException], object]) -> None:
        self._capture = capture

    def failed(self, ctx: Context, raised: BaseException) -> None:
        if isinstance(raised, Retry | Snooze | Reject):
            return
        try:
            self._capture(raised)
        except Exception:
            logging.getLogger("s3queue.worker").exception("cannot report the failure of %s", ctx.message_id)


class DjangoConnections:
    """Closes Django's database connections that are broken or too old, before and after each attempt, as Django itself does
    around each request. Of an async task it does so in the thread in which Django's async interface uses them. Django is
    imported with the first one."""

    def before(self, ctx: Context) -> object:
        return self._close()

    def after(self, ctx: Context, result: object) -> object:
        return self._close()

    def failed(self, ctx: Context, raised: BaseException) -> object:
        return self._close()

    @staticmethod
    def _close() -> object:
        """For an async task something to wait for."""
        import asyncio
        import importlib

        close: Callable[[], object] = importlib.import_module("django.db").close_old_connections
        try:
            asyncio.get_running_loop()
        except RuntimeError:
            return close()
        return importlib.import_module("asgiref.sync").sync_to_async(close)()


class CarryContext:
    """Attempts see these context variables as they were where their message was enqueued: a tenant, a request id.

    They travel as headers ``context-NAME``. One that has no value there has none, or its default, in the attempt.

    Args:
        variables: each with a name of its own; their values are texts.

    Raises:
        ConfigError: two have one name. At an enqueue: a value is no text.
    """

    def __init__(self, *variables: contextvars.ContextVar[str]) -> None:
        self._variables = {f"context-{one.name}": one for one in variables}
        if len(self._variables) < len(variables):
            raise ConfigError("two of these context variables have the same name")

    def before_enqueue(self, call: Enqueue) -> None:
        for header, variable in self._variables.items():
            value: object = variable.get(None)
            if value is None:
                continue
            if not isinstance(value, str):
                raise ConfigError(f"context variable {variable.name!r} holds {value!r}", "only texts are carried")
            call.headers.setdefault(header, value)

    def around(self, ctx: Context) -> Iterator[None]:
        tokens = [
            (variable, variable.set(ctx.headers[header]))
            for header, variable in self._variables.items()
            if header in ctx.headers
        ]
        try:
            yield
        finally:
            for variable, token in tokens:
                variable.reset(token)
