"""Middleware that comes with this library."""

from __future__ import annotations

import contextvars
import logging
from collections.abc import Callable, Iterator

from s3queue.context import Context
from s3queue.errors import ConfigError, Reject, Retry, Snooze
from s3queue.middleware.enqueuing import Enqueue


class Report:
    """Passes the exception of every failed attempt to an error reporter, except `Retry`, `Snooze` and `Reject`.

    Args:
        capture: called with the exception, for example ``sentry_sdk.capture_exception``. Exceptions that it raises are
            logged, and change nothing.
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
    """Closes Django's database connections that are broken or too old, before and after each attempt, as Django does
    around each request. For an async task it does so in the thread in which Django's async interface uses them. Django
    is imported with the first attempt.
    """

    def before(self, ctx: Context) -> object:
        return self._close()

    def after(self, ctx: Context, result: object) -> object:
        return self._close()

    def failed(self, ctx: Context, raised: BaseException) -> object:
        return self._close()

    @staticmethod
    def _close() -> object:
        """Close the connections. For an async task this returns an awaitable."""
        import asyncio
        import importlib

        close: Callable[[], object] = importlib.import_module("django.db").close_old_connections
        try:
            asyncio.get_running_loop()
        except RuntimeError:
            return close()
        return importlib.import_module("asgiref.sync").sync_to_async(close)()


class CarryContext:
    """Gives attempts the values that these context variables had at the enqueue of their message: a tenant, a request
    id.

    The values travel as headers ``context-NAME``. A variable without a value at the enqueue has none, or its default,
    in the attempt.

    Args:
        variables: each with a different name; their values are strings.

    Raises:
        ConfigError: two variables have the same name. At an enqueue: a value is no string.
    """

    def __init__(self, *variables: contextvars.ContextVar[str]) -> None:
        self._variables = {f"context-{one.name}": one for one in variables}
        if len(self._variables) < len(variables):
            raise ConfigError("two of these context variables have the same name", "rename one of them")

    def before_enqueue(self, call: Enqueue) -> None:
        for header, variable in self._variables.items():
            value: object = variable.get(None)
            if value is None:
                continue
            if not isinstance(value, str):
                raise ConfigError(f"context variable {variable.name!r} holds {value!r}", "only strings are carried")
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
