"""Calls of one task that are enqueued, with the same options each time."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any, Generic, ParamSpec, TypeVar

from msgspec import Raw

from s3queue.config import current_store
from s3queue.enqueue.loading import load
from s3queue.enqueue.sending import Load, Sending
from s3queue.enqueue.streaming import Progress, stream
from s3queue.errors import ConfigError
from s3queue.ids import MessageId
from s3queue.options.once import ONCE

if TYPE_CHECKING:
    from s3queue.store import ObjectStore
    from s3queue.tasks import Task

__all__ = ["Sender", "task_of"]

P = ParamSpec("P")
R_co = TypeVar("R_co", covariant=True)
R = TypeVar("R")


class Sender(Generic[P, R_co]):
    """Enqueues one task, with the same options each time. From `Task.options`.

    Methods named ``a…`` do the same in a thread, for callers on an event loop.
    """

    def __init__(self, task: Task[P, R_co], store: ObjectStore | None, options: Mapping[str, Any]) -> None:
        self._task, self._store, self._options = task, store, options

    def enqueue(self, *args: P.args, **kwargs: P.kwargs) -> MessageId[R_co]:
        """Store one call of the task, and return its message id. One PUT; more the first time, and with ``dedup_id``,
        ``unique`` or ``debounce``: see `s3queue.Queue.enqueue`.

        Raises:
            ConfigError: the arguments do not fit the task's signature, or an option is wrong. Nothing was sent.
            EnqueueUncertain: no answer for ``enqueue_deadline``; it may or may not be stored. See
                `EnqueueUncertain.enqueue_again`.
            StoreUnavailable: not stored: the store did not apply it. StoreDenied: not stored: someone must fix that.
        """
        sending = Sending(lambda: self._load([self._task.encode(args, kwargs)]))
        return self._one(sending.run(), sending)

    def enqueue_many(self, calls: Iterable[tuple[Any, ...] | Mapping[str, Any]]) -> list[MessageId[R_co]]:
        """Store many calls, and return their ids in the same order. One PUT per 1,000.

        Args:
            calls: for each call its positional arguments as a tuple, or its keyword arguments as a mapping. All are
                checked before anything is sent.

        Raises: as `enqueue`. Batches before the one that failed are stored.
        """
        return self._named(self._many(calls).run())

    async def aenqueue(self, *args: P.args, **kwargs: P.kwargs) -> MessageId[R_co]:
        """As `enqueue`, in a thread. If it is cancelled, the message may be stored: `EnqueueUncertain.behind` tells."""
        sending = Sending(lambda: self._load([self._task.encode(args, kwargs)]))
        return self._one(await sending.arun(), sending)

    async def aenqueue_many(self, calls: Iterable[tuple[Any, ...] | Mapping[str, Any]]) -> list[MessageId[R_co]]:
        """As `enqueue_many`, in a thread; cancelled as `aenqueue`."""
        return self._named(await self._many(calls).arun())

    def _many(self, calls: Iterable[tuple[Any, ...] | Mapping[str, Any]]) -> Sending:
        return Sending(lambda: self._load(self._encoded(calls)))

    def _encoded(self, calls: Iterable[tuple[Any, ...] | Mapping[str, Any]]) -> list[Raw]:
        """Raises `ConfigError`, with the number of the call, counted from 0."""
        encoded: list[Raw] = []
        encode = self._task.encode
        try:
            for call in calls:
                encoded.append(encode(*_arguments(call)))
        except ConfigError as wrong:
            raise ConfigError(f"call {len(encoded)}: {wrong.message}", wrong.hint) from wrong
        return encoded

    def load_one(self, args: tuple[Any, ...], kwargs: Mapping[str, Any], store: ObjectStore | None) -> Load:
        """The checked message that `enqueue` would send. ``store``: used if this sender has none. Makes no request."""
        return self._load([self._task.encode(args, kwargs)], store)

    def enqueue_stream(
        self,
        calls: Iterable[tuple[Any, ...] | Mapping[str, Any]],
        *,
        batch: int = 1000,
        progress: Callable[[Progress], object] | None = None,
    ) -> int:
        """Store calls as they come, in constant memory, and return how many there were. ``calls`` may be endless.

        Args:
            calls: as of `enqueue_many`. Each is checked when it comes; those before it may be stored by then.
            batch: calls that share a PUT, 1 to 1,000; fewer where they are large. A batch waits until it is full.
            progress: called after each PUT, in this thread. What it raises ends the call.

        Raises: as `enqueue`, and what ``calls`` or ``progress`` raise. A note on the exception says how many of the first
            calls are stored; later ones are not, except those that `EnqueueUncertain` names.

        Asks: one PUT per ``batch`` calls.
        """
        encoded = (self._task.encode(*_arguments(call)) for call in calls)
        return stream(lambda payloads: Sending(lambda: self._load(payloads)), encoded, batch, progress)

    def _one(self, ids: list[str], sending: Sending) -> MessageId[R_co]:
        return MessageId.of(ids[0], sending.queue, self._task, is_new=sending.is_new)

    def _named(self, ids: list[str]) -> list[MessageId[R_co]]:
        queue = self._task.queue_on(self._store or current_store())
        return MessageId.all_of(ids, queue, self._task)

    def _load(self, payloads: list[Raw], store: ObjectStore | None = None) -> Load:
        queue = self._task.queue_on(self._store or store or current_store())
        options, expires_in = self._options, self._task.expires_in
        if expires_in is not None and options.get("expires_in") is None:
            options = {**options, "expires_in": expires_in}
        if self._task.middleware:
            options = {**options, "middleware": self._task.middleware}
        if self._task.policy.unique and not options.keys() & ONCE:
            options = {**options, "unique": self._task.policy.unique}
        return load(queue, self._task.name, payloads, **options)


def _arguments(call: tuple[Any, ...] | Mapping[str, Any]) -> tuple[tuple[Any, ...], Mapping[str, Any]]:
    if isinstance(call, tuple):
        return call, {}
    if isinstance(call, Mapping):
        return (), call
    raise ConfigError(
        f"a call is a tuple of positional or a mapping of keyword arguments, not {type(call).__name__}",
        "for one argument write (value,)",
    )


def task_of(one: Task[P, R] | Sender[P, R]) -> Task[P, R]:
    """The task that is enqueued."""
    return one._task if isinstance(one, Sender) else one
