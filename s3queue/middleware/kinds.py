"""What a middleware may be, for type checkers. Nothing imports this at run time before a program names `Middleware`.

An object with at least one of these methods. Each may also be ``async`` where `s3queue.middleware` says so.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

if TYPE_CHECKING:
    from s3queue.context import Context
    from s3queue.middleware.enqueuing import Enqueue

__all__ = ["Middleware"]


class Before(Protocol):
    def before(self, ctx: Context, /) -> object:
        """An attempt begins."""


class After(Protocol):
    def after(self, ctx: Context, result: Any, /) -> object:
        """It ended well."""


class Failed(Protocol):
    def failed(self, ctx: Context, raised: BaseException, /) -> object:
        """It raised."""


class Around(Protocol):
    def around(self, ctx: Context, /) -> Iterator[object] | AsyncIterator[object]:
        """A generator that yields once: there the attempt runs."""


class BeforeEnqueue(Protocol):
    def before_enqueue(self, call: Enqueue, /) -> object:
        """Messages are about to be encoded and sent."""


class AfterEnqueue(Protocol):
    def after_enqueue(self, call: Enqueue, ids: list[str], /) -> object:
        """They are stored."""


class EnqueueFailed(Protocol):
    def enqueue_failed(self, call: Enqueue, error: BaseException, /) -> object:
        """Not all of them are, or nobody knows."""


Middleware: TypeAlias = Before | After | Failed | Around | BeforeEnqueue | AfterEnqueue | EnqueueFailed
