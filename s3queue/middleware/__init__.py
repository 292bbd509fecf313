"""Middleware: code around every attempt, and around every enqueue, such as error reports, connections and context.

A middleware is a plain object with some of these methods, or with ``around`` alone, and perhaps with those of
`s3queue.middleware.enqueuing` for the producer::

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

`Middleware` is the type of such objects, for annotations.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from s3queue.middleware.enqueuing import Enqueue
from s3queue.middleware.ready import CarryContext, DjangoConnections, Report

if TYPE_CHECKING:
    from s3queue.middleware.kinds import Middleware

__all__ = ["CarryContext", "DjangoConnections", "Enqueue", "Middleware", "Report"]


def __getattr__(name: str) -> Any:
    if name != "Middleware":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from s3queue.middleware.kinds import Middleware

    return Middleware
