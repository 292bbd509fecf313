"""Single enqueues of many threads or coroutines, stored together.

Nothing runs in the background: the first caller of a batch, its keeper, waits for others, for `Producer.linger` at most.
The caller that fills the batch stores it for all of them; if the time is over before, the keeper does. So there is nothing
to flush at exit, and nothing that a fork could lose.
"""

from __future__ import annotations

import os
import threading
import weakref
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar, Unpack

from s3queue.core.keys import MAX_BATCH
from s3queue.core.produce import BATCH_BYTES
from s3queue.enqueue.loading import load
from s3queue.enqueue.sender import Sender, task_of
from s3queue.enqueue.sending import Load, Sending
from s3queue.enqueue.sharing import Awaiting, Batch, Lane, Waiting
from s3queue.errors import ConfigError
from s3queue.ids import MessageId
from s3queue.options.once import ONCE
from s3queue.options.policies import is_limit
from s3queue.payloads.codec import encode_value
from s3queue.queue import Queue
from s3queue.store import ObjectStore, as_store
from s3queue.tasks import Task

if TYPE_CHECKING:
    from types import TracebackType

    from s3queue.options.sending import OnceOptions, SendOptions

__all__ = ["Producer"]

#: The end of a lane's key, where a message has neither group, due time, key nor expiry: there are few such lanes.
_FEW = (None, None, None, None)
#: Its place in the key.
_OPTIONS = 4
#: Seconds after the end of ``linger`` at which any caller stores a batch that nobody does: an exception ended its keeper.
_OVERDUE_S = 1.0

P = ParamSpec("P")
R = TypeVar("R")


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
        self._lanes: dict[tuple[Any, ...], Lane] = {}
        self._closed = False
        self._gate = threading.RLock()
        #: Told when a lane is left; made by `close`.
        self._all_left: threading.Condition | None = None
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
                    _seal(lane, lane.open)
            self._all_left = self._all_left or threading.Condition(self._gate)
            self._all_left.wait_for(lambda: not any(lane.inside for lane in self._lanes.values()))

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
        call = Waiting()
        try:
            self._join(load, call)
            self._await(call)
            return _traced(load, call.outcome())
        except BaseException as fault:
            self._abandon(call)
            _failed(load, fault)
            raise
        finally:
            self._leave(call)

    async def _aenqueue(self, load: Load) -> str:
        import asyncio

        call = Awaiting(asyncio.get_running_loop())
        try:
            self._join(load, call)
            if call.is_first:
                self._keep_beside(call)
            await call.done
            return _traced(load, call.outcome())
        except BaseException as fault:
            if isinstance(fault, asyncio.CancelledError):
                self._withdraw(call)
            _failed(load, fault)
            raise
        finally:
            self._leave(call)

    def _join(self, load: Load, call: Waiting | Awaiting) -> None:
        """Put the message into a batch. A thread that fills a batch stores it; if a coroutine does, the keeper does it."""
        message, key = load.messages[0], _key(load)
        with self._gate:
            if self._closed:
                raise ConfigError("this producer is closed", "make another one")
            lane = self._lanes.get(key)
            if lane is None:
                lane = self._lanes[key] = Lane(None if key[_OPTIONS:] == _FEW else key)
            lane.enter(call)
            batch = lane.open
            if batch is not None and batch.size + len(message) > BATCH_BYTES:
                _seal(lane, batch)
                batch = None
            if batch is None:
                batch = lane.open = Batch(load, call if isinstance(call, Waiting) else Waiting())
                call.is_first = True
            batch.add(message, call)
            if len(batch.calls) >= lane.peak or len(batch.calls) >= MAX_BATCH:
                if isinstance(call, Waiting):
                    batch.taker, lane.open = call, None
                    if batch.calls[0] is not batch.keeper:  # that is a thread of its own, and may end
                        batch.keeper.wake()
                else:
                    _seal(lane, batch)

    def _leave(self, call: Waiting | Awaiting) -> None:
        lane = call.lane
        if lane is None:
            return
        with self._gate:
            lane.inside -= 1
            if not lane.inside:
                if lane.key is not None:  # there may be any number of such lanes
                    self._lanes.pop(lane.key, None)
                if self._all_left is not None:
                    self._all_left.notify_all()

    def _take(self, lane: Lane, batch: Batch, taker: Waiting) -> bool:
        """Whether it is for the taker to store the batch: nobody else does, or it was to already."""
        with self._gate:
            if batch.taker is None:
                batch.taker = taker
                if lane.open is batch:
                    lane.open = None
                # Callers that went away are waited for a few times more.
                lane.peak = max(lane.inside, lane.peak - 1 - lane.peak // 8)
            return batch.taker is taker

    def _await(self, call: Waiting) -> None:
        """Wait until the batch is over, and store it if that is for this call to do."""
        lane, batch = call.lane, call.batch
        assert lane is not None
        assert batch is not None
        if batch.taker is not call:
            patience_s = self.linger if call.is_first else self.linger + _OVERDUE_S
            while True:
                call.lock.acquire(timeout=patience_s)
                if batch.is_over:
                    batch.pass_on(call)
                    return
                if self._take(lane, batch, call):
                    break
                patience_s = _OVERDUE_S
        batch.store()

    def _abandon(self, call: Waiting) -> None:
        """Leave nobody waiting for a call that ends with an exception, which may be Ctrl-C at any point."""
        lane, batch = call.lane, call.batch
        call.waits = False
        if lane is None or batch is None:
            return
        if batch.is_over:
            batch.wake(call.index + 1)
        elif (call.is_first or batch.taker is call) and self._take(lane, batch, call):
            batch.store()

    def _withdraw(self, call: Awaiting) -> None:
        """Take back the message of a call that was cancelled, unless it is being sent."""
        with self._gate:
            if call.batch is not None and call.lane is not None and call.lane.open is call.batch:
                call.batch.remove(call)

    def _keep_beside(self, call: Awaiting) -> None:
        """Wait for others in a thread, which goes on if the call is cancelled. It is no thread of the loop's executor: all
        of those may be among the callers."""
        assert call.lane is not None
        assert call.batch is not None
        try:
            threading.Thread(
                target=self._keep, args=(call.lane, call.batch), name="s3queue-linger", daemon=True
            ).start()
        except RuntimeError:  # the interpreter ends
            self._keep(call.lane, call.batch)

    def _keep(self, lane: Lane, batch: Batch) -> None:
        batch.keeper.lock.acquire(timeout=self.linger)
        if self._take(lane, batch, batch.keeper):
            batch.store()


def _seal(lane: Lane, batch: Batch) -> None:
    """Take no more messages, and let the keeper store the batch."""
    lane.open = None
    batch.keeper.wake()


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


def _traced(load: Load, message: str) -> str:
    if load.span is not None:
        load.span.sent([message])
    return message


def _failed(load: Load, fault: BaseException) -> None:
    if load.span is not None:
        load.span.failed(fault)


#: The producers of this process. After a fork the child has none of the threads that were inside.
_producers: weakref.WeakSet[Producer] = weakref.WeakSet()


def _after_fork() -> None:
    for producer in list(_producers):
        producer._lanes = {}
        producer._gate, producer._all_left = threading.RLock(), None


os.register_at_fork(after_in_child=_after_fork)
