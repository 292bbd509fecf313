"""Middleware around one attempt: checks the methods, and calls them around the task."""

from __future__ import annotations

import contextlib
import functools
import inspect
from collections.abc import AsyncIterator, Callable, Iterable
from typing import Any

from s3queue.context import Context
from s3queue.errors import ConfigError
from s3queue.middleware.enqueuing import those_that_enqueue

_HOOKS = ("before", "after", "failed")
_Call = Callable[..., Any]


def check(middleware: Iterable[object]) -> tuple[object, ...]:
    """The middleware as a tuple. Raises `ConfigError`: one of them is no middleware."""
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
    """The middleware with a method for attempts."""
    return tuple(one for one in middleware if any(callable(getattr(one, name, None)) for name in (*_HOOKS, "around")))


def check_fit(middleware: Iterable[object], is_async: bool, what: str) -> None:
    """Raise `ConfigError` if a method is async, and the task is not."""
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
    """The method; exceptions that it raises carry a note with its name."""
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
