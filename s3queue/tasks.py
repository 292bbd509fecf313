"""Functions that handle messages: how they are called and enqueued. `s3queue.decorators` declares them.

::

    @s3queue.task(queue="mail", max_attempts=5)
    def send(user_id: int, subject: str = "hello") -> None: ...

    send.enqueue(7, subject="welcome")                 # stored; a worker will run it
    send.options(delay=60, priority=0).enqueue(7)
    send(7)                                            # an ordinary call, here and now

A task is known by its queue and name. Importing its module is what registers it, so producers and workers import the
same module.
"""

from __future__ import annotations

import contextlib
import functools
import inspect
import os
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Generic, ParamSpec, TypeVar, cast

from msgspec import Raw, UnsetType

from s3queue.config import current_config
from s3queue.context import Context
from s3queue.core.keys import check_name
from s3queue.core.records import Limits
from s3queue.errors import ConfigError
from s3queue.ids import MessageId
from s3queue.middleware.attempts import check, check_fit
from s3queue.options.acknowledging import Verdict
from s3queue.options.batching import ItemResultCodec, check_batch
from s3queue.options.functions import form_of
from s3queue.options.once import Unique
from s3queue.options.policies import Policy, own_headers
from s3queue.options.resources import handed
from s3queue.payloads.codec import CONTEXT, Codec, ResultCodec
from s3queue.payloads.lazy import refuse_lazy
from s3queue.registry import Execution, registry

if TYPE_CHECKING:
    from s3queue.enqueue.sender import Sender
    from s3queue.enqueue.streaming import Progress
    from s3queue.options.timing import Timing
    from s3queue.queue import Queue
    from s3queue.store import ObjectStore

__all__ = ["BatchTask", "Task"]

P = ParamSpec("P")
R_co = TypeVar("R_co", covariant=True)
R = TypeVar("R")
T = TypeVar("T")
V_co = TypeVar("V_co", covariant=True)
C = TypeVar("C")


class Task(Generic[P, R_co]):
    """A function that handles the messages of a queue. Calling it is an ordinary call. From `s3queue.task`.

    Attributes:
        queue: the queue of its messages.
        name: distinguishes it from other tasks of the queue; empty for a handler.
        function: the function itself.
        is_async: whether calls return an awaitable.
        wants_ctx: whether the function has a parameter ``ctx``.
        backoff: how long a failed message waits for its next attempt.
        policy: what follows a failed attempt.
        middleware: runs around each attempt, inside the middleware of the supervisor.
        resources: by parameter: the resource that the worker passes to it.
        batch: messages of one call, at most; 0: it takes one, not a list.
        wait_s: seconds from the first message of a batch until the call, at most.
        timing: its schedule; None: it has none.
        limits: limits that it declares for its queue.
        expires_in: seconds after which a message that has not begun expires; None: never.

    Raises:
        ConfigError: a name or an option is out of range, or does not fit the function.
    """

    def __init__(
        self,
        function: Callable[..., R_co],
        queue: str,
        name: str,
        *,
        policy: Policy,
        codec: Callable[[Callable[..., Any], str], Codec],
        middleware: Iterable[object] = (),
        limits: Limits | None = None,
        expires_in: float | None = None,
        batch: int | None = None,
        wait: float = 0.0,
        timing: Timing | None = None,
    ) -> None:
        self.limits, self.expires_in = limits, expires_in
        self.batch, self.wait_s = batch or 0, wait
        self.function, self.queue, self.name = function, check_name(queue), name
        self.policy: Policy = policy
        self.backoff: Any = policy.backoff
        self.execution = Execution()
        self.timing = timing
        what = self.label
        form = form_of(function, what)
        policy.check(what)
        if batch is not None:
            check_batch(batch, wait, policy, what)
        self.middleware = check(middleware)
        self.is_async, self.wants_ctx, self._ctx_at = form
        check_fit(self.middleware, self.is_async, what)
        self.resources = handed(function, what)
        if policy.ack == "manual" and not self.wants_ctx:
            raise ConfigError(
                f"{what} is to acknowledge its messages, and has no {CONTEXT}", f"give it a parameter {CONTEXT}"
            )
        self._make_codec = codec
        self._codec: Codec | None = None
        self._make_results: type[ResultCodec] = ResultCodec if batch is None else ItemResultCodec
        self._results: ResultCodec | None = None
        self._digest: str | None = None
        self._queues: dict[int, Queue] = {}
        for attribute in ("__module__", "__qualname__", "__doc__"):
            setattr(self, attribute, getattr(function, attribute, None))
        self.__name__: str = getattr(function, "__name__", name)
        self.__wrapped__ = function
        # An annotation may name something that the module defines further down; looked at again on first use.
        with contextlib.suppress(NameError):
            self._codec = codec(function, what)
            if policy.result_ttl is not None:
                self._results = self._make_results(function, what)

    # ---- what it is --------------------------------------------------------------------------------------------

    @property
    def label(self) -> str:
        """Its name, for people."""
        return f"task {self.name!r}" if self.name else f"handler of {self.queue!r}"

    @property
    def max_attempts(self) -> int:
        """How often one message may start."""
        own = self.policy.max_attempts
        return current_config().max_attempts if own is None else own

    @property
    def time_limit(self) -> float | None:
        """Seconds that one attempt may take; None: no limit."""
        own = self.policy.time_limit
        return current_config().time_limit if isinstance(own, UnsetType) else own

    @property
    def origin(self) -> tuple[str, str]:
        """File and qualified name of the function: the same for a module that is imported twice."""
        function = inspect.unwrap(self.function)
        code = getattr(function, "__code__", None)
        file = code.co_filename if code is not None else str(function.__module__)
        return os.path.realpath(file) if os.path.exists(file) else file, function.__qualname__

    @property
    def digest(self) -> str:
        """A digest of the signature: the same in every process and release in which the task takes the same arguments."""
        if self._digest is None:
            self._digest = self.check().digest()
        return self._digest

    def __repr__(self) -> str:
        return f"<{self.label} on {self.queue!r}>"

    # ---- what a worker asks -------------------------------------------------------------------------------------

    def check(self) -> Codec:
        """How arguments are encoded. Raises `ConfigError`: an annotation cannot be resolved."""
        if self._codec is None:
            self._codec = self._resolved(self._make_codec)
        if self._results is None and self.policy.result_ttl is not None:
            self._results = self._resolved(self._make_results)
        return self._codec

    def _resolved(self, make: Callable[[Callable[..., Any], str], C]) -> C:
        try:
            return make(self.function, self.label)
        except NameError as wrong:
            raise ConfigError(
                f"{self.label}: an annotation cannot be resolved: {wrong}",
                "import the type at run time, not only under TYPE_CHECKING",
            ) from wrong

    def decode(self, payload: Raw) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """The arguments in a payload, in their annotated types.

        Raises:
            ValueError: they do not fit the signature; no attempt will ever do better.
        """
        return (self._codec or self.check()).decode(payload)

    def store(self, payload: object) -> Raw:
        """An edited payload, in the form of `DeadLetter.payload`, encoded.

        Raises:
            ConfigError: it does not fit the signature, or cannot be carried.
        """
        return self.check().store(payload)

    def encode_result(self, value: object) -> Raw:
        """The encoded result of a task whose results are kept.

        Raises:
            ConfigError: it cannot be carried, or would arrive as something else.
        """
        self.check()
        assert self._results is not None
        return self._results.encode(value)

    def decode_result(self, value: Raw) -> Any:
        """The result, in the annotated type.

        Raises:
            ValueError: it does not fit that.
        """
        self.check()
        return (self._results or self._resolved(self._make_results)).decode(value)

    def call(self, args: tuple[Any, ...], kwargs: dict[str, Any], ctx: Context | None) -> Any:
        """Run the function; for an ``async def`` one, the coroutine that is yet to be awaited.

        Args:
            ctx: required where the task `wants_ctx`, else not looked at.
        """
        if not self.wants_ctx:
            result = self.function(*args, **kwargs)
        elif self._ctx_at is None:
            result = self.function(*args, **kwargs, ctx=ctx)
        else:
            result = self.function(*args[: self._ctx_at], ctx, *args[self._ctx_at :], **kwargs)
        if not self.is_async and result is not None:
            refuse_lazy(result, self.label)
        return result

    # ---- what a producer asks -----------------------------------------------------------------------------------

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R_co:
        """Run the function here and now, as if there were no queue; with a local context where it wants one."""
        if self.resources:
            missing = {name: one.get() for name, one in self.resources.items() if name not in kwargs}
            return functools.partial(self._run_here, **missing)(*args, **kwargs)
        return self._run_here(*args, **kwargs)

    def _run_here(self, *args: Any, **kwargs: Any) -> R_co:
        given = CONTEXT in kwargs or any(isinstance(value, Context) for value in args)
        if not self.wants_ctx or given:
            return self.function(*args, **kwargs)
        ctx = Context.local(self.queue, self.name, self.time_limit)
        if self.policy.ack == "manual":
            ctx._verdict = Verdict()
        return cast("R_co", self.call(args, kwargs, ctx))

    def encode(self, args: tuple[Any, ...], kwargs: Mapping[str, Any], *, exact: bool = True) -> Raw:
        """The payload of one call.

        Args:
            exact: refuse arguments that would arrive as another type. False for values that come from JSON, where a string
                may stand for a time, and a list for a tuple.

        Raises:
            ConfigError: the signature does not take these arguments.
        """
        return (self._codec or self.check()).encode(args, kwargs, exact=exact)

    def options(
        self,
        *,
        delay: float | timedelta | None = None,
        at: datetime | None = None,
        priority: int = 5,
        group: str | None = None,
        headers: Mapping[str, str] | None = None,
        key: str | None = None,
        expires_in: float | timedelta | None = None,
        max_attempts: int | None = None,
        time_limit: float | None = None,
        dedup_id: str | None = None,
        dedup_window: float | timedelta | None = None,
        unique: Unique | None = None,
        debounce: float | timedelta | None = None,
        store: ObjectStore | None = None,
    ) -> Sender[P, R_co]:
        """The same task, to be enqueued with these options: ``send.options(delay=60).enqueue(7)``. Makes no request.

        They are apart from the arguments, so that no option collides with a parameter of the task.

        Args:
            delay, at, priority, group, headers, key, dedup_id, dedup_window, debounce: as of `s3queue.Queue.enqueue`.
            expires_in, unique: the same; by default as the task declares.
            max_attempts: attempts after which this message is dead; at most those of the task.
            time_limit: seconds for each attempt of this message, instead of the task's.
            store: by default that of the process.

        Raises:
            ConfigError: ``max_attempts`` or ``time_limit`` is out of range. The other options are checked by the enqueue.
        """
        options = {"delay": delay, "at": at, "priority": priority, "group": group, "headers": headers}
        options |= {"key": key, "expires_in": expires_in}
        once = {"dedup_id": dedup_id, "dedup_window": dedup_window, "unique": unique, "debounce": debounce}
        options |= {name: value for name, value in once.items() if value is not None}
        if max_attempts is not None or time_limit is not None:
            options["limits"] = own_headers(self.label, self.max_attempts, max_attempts, time_limit)
        from s3queue.enqueue.sender import Sender

        return Sender(self, store, options)

    @functools.cached_property
    def _sender(self) -> Sender[P, R_co]:
        """With default options. Imported here, since programs that only declare tasks import for less."""
        from s3queue.enqueue.sender import Sender

        return Sender(self, None, {})

    def enqueue(self, *args: P.args, **kwargs: P.kwargs) -> MessageId[R_co]:
        """Store one call of the task, and return its message id. One PUT; two for a task with ``unique``. The first
        time also one GET, and for a new queue one PUT.

        Raises:
            ConfigError: the arguments do not fit the task's signature. Nothing was sent.
            EnqueueUncertain: no answer for ``enqueue_deadline``; it may or may not be stored. See
                `EnqueueUncertain.enqueue_again`.
            StoreUnavailable: not stored: the store did not apply it. StoreDenied: not stored: someone must fix that.
        """
        return self._sender.enqueue(*args, **kwargs)

    def enqueue_many(self, calls: Iterable[tuple[Any, ...] | Mapping[str, Any]]) -> list[MessageId[R_co]]:
        """Store many calls, and return their ids in the same order. One PUT per 1,000 calls or 4 MB.

        Args:
            calls: for each call its positional arguments as a tuple, or its keyword arguments as a mapping. All are
                checked before anything is sent.

        Raises: as `enqueue`. Batches before the one that failed are stored; a note on the exception says how many.
        """
        return self._sender.enqueue_many(calls)

    def enqueue_stream(
        self,
        calls: Iterable[tuple[Any, ...] | Mapping[str, Any]],
        *,
        batch: int = 1000,
        progress: Callable[[Progress], object] | None = None,
    ) -> int:
        """Store calls as they come, in constant memory, and return how many there were. ``calls`` may be endless.

        Args:
            calls: as of `enqueue_many`. Each is checked when it comes; earlier ones may be stored by then.
            batch: calls that share a PUT, 1 to 1,000; fewer where they are large.
            progress: called after each PUT, in this thread. What it raises ends the call.

        Raises: as `enqueue`, and what ``calls`` or ``progress`` raise. A note on the exception says how many of the first
            calls are stored; later ones are not, except those that `EnqueueUncertain` names.

        Asks: one PUT per ``batch`` calls.
        """
        return self._sender.enqueue_stream(calls, batch=batch, progress=progress)

    async def aenqueue(self, *args: P.args, **kwargs: P.kwargs) -> MessageId[R_co]:
        """As `enqueue`, in a thread, for callers on an event loop. If it is cancelled, the message may be stored:
        `EnqueueUncertain.behind` tells."""
        return await self._sender.aenqueue(*args, **kwargs)

    async def aenqueue_many(self, calls: Iterable[tuple[Any, ...] | Mapping[str, Any]]) -> list[MessageId[R_co]]:
        """As `enqueue_many`, in a thread; cancelled as `aenqueue`."""
        return await self._sender.aenqueue_many(calls)

    def queue_on(self, store: ObjectStore) -> Queue:
        """This task's queue on a store. Cached, because it has read the settings of the queue."""
        kept = self._queues.get(id(store))
        if kept is None or kept.store is not store or kept.config is not current_config():
            from s3queue.queue import Queue

            kept = self._queues[id(store)] = Queue(self.queue, store)
        return kept

    # ---- between processes --------------------------------------------------------------------------------------

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[str, str, str, str]]:
        if "<locals>" in self.function.__qualname__:
            raise ConfigError(
                f"{self.label} is defined inside a function, where another process cannot import it",
                "define it at the top level of its module, or use the start method fork",
            )
        if not self.function.__module__:  # of text that was executed
            raise ConfigError(
                f"{self.label} is in no module, and another process cannot import it",
                "define it in a module, or use the start method fork",
            )
        return _by_reference, (self.function.__module__, self.function.__qualname__, self.queue, self.name)


def _by_reference(module: str, qualname: str, queue: str, name: str) -> Task[..., Any]:
    """The task in this process. The main program's tasks were registered when its module was imported again."""
    found = registry.find(queue, name)
    if found is None and module not in ("__main__", "__mp_main__"):
        import importlib

        importlib.import_module(module)
        found = registry.find(queue, name)
    if found is None:
        raise ConfigError(f"{module} does not define task {name!r} of queue {queue!r} as {qualname} any more")
    return found


class BatchTask(Task[[T], V_co], Generic[T, R_co, V_co]):
    """A task that takes several messages at once: enqueued one by one, called with a list. By type: of one message, of what
    a call returns, and of what it returns for one message."""

    if TYPE_CHECKING:

        def __call__(self, messages: list[T]) -> R_co: ...  # type: ignore[override]
