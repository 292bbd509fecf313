"""``@task`` and ``@handler``: how functions become tasks."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Iterable
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Concatenate, ParamSpec, Protocol, TypeVar, Unpack, cast, overload

from s3queue.context import Context
from s3queue.errors import ConfigError
from s3queue.middleware.attempts import check
from s3queue.options.batching import ItemCodec, Options, TaskOptions
from s3queue.options.limits import DECLARED, declared
from s3queue.options.once import check_unique
from s3queue.options.policies import policy as policy_of
from s3queue.options.times import seconds_of
from s3queue.payloads.codec import CallCodec, Codec, ValueCodec
from s3queue.registry import registry
from s3queue.tasks import BatchTask, Task

if TYPE_CHECKING:
    from s3queue.middleware import Middleware
    from s3queue.options.timing import CatchUp, Timing


__all__ = ["handler", "task", "use"]

P = ParamSpec("P")
R = TypeVar("R")
T = TypeVar("T")
V = TypeVar("V")


class _Decorator(Protocol):
    """A function becomes a task. A first parameter of type `Context` is not part of what is enqueued."""

    @overload
    def __call__(self, function: Callable[Concatenate[Context, P], R], /) -> Task[P, R]: ...
    @overload
    def __call__(self, function: Callable[P, R], /) -> Task[P, R]: ...


class _BatchDecorator(Protocol):
    """A function of a list becomes a task of what is in it. It may return a list, too, or nothing."""

    @overload
    def __call__(self, function: Callable[[Context, list[T]], list[V]], /) -> BatchTask[T, list[V], V]: ...
    @overload
    def __call__(self, function: Callable[[list[T]], list[V]], /) -> BatchTask[T, list[V], V]: ...
    @overload
    def __call__(
        self, function: Callable[[Context, list[T]], Coroutine[Any, Any, list[V]]], /
    ) -> BatchTask[T, Coroutine[Any, Any, list[V]], V]: ...
    @overload
    def __call__(
        self, function: Callable[[list[T]], Coroutine[Any, Any, list[V]]], /
    ) -> BatchTask[T, Coroutine[Any, Any, list[V]], V]: ...
    @overload
    def __call__(self, function: Callable[[Context, list[T]], R], /) -> BatchTask[T, R, Any]: ...
    @overload
    def __call__(self, function: Callable[[list[T]], R], /) -> BatchTask[T, R, Any]: ...


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
    batch: int | None = None,
    wait: float = 0.1,
    cron: str | None = None,
    every: float | timedelta | None = None,
    tz: str | None = None,
    catch_up: CatchUp | None = None,
    **options: Any,
) -> _Decorator | _BatchDecorator:
    """Declare a function as a task.

    The function may have a parameter ``ctx``, which receives a `Context`; for type checkers it is best the first.

    Args:
        queue: where its messages go. Letters, digits, ``_ . -``.
        name: by default the function's qualified name. Messages carry it: give one before you rename a function.
        max_attempts: by default the setting of that name.
        backoff: a `Backoff`; by default up to 1, 2, 4, 8 … s, at most an hour. Or a function that is called with the
            attempt, counted from 1, and the exception, and returns seconds.
        time_limit: seconds for one attempt; by default the setting of that name. A sync task that overruns it is killed
            with its process, an async one is cancelled.
        soft_time_limit: seconds after which the task is told to stop. An async task is cancelled, and may still clean up,
            or even return. In a sync task the next ``ctx.check()`` raises: nothing can safely interrupt Python code in a
            thread. The attempt fails with `SoftTimeLimit`.
        retry_on: exception classes, or functions of an exception that return a bool. Any other exception makes a dead
            letter at once. A hard time limit, or the death of a process, is always retried.
        give_up_on: the same for exceptions that make a dead letter at once. Neither applies to `Retry`, `Snooze`, `Reject`.
        on_failure: ``drop``: a message that is out of attempts, or rejected, leaves no dead letter; it still counts as
            dead. Not together with ``result_ttl``.
        unique: do not enqueue a message with the same arguments as one that is not over (True), or has not begun
            (``"waiting"``). The call then returns the id of that one, with ``is_new`` False: see `s3queue.Queue.enqueue`.
        result_ttl: seconds for which the return value is kept, for `MessageId.result`; at most 30 days. One PUT more
            for each message. None: it is dropped. With ``batch``, the outcome that is returned for a message is its result.
        ack: ``manual``: the task says how its message ends, with ``ctx.ack(result)`` or ``ctx.nack(why)``. If it returns
            without either, the attempt has failed. Not together with ``batch``.
        batch: the function takes a list of up to this many messages, 1 to 1,000, which are enqueued one by one. It may
            return a list with an outcome for each: a result, or an exception where that message failed. If it raises, all
            of them failed. Each message has its own attempts, history and dead letter; the shortest of their time limits
            applies.
        wait: seconds, at most 60, for which the first message of a batch waits for more.
        middleware: see `s3queue.middleware`; inside that of `s3queue.use` and of the supervisor.
        max_running, rate, per_key, fair, ageing, breaker: limits of the whole queue, unless an operator sets others: see
            `s3queue.Queue.limit`. All tasks of a queue that declare any must declare the same.
        expires_in: seconds or a `timedelta` from the enqueue; a message that has not begun by then ends as expired.
        cron: enqueue the task without arguments at the times of this expression: minute, hour, day, month, weekday. The
            hosts that serve the queue do it; of two releases with different schedules, the last one to start decides.
        every: instead of ``cron``: whole seconds, or a `timedelta`, between two times, counted from 1970; at most a year.
        tz: time zone of the expression, such as ``Europe/Berlin``; by default UTC.
        catch_up: which times are made up for that passed while no host ran: the ``last`` (the default), ``all``, at most
            100 at a time, or ``none``.

    Raises:
        ConfigError: the decorated object is no function, an annotation cannot be encoded, an option is out of range, or
            another function has this name.

    Asks: nothing. Schedules are stored when a host starts.
    """
    if name is not None and not (isinstance(name, str) and name):
        raise ConfigError("a task needs a name", "leave name out, or use @s3queue.handler for raw messages")
    timing: Timing | None = None
    if (cron, every, tz, catch_up) != (None, None, None, None):
        from s3queue.options.timing import timing_of

        timing = timing_of(cron, every, tz, catch_up, f"task of queue {queue!r}")
    codec = CallCodec if batch is None else ItemCodec
    return _Declaration("task", queue, name, codec, batch, wait, timing, options).decorator


@overload
def handler(queue: str, *, batch: None = None, **options: Unpack[Options]) -> _Decorator: ...
@overload
def handler(queue: str, *, batch: int, wait: float = 0.1, **options: Unpack[Options]) -> _BatchDecorator: ...
def handler(queue: str, *, batch: int | None = None, wait: float = 0.1, **options: Any) -> _Decorator | _BatchDecorator:
    """Declare a function as the handler of a queue's raw messages: those that `s3queue.Queue.enqueue` stores.

    It is called with the payload, in the type that its parameter is annotated with, and with ``ctx`` if it has that
    parameter. A queue has one handler.

    Args:
        queue, batch, wait, options: as of `task`; a handler has no schedule.

    Raises:
        ConfigError: as `task`.
    """
    codec = ValueCodec if batch is None else ItemCodec
    return _Declaration("handler", queue, "", codec, batch, wait, None, options).decorator


def use(*middleware: Middleware) -> None:
    """Run this middleware around every attempt and every enqueue of this program; see `s3queue.middleware`.

    Call it in the module that declares the tasks. Middleware of later calls runs inside that of earlier ones.

    Raises:
        ConfigError: an argument is no middleware.
    """
    registry.middleware += check(middleware)


class _Declaration:
    """The checked options of a decorator, for the functions that it decorates.

    Args:
        name: None: the qualified name of the function.
        options: those of `Options`.

    Raises: ConfigError: an option has a wrong value. TypeError: there is no such option.
    """

    def __init__(
        self,
        decorator: str,
        queue: str,
        name: str | None,
        codec: Callable[[Callable[..., Any], str], Codec],
        batch: int | None,
        wait: float,
        timing: Timing | None,
        options: dict[str, Any],
    ) -> None:
        if not isinstance(queue, str):  # without this, @task over a function would quietly make a decorator of it
            raise ConfigError(f"a {decorator} needs the name of its queue", f"write @s3queue.{decorator}(queue=…)")
        for unknown in options.keys() - Options.__annotations__.keys():
            raise TypeError(f"{decorator}() got an unexpected keyword argument {unknown!r}")
        check_unique(options.get("unique", False))
        self._queue, self._name, self._codec = queue, name, codec
        self._batch, self._wait, self._timing = batch, wait, timing
        self._middleware: Iterable[object] = options.pop("middleware", ())
        expires_in = options.pop("expires_in", None)
        self._expires_s = None if expires_in is None else seconds_of(expires_in, "expires_in")
        self._limits = declared(f"queue {queue!r}", **{one: options.pop(one, None) for one in DECLARED})
        self._policy = policy_of(**options)

    @property
    def decorator(self) -> _Decorator:
        return cast("_Decorator", self._declare)

    def _declare(self, function: Callable[..., R]) -> Task[..., R]:
        # Modules that enqueuing needs. Not imported with this module, since some programs only declare; nor with the first
        # message: a thread that outlives the main one can no longer import modules that make threads.
        import s3queue.enqueue.sender
        import s3queue.queue  # noqa: F401

        own = self._name
        if own is None:
            own = str(getattr(function, "__qualname__", repr(function)))
        if isinstance(function, Task):
            function = function.function
        if isinstance(function, staticmethod):
            function = function.__func__
        made: Task[..., R] = (Task if self._batch is None else BatchTask)(
            function,
            self._queue,
            own,
            policy=self._policy,
            codec=self._codec,
            middleware=self._middleware,
            limits=self._limits,
            expires_in=self._expires_s,
            batch=self._batch,
            wait=self._wait,
            timing=self._timing,
        )
        registry.add(made)
        return made
