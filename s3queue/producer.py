"""Single enqueues of many threads or coroutines, stored together.

Nothing runs in the background: the first caller of a batch waits for others, for `Producer.linger` at most, and stores the
batch for all of them. So there is nothing to flush at exit, and nothing that a fork could lose.
"""

from __future__ import annotations

import copy
import os
import threading
import weakref
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar, Unpack

from s3queue.core.keys import MAX_BATCH
from s3queue.core.produce import BATCH_BYTES
from s3queue.enqueue.loading import load
from s3queue.enqueue.sender import Sender, task_of
from s3queue.enqueue.sending import Load, Sending
from s3queue.errors import ConfigError, EnqueueUncertain
from s3queue.ids import MessageId
from s3queue.options.once import ONCE
from s3queue.options.policies import is_limit
from s3queue.payloads.codec import encode_value
from s3queue.queue import Queue
from s3queue.store import ObjectStore, as_store
from s3queue.tasks import Task

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable
    from types import TracebackType

    from s3queue.options.sending import OnceOptions, SendOptions

__all__ = ["Producer"]

#: Messages without group, due time, key and expiry: there are few such lanes.
_FEW = (None, None, None, None)

P = ParamSpec("P")
R = TypeVar("R")


class _Entry:
    """A caller that waits for its message. Only a lock, since there is one for each message: a `Future` has a condition of
    its own, and would take a quarter of the time of a call.

    Args:
        tell: called when there is an outcome, in the thread that stored it.
    """

    __slots__ = ("_outcome", "_tell", "error", "message")

    def __init__(self, tell: Callable[[_Entry], object] | None = None) -> None:
        self._outcome = threading.Lock()
        self._outcome.acquire()
        self._tell = tell
        self.message = ""
        self.error: BaseException | None = None

    def result(self) -> str:
        """Wait for the outcome: the id, or an exception. May be called once."""
        self._outcome.acquire()
        if self.error is not None:
            raise self.error
        return self.message

    def end(self, message: str, error: BaseException | None = None) -> None:
        self.message, self.error = message, error
        self._outcome.release()
        if self._tell is not None:
            self._tell(self)


@dataclass(slots=True)
class _Batch:
    """Messages that will share a put. ``full``: there is nobody to wait for."""

    load: Load
    messages: list[bytes] = field(default_factory=list)
    entries: list[_Entry] = field(default_factory=list)
    size: int = 0
    full: threading.Event = field(default_factory=threading.Event)


@dataclass(slots=True)
class _Lane:
    """Messages that may share puts: they have the same queue, priority, group and due time.

    Attributes:
        open: the batch that takes messages.
        inside: calls that have not returned. peak: the most calls at once of late; so many are expected again.
    """

    open: _Batch | None = None
    inside: int = 0
    peak: int = 0


class Producer:
    """Enqueues as `Task.enqueue` does, but callers share puts. Safe to use from many threads, and across a fork.

    Each call returns when its message is stored. Messages of one thread are stored in the order of its calls. A batch is
    sent after ``linger``, or as soon as it holds a message of each caller that may be expected.

    Args:
        store: a store or its URL, for tasks; by default that of the process.
        linger: seconds that the first caller of a batch waits for others, from 0 to 60.

    Raises:
        ConfigError: ``linger`` is out of range.

    Asks: one PUT for each batch: up to 1,000 messages with the same queue, priority, group, key, due time and expiry.
    """

    def __init__(self, store: ObjectStore | str | None = None, *, linger: float = 0.005) -> None:
        if linger != 0 and (not is_limit(linger) or linger > 60):
            raise ConfigError(f"linger is {linger!r}", "seconds, from 0 to 60; for example 0.005")
        self.linger = linger
        self._store = None if store is None else as_store(store)
        self._lanes: dict[tuple[Any, ...], _Lane] = {}
        self._closed = False
        self._gate = threading.Condition()
        _producers.add(self)

    # ---- calls ---------------------------------------------------------------------------------------------------

    def enqueue(self, task: Task[P, R] | Sender[P, R], /, *args: P.args, **kwargs: P.kwargs) -> MessageId[R]:
        """Store one call of the task, and return its message id.

        Args:
            task: a task, or what its ``options`` return.

        Raises:
            ConfigError: the arguments do not fit, or this producer is closed. Nothing was sent.
            EnqueueUncertain, StoreUnavailable, StoreDenied: as `Sender.enqueue`, in each caller whose batch failed.
        """
        load = self._load(task, args, kwargs)
        if load.once is not None:  # it has an object of its own
            sending = Sending(lambda: load)
            return MessageId.of(sending.run()[0], load.queue, task_of(task), is_new=sending.is_new)
        return MessageId.of(self._enqueue(load), load.queue, task_of(task))

    async def aenqueue(self, task: Task[P, R] | Sender[P, R], /, *args: P.args, **kwargs: P.kwargs) -> MessageId[R]:
        """As `enqueue`, for callers on an event loop. If it is cancelled before its batch is sent, nothing is stored; if
        later, the message may be."""
        load = self._load(task, args, kwargs)
        if load.once is not None:
            sending = Sending(lambda: load)
            ids = await sending.arun()
            return MessageId.of(ids[0], load.queue, task_of(task), is_new=sending.is_new)
        return MessageId.of(await self._aenqueue(load), load.queue, task_of(task))

    def send(self, queue: Queue, payload: object, **options: Unpack[OnceOptions]) -> str:
        """Store one message for the queue's handler, and return its id.

        Args, raises: as `s3queue.Queue.enqueue`; ``ConfigError`` if this producer is closed.

        Asks: as this class; with ``dedup_id``, ``unique`` or ``debounce`` as `s3queue.Queue.enqueue`.
        """
        if options.keys() & ONCE:
            return queue.enqueue(payload, **options)
        return self._enqueue(load(queue, "", [encode_value(payload, f"message for {queue.name!r}")], **options))

    async def asend(self, queue: Queue, payload: object, **options: Unpack[SendOptions]) -> str:
        """As `send`, for callers on an event loop; cancelled as `aenqueue`.

        Raises:
            ConfigError: ``dedup_id``, ``unique`` or ``debounce`` was given: use a task, or `s3queue.Queue.enqueue`.
        """
        if options.keys() & ONCE:
            raise ConfigError("asend cannot enqueue only once", "use a task, or Queue.enqueue")
        return await self._aenqueue(load(queue, "", [encode_value(payload, f"message for {queue.name!r}")], **options))

    def close(self) -> None:
        """Refuse further calls, send what is waiting, and return when all earlier calls have. May be called again."""
        with self._gate:
            self._closed = True
            for lane in self._lanes.values():
                if lane.open is not None:
                    lane.open.full.set()
            self._gate.wait_for(lambda: not any(lane.inside for lane in self._lanes.values()))

    def __enter__(self) -> Producer:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, raised: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    # ---- batches -------------------------------------------------------------------------------------------------

    def _load(self, task: Task[P, Any] | Sender[P, Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Load:
        sender = task.options(store=self._store) if isinstance(task, Task) else task
        return sender.load_one(args, kwargs, self._store)

    def _enqueue(self, load: Load) -> str:
        entry = _Entry()
        lane, batch, leads = self._join(load, entry)
        try:
            if leads:
                self._lead(lane, batch)
            return _traced(load, entry.result())
        except BaseException as fault:
            _failed(load, fault)
            raise
        finally:
            self._leave(load, lane)

    async def _aenqueue(self, load: Load) -> str:
        import asyncio

        loop = asyncio.get_running_loop()
        outcome: asyncio.Future[str] = loop.create_future()
        entry = _Entry(lambda entry: loop.call_soon_threadsafe(_pass_on, entry, outcome))
        lane, batch, leads = self._join(load, entry)
        try:
            if leads:
                self._lead_beside(lane, batch)
            try:
                return _traced(load, await outcome)
            except asyncio.CancelledError:
                with self._gate:
                    if lane.open is batch:
                        at = batch.entries.index(entry)
                        del batch.entries[at], batch.messages[at]
                raise
        except BaseException as fault:
            _failed(load, fault)
            raise
        finally:
            self._leave(load, lane)

    def _join(self, load: Load, entry: _Entry) -> tuple[_Lane, _Batch, bool]:
        """Put the message into a batch. The last value tells whether the caller is the first of the batch, and has to store
        it."""
        message, key = load.messages[0], _key(load)
        with self._gate:
            if self._closed:
                raise ConfigError("this producer is closed", "make another one")
            lane = self._lanes.get(key)
            if lane is None:
                lane = self._lanes[key] = _Lane()
            lane.inside += 1
            lane.peak = max(lane.peak, lane.inside)
            batch = lane.open
            if batch is not None and batch.size + len(message) > BATCH_BYTES:
                batch.full.set()
                batch = None
            leads = batch is None
            if batch is None:
                batch = lane.open = _Batch(load)
            batch.messages.append(message)
            batch.entries.append(entry)
            batch.size += len(message)
            if len(batch.entries) >= min(lane.peak, MAX_BATCH):
                batch.full.set()
                lane.open = None
        return lane, batch, leads

    def _leave(self, load: Load, lane: _Lane) -> None:
        with self._gate:
            lane.inside -= 1
            if not lane.inside:
                if (
                    load.group,
                    load.due_ms,
                    load.key,
                    load.expires_ms,
                ) != _FEW:  # there may be any number of such lanes
                    self._lanes.pop(_key(load), None)
                self._gate.notify_all()

    def _lead_beside(self, lane: _Lane, batch: _Batch) -> None:
        """In a thread of its own, which goes on if the call is cancelled: others wait for it. Threads of the loop may be
        among those that wait."""
        try:
            threading.Thread(target=self._lead, args=(lane, batch), name="s3queue-linger", daemon=True).start()
        except RuntimeError:  # the interpreter ends
            self._lead(lane, batch)

    def _lead(self, lane: _Lane, batch: _Batch) -> None:
        """Wait for others, and store the batch for all of them."""
        try:
            batch.full.wait(self.linger)
        finally:  # Ctrl-C, too: others wait for this batch
            with self._gate:
                if lane.open is batch:
                    lane.open = None
                # Callers that went away are waited for a few times more.
                lane.peak = max(lane.inside, lane.peak - 1 - lane.peak // 8)
            _store(batch)


def _key(load: Load) -> tuple[Any, ...]:
    queue = load.queue
    return (
        queue.name,
        queue.namespace,
        id(queue.store),
        load.priority,
        load.group,
        load.due_ms,
        load.key,
        load.expires_ms,
    )


def _pass_on(entry: _Entry, outcome: asyncio.Future[str]) -> None:
    """Tell a caller on an event loop, unless it has gone."""
    if outcome.done():
        return
    if entry.error is not None:
        outcome.set_exception(entry.error)
    else:
        outcome.set_result(entry.message)


def _traced(load: Load, message: str) -> str:
    if load.span is not None:
        load.span.sent([message])
    return message


def _failed(load: Load, fault: BaseException) -> None:
    if load.span is not None:
        load.span.failed(fault)


def _store(batch: _Batch) -> None:
    """Send it, and tell each of its callers."""
    if not batch.entries:
        return
    sending = Sending(lambda: batch.load._replace(messages=batch.messages, span=None))
    try:
        ids = sending.run()
    except BaseException as fault:
        for index, entry in enumerate(batch.entries):
            entry.end("", _share_of(fault, sending, index))
        if not isinstance(fault, Exception):
            raise
        return
    for entry, message in zip(batch.entries, ids, strict=True):
        entry.end(message)


class _Share:
    """The part of an uncertain call that concerns one of its callers."""

    def __init__(self, sending: Sending, index: int) -> None:
        self._sending, self._index = sending, index

    def run(self, again: bool) -> list[str]:
        return [self._sending.run(again)[self._index]]

    async def arun(self, again: bool) -> list[str]:
        return [(await self._sending.arun(again))[self._index]]


def _share_of(fault: BaseException, sending: Sending, index: int) -> BaseException:
    """The exception for one caller: an object of its own, since several threads raise it."""
    own: BaseException
    uncertain = EnqueueUncertain.behind(fault)
    if uncertain is not None:
        message = (uncertain.stored + uncertain.in_doubt)[index]
        stored = (message,) if message in uncertain.stored else ()
        own = EnqueueUncertain(message, stored, () if stored else (message,), _Share(sending, index))
    else:
        own = copy.copy(fault) if isinstance(fault, Exception) else RuntimeError("the call that stored it was ended")
    own.__cause__ = fault
    return own


#: The producers of this process. After a fork the child has none of the threads that were inside.
_producers: weakref.WeakSet[Producer] = weakref.WeakSet()


def _after_fork() -> None:
    for producer in list(_producers):
        producer._lanes = {}
        producer._gate = threading.Condition()


os.register_at_fork(after_in_child=_after_fork)
