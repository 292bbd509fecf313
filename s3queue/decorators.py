"""``@task`` and ``@handler``: how functions become tasks."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Concatenate, ParamSpec, Protocol, TypeVar, Unpack, cast, overload

from msgspec import UNSET, UnsetType

from s3queue.context import Backoff, Context
from s3queue.core.records import Limits
from s3queue.errors import ConfigError
from s3queue.middleware import check
from s3queue.options.acknowledging import Ack
from s3queue.options.batching import ItemCodec, Options, TaskOptions
from s3queue.options.limits import Breaker, Limit, declared, seconds_of
from s3queue.options.once import Unique, check_unique
from s3queue.options.policies import Delay, OnFailure, Policy, Which
from s3queue.options.policies import policy as policy_of
from s3queue.payloads.codec import CallCodec, Codec, ValueCodec
from s3queue.registry import registry

if TYPE_CHECKING:
    from s3queue.options.timing import CatchUp, Timing

from s3queue.tasks import BatchTask, Task, import_producer

__all__ = ["handler", "task", "use"]

P = ParamSpec("P")
R = TypeVar("R")
T = TypeVar("T")


class _Decorator(Protocol):
    """A function becomes a task. A first parameter of type `Context` is not part of what is enqueued."""

    @overload
    def __call__(self, function: Callable[Concatenate[Context, P], R], /) -> Task[P, R]: ...
    @overload
    def __call__(self, function: Callable[P, R], /) -> Task[P, R]: ...


class _BatchDecorator(Protocol):
    """A function of a list becomes a task of what is in it."""

    @overload
    def __call__(self, function: Callable[[Context, list[T]], R], /) -> BatchTask[T, R]: ...
    @overload
    def __call__(self, function: Callable[[list[T]], R], /) -> BatchTask[T, R]: ...


@overload
def task(queue: str, name: str | None = None, *, batch: None = None, **options: Unpack[TaskOptions]) -> _Decorator: ...
@overload
def task(
    queue: str, name: str | None = None, *, batch: int, wait: float = 0.1, **options: Unpack[TaskOptions]
) -> _BatchDecorator: ...
def task(
    queue: str,
    name: str | None = None,
    *,
    max_attempts: int | None = None,
    backoff: Backoff | Delay | None = None,
    time_limit: float | UnsetType | None = UNSET,
    soft_time_limit: float | None = None,
    retry_on: Which | None = None,
    give_up_on: Which | None = None,
    result_ttl: float | None = None,
    unique: Unique = False,
    on_failure: OnFailure = "dead",
    ack: Ack = "auto",
    batch: int | None = None,
    wait: float = 0.1,
    middleware: Iterable[object] = (),
    max_running: int | None = None,
    rate: float | str | None = None,
    per_key: Limit | None = None,
    fair: bool | None = None,
    ageing: float | timedelta | None = None,
    breaker: Breaker | None = None,
    expires_in: float | timedelta | None = None,
    cron: str | None = None,
    every: float | timedelta | None = None,
    tz: str | None = None,
    catch_up: CatchUp | None = None,
) -> _Decorator | _BatchDecorator:
    """Declare a function as a task.

    The function may have a parameter ``ctx``, which receives a `Context`; for type checkers it is best the first.

    Args:
        queue: where its messages go. Letters, digits, ``_ . -``.
        name: by default the function's qualified name. Messages carry it: give one before you rename a function.
        max_attempts: by default the setting of that name.
        backoff: by default 1, 2, 4, 8 … s, at most an hour, each drawn from 0 to that. Or a function of the attempt,
            counted from 1, and the exception, that returns seconds.
        time_limit: seconds for one attempt; by default the setting of that name. A sync task that overruns it is killed
            with its process, an async one is cancelled.
        soft_time_limit: seconds after which the task is told: an async one is cancelled, and may still clean up or even
            return; a sync one is told by ``ctx.check()``, where it calls that. Nothing can interrupt Python code in
            a thread without breaking what it is in the middle of. The attempt fails with `SoftTimeLimit`.
        retry_on: exception classes, or functions of an exception: what is none of these makes a dead letter at once.
            Of what is not raised (a hard time limit, the death of a process) there is always another attempt.
        give_up_on: what is one of these makes a dead letter at once. `Retry`, `Snooze`, `Reject` mean what they say.
        on_failure: ``drop``: a message that is out of attempts, or rejected, leaves no dead letter; it is counted as
            dead all the same. Not beside ``result_ttl``.
        unique: a message with the same arguments as one that is not over (True), or has not begun (``"waiting"``), is not
            enqueued: the call returns the id of that one, whose ``is_new`` is False. See `s3queue.Queue.enqueue`.
        result_ttl: seconds for which what the task returns is kept, for `MessageId.result`; at most 30 days. One PUT
            more for each message. None: it is dropped.
        ack: ``manual``: the task says what became of its message, with ``ctx.ack(result)`` or ``ctx.nack(why)``. Returning
            without either is a failed attempt.
        batch: the function takes a list of up to so many messages, which are enqueued one by one; it may return an outcome
            for each: an exception where that one failed. What it raises, all of them failed with. Attempts, histories and
            dead letters are of each message; the shortest time limit of them holds for the call.
        wait: seconds from the first message of a batch for which it waits for more.
        middleware: see `s3queue.middleware`; inside of what `s3queue.use` and the supervisor name.
        max_running, rate, per_key, fair, ageing, breaker: of the whole queue, for as long as no operator sets another one;
            see `s3queue.Queue.limit`. Where tasks of one queue declare any of these, they declare the same.
        expires_in: seconds or a `timedelta` from the enqueue; a message that has not begun by then ends as expired.
        cron: enqueue it by itself, without arguments, whenever this expression says so: minute, hour, day, month, weekday.
            Hosts that serve the queue see to it; of two releases that say different things, the last one to start decides.
        every: or whenever so many whole seconds have passed since 1970.
        tz: time zone of the expression, such as ``Europe/Berlin``; by default UTC.
        catch_up: what becomes of times at which no host ran: the ``last`` is made up for (the default), ``all`` are,
            at most 100 at a time, or ``none``.

    Raises:
        ConfigError: what is decorated is no function, an annotation cannot be carried, or the name is taken.
    """
    _check_queue(queue, "task")
    check_unique(unique)
    if name is not None and not (isinstance(name, str) and name):
        raise ConfigError("a task needs a name", "leave name out, or use @s3queue.handler for raw messages")
    policy = policy_of(
        max_attempts, backoff, time_limit, soft_time_limit, retry_on, give_up_on, result_ttl, ack, unique, on_failure
    )
    limits = declared(
        f"queue {queue!r}",
        max_running=max_running,
        rate=rate,
        per_key=per_key,
        fair=fair,
        ageing=ageing,
        breaker=breaker,
    )
    timing: Timing | None = None
    if (cron, every, tz, catch_up) != (None, None, None, None):
        from s3queue.options.timing import timing_of

        timing = timing_of(cron, every, tz, catch_up, f"task of queue {queue!r}")
    expires_s = None if expires_in is None else seconds_of(expires_in, "expires_in")

    def decorate(function: Callable[..., R]) -> Task[..., R]:
        own = name if name is not None else str(getattr(function, "__qualname__", repr(function)))
        codec = CallCodec if batch is None else ItemCodec
        made = _declare(function, queue, own, policy, codec, middleware, limits, expires_s, batch, wait)
        made.timing = timing
        return made

    return cast("_Decorator", decorate)


@overload
def handler(queue: str, *, batch: None = None, **options: Unpack[Options]) -> _Decorator: ...
@overload
def handler(queue: str, *, batch: int, wait: float = 0.1, **options: Unpack[Options]) -> _BatchDecorator: ...
def handler(
    queue: str,
    *,
    max_attempts: int | None = None,
    backoff: Backoff | Delay | None = None,
    time_limit: float | UnsetType | None = UNSET,
    soft_time_limit: float | None = None,
    retry_on: Which | None = None,
    give_up_on: Which | None = None,
    result_ttl: float | None = None,
    unique: Unique = False,
    on_failure: OnFailure = "dead",
    ack: Ack = "auto",
    batch: int | None = None,
    wait: float = 0.1,
    middleware: Iterable[object] = (),
    max_running: int | None = None,
    rate: float | str | None = None,
    per_key: Limit | None = None,
    fair: bool | None = None,
    ageing: float | timedelta | None = None,
    breaker: Breaker | None = None,
    expires_in: float | timedelta | None = None,
) -> _Decorator | _BatchDecorator:
    """Declare a function as the handler of a queue's raw messages: those that `s3queue.Queue.enqueue` stores.

    It is called with the payload, in the type that its parameter is annotated with, and with ``ctx`` if it has that.
    The rest is as for `task`.
    """
    _check_queue(queue, "handler")
    check_unique(unique)
    policy = policy_of(
        max_attempts, backoff, time_limit, soft_time_limit, retry_on, give_up_on, result_ttl, ack, unique, on_failure
    )
    limits = declared(
        f"queue {queue!r}",
        max_running=max_running,
        rate=rate,
        per_key=per_key,
        fair=fair,
        ageing=ageing,
        breaker=breaker,
    )
    expires_s = None if expires_in is None else seconds_of(expires_in, "expires_in")

    def decorate(function: Callable[..., R]) -> Task[..., R]:
        codec = ValueCodec if batch is None else ItemCodec
        return _declare(function, queue, "", policy, codec, middleware, limits, expires_s, batch, wait)

    return cast("_Decorator", decorate)


def use(*middleware: object) -> None:
    """Do this around every attempt and every enqueue of this program; see `s3queue.middleware`. For the module that
    declares the tasks. Each call adds to those before it, on the inside.

    Raises:
        ConfigError: that is no middleware.
    """
    registry.middleware += check(middleware)


def _check_queue(queue: object, decorator: str) -> None:
    """Without it ``@task`` over a function would quietly make a decorator of that function."""
    if not isinstance(queue, str):
        raise ConfigError(f"a {decorator} needs the name of its queue", f"write @s3queue.{decorator}(queue=…)")


def _declare(
    function: Callable[..., R],
    queue: str,
    name: str,
    policy: Policy,
    codec: Callable[[Callable[..., Any], str], Codec],
    middleware: Iterable[object],
    limits: Limits | None,
    expires_in: float | None,
    batch: int | None,
    wait: float,
) -> Task[..., R]:
    import_producer()
    if isinstance(function, Task):
        function = function.function
    if isinstance(function, staticmethod):
        function = function.__func__
    made: Task[..., R] = (Task if batch is None else BatchTask)(
        function,
        queue,
        name,
        policy=policy,
        codec=codec,
        middleware=middleware,
        limits=limits,
        expires_in=expires_in,
        batch=batch,
        wait=wait,
    )
    registry.add(made)
    return made
