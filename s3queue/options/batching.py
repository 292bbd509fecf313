"""Tasks that take several messages at once: ``@task(batch=100, wait=0.5)``.

::

    @s3queue.task("search", batch=100, wait=0.5)
    def index(documents: list[Document]) -> list[Exception | None]: ...

    index.enqueue(document)                 # one by one, or many
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import timedelta
from types import UnionType
from typing import TYPE_CHECKING, Any, TypedDict, Union, get_args, get_origin

from msgspec import UnsetType

from s3queue.errors import ConfigError
from s3queue.options.acknowledging import Ack
from s3queue.options.policies import Backoff, Delay, OnFailure, Policy, Which
from s3queue.payloads.codec import ResultCodec, ValueCodec

if TYPE_CHECKING:
    from s3queue.middleware import Middleware
    from s3queue.options.limits import Breaker, Limit
    from s3queue.options.once import Unique
    from s3queue.options.timing import CatchUp

__all__ = ["ItemCodec", "ItemResultCodec", "Options", "TaskOptions", "check_batch"]

#: Most messages of one call: as many as a deal to a worker holds.
MOST = 1000
#: Most seconds that a batch may wait to be full: its first message waits as long.
_LONGEST_S = 60.0


def check_batch(batch: object, wait: object, policy: Policy, what: str) -> None:
    """Raises `ConfigError` for values that make no sense."""
    if type(batch) is not int or not 1 <= batch <= MOST:
        raise ConfigError(f"{what}: batch is {batch!r}", f"from 1 to {MOST:,} messages")
    if isinstance(wait, bool) or not isinstance(wait, int | float) or not 0 <= wait <= _LONGEST_S:
        raise ConfigError(f"{what}: wait is {wait!r}", f"from 0 to {_LONGEST_S:g} seconds")
    if policy.ack == "manual":
        raise ConfigError(
            f"{what} takes several messages, and cannot acknowledge them by hand", "return an outcome for each"
        )


class ItemCodec(ValueCodec):
    """One of the messages that the function takes a list of."""

    takes = "a task with batch= takes one list and, if it likes, ctx"

    def _kind_of(self, kind: Any) -> Any:
        if kind in (Any, list):
            return Any
        if get_origin(kind) not in (list, Sequence) or len(get_args(kind)) != 1:
            raise ConfigError(f"{self._what} takes {kind}", "annotate a list of what one message holds, as list[int]")
        (item,) = get_args(kind)
        return item


class ItemResultCodec(ResultCodec):
    """What the function returns for one of its messages."""

    def _kind_of(self, kind: Any) -> Any:
        if kind in (Any, list, tuple, None, type(None)):
            return Any if kind in (Any, list, tuple) else kind
        if get_origin(kind) in (Union, UnionType):  # None for all of them, or a list
            kinds = [self._kind_of(one) for one in get_args(kind)]
            return Union[tuple(kinds)]  # noqa: UP007 - of kinds that are known only here
        items = get_args(kind)
        if get_origin(kind) is tuple and len(items) == 2 and items[1] is Ellipsis:
            items = items[:1]
        if get_origin(kind) not in (list, tuple, Sequence) or len(items) != 1:
            raise ConfigError(f"{self._what} is {kind}", "annotate a list of what one message results in, as list[int]")
        return _without_failures(items[0])


def _without_failures(kind: Any) -> Any:
    """An item's type without exceptions: one that is returned is the failure of its message, and no result."""
    if get_origin(kind) not in (Union, UnionType):
        return None if isinstance(kind, type) and issubclass(kind, BaseException) else kind
    kinds = tuple(one for one in get_args(kind) if not (isinstance(one, type) and issubclass(one, BaseException)))
    return Union[kinds] if kinds else None  # noqa: UP007


class Options(TypedDict, total=False):
    """The options of `s3queue.handler`, for type checkers."""

    max_attempts: int | None
    backoff: Backoff | Delay | None
    time_limit: float | UnsetType | None
    soft_time_limit: float | None
    retry_on: Which | None
    give_up_on: Which | None
    result_ttl: float | None
    ack: Ack
    middleware: Iterable[Middleware]
    max_running: int | None
    rate: float | str | None
    per_key: Limit | None
    fair: bool | None
    ageing: float | timedelta | None
    breaker: Breaker | None
    expires_in: float | timedelta | None
    unique: Unique
    on_failure: OnFailure


class TaskOptions(Options, total=False):
    """The options of `s3queue.task`, for type checkers."""

    cron: str | None
    every: float | timedelta | None
    tz: str | None
    catch_up: CatchUp | None
