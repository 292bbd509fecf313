"""One call that enqueues: its batches on their way into a queue, and the state of each.

The id of a message is chosen before the message is sent. However a call ends (no answer, a cancelled coroutine,
Ctrl-C), its caller can therefore learn which messages are stored, which may be, and can send exactly the same again.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, NamedTuple

from msgspec import Raw

from s3queue.core import operate, produce
from s3queue.core.keys import request_path
from s3queue.core.once import Call, Once, enqueue_once
from s3queue.core.records import REPLACE, Request
from s3queue.enqueue.batches import batch_ids, portions
from s3queue.errors import ConfigError, CorruptRecord, EnqueueUncertain, StoreDenied, StoreUnavailable
from s3queue.io.clock import clock
from s3queue.io.drive import Driver, pauses
from s3queue.middleware.enqueuing import caller

if TYPE_CHECKING:
    from s3queue.middleware.enqueuing import Enqueuing
    from s3queue.observe.tracing import SendSpan
    from s3queue.options.once import OnlyOnce
    from s3queue.queue import Queue

__all__ = ["Load", "Sending"]

#: Pauses between two sends of an unanswered put, in seconds.
_FIRST_PAUSE_S, _LAST_PAUSE_S = 0.1, 5.0
#: Age in seconds at which S3 refuses the signature of a request: how late one may still take effect
#: (https://docs.aws.amazon.com/AmazonS3/latest/API/sig-v4-authenticating-requests.html).
_SIGNATURE_S = 900.0


class Load(NamedTuple):
    """Checked and encoded messages, and their destination."""

    queue: Queue
    messages: list[bytes]
    priority: int
    group: str | None
    due_ms: int | None
    key: str | None = None
    expires_ms: int | None = None
    span: SendSpan | Enqueuing | None = None
    once: OnlyOnce | None = None


class _Stopped(Exception):
    """The call was cancelled before this batch was sent."""


class Sending:
    """The messages of one call. Batches are sent one after the other.

    Args:
        prepare: checks and encodes, and makes no request; called by the first `run`.
    """

    def __init__(self, prepare: Callable[[], Load]) -> None:
        self._prepare = prepare
        self._load: Load | None = None
        #: Batches still to be sent, the last one first.
        self._left: list[list[Raw]] = []
        self._portion: list[Raw] = []
        self._stored: list[str] = []
        self._outgoing: produce.Outgoing | None = None
        #: Ids of the batch that is under way, in the order of the call.
        self._under_way: list[str] = []
        #: When it was first sent, by a clock that counts the time in which the machine is suspended; None where it
        #: certainly has not been.
        self._sent: float | None = None
        #: For a message that is enqueued only once: what was tried so far, and whether this call enqueued it.
        self._call: Call | None = None
        self.is_new = True
        self._busy = threading.Lock()
        self._gate = threading.Lock()
        self._stop = False

    @property
    def queue(self) -> Queue:
        """Where its messages are, once `run` has returned."""
        assert self._load is not None
        return self._load.queue

    # ---- the call ------------------------------------------------------------------------------------------------

    def run(self, again: bool = False) -> list[str]:
        """Send the messages not known to be stored, and return the ids of all messages in the order of the call.

        Args:
            again: whether an earlier run ended otherwise. What may be stored is sent as it was, so that it is stored once.

        Raises:
            ConfigError: nothing was sent. With ``again``: it is too late, since the queue may have forgotten
                a batch that was stored and has run.
            EnqueueUncertain: a batch may or may not be stored.
            StoreUnavailable, StoreDenied, CorruptRecord: a batch is not stored; a note says how many messages before it
                are.
        """
        with self._busy:
            if again:
                self._check_age()
                self._stop = False
            try:
                return self._tried()
            except (StoreUnavailable, StoreDenied, CorruptRecord) as fault:
                if self._sent is not None:  # an earlier try may still take effect
                    raise self.uncertain() from fault
                if self._stored:
                    fault.add_note(f"the first {len(self._stored)} messages of this call are stored")
                raise
            except (EnqueueUncertain, _Stopped):
                raise
            except BaseException as fault:
                # Ctrl-C, a signal handler that raises, a fault of a backend: the caller gets the exception as it is. Its
                # cause tells which messages may be stored.
                if self._sent is None and not self._stored:
                    raise
                raise fault from self.uncertain()

    def reserve(self) -> str:
        """Choose the id of the one message of this call, before it is sent; `run` stores it under that id.

        Raises: as `run` before anything is sent.

        Asks: of a queue that this object has not enqueued to, one GET.
        """
        with self._busy:
            load = self._load = self._prepare()
            self._left = portions(load.messages)
            self._next(load, load.queue.newest_first())
            return self._under_way[0]

    def _tried(self) -> list[str]:
        """As `_run`, and ends the span of the call, if it has one."""
        try:
            ids = self._run()
        except BaseException as fault:
            if self._load is not None and self._load.span is not None:
                self._load.span.failed(fault)
            raise
        if self._load is not None and self._load.span is not None:
            self._load.span.sent(ids)
        return ids

    async def arun(self, again: bool = False) -> list[str]:
        """As `run`, in a thread. Cancelled, it sends nothing more than what is under way; if anything is or may be stored,
        the CancelledError has an `EnqueueUncertain` as its cause."""
        import asyncio
        from contextvars import copy_context

        try:
            try:
                loop, context = asyncio.get_running_loop(), copy_context()
                context.run(caller.set, loop)
                sending = loop.run_in_executor(None, context.run, self.run, again)
            except RuntimeError:
                # The main thread has ended, and executors start nothing any more.
                return self.run(again)
            return await sending
        except asyncio.CancelledError as cancelled:
            with self._gate:
                self._stop = True
                known = self._sent is not None or bool(self._stored)
            if known:
                raise cancelled from self.uncertain()
            raise

    def uncertain(self) -> EnqueueUncertain:
        """The exception for the caller now."""
        return EnqueueUncertain((self._under_way or self._stored)[0], tuple(self._stored), tuple(self._under_way), self)

    # ---- batch by batch --------------------------------------------------------------------------------------------

    def _run(self) -> list[str]:
        load = self._load
        if load is None:
            load = self._load = self._prepare()
            self._left = portions(load.messages)
        if load.once is not None:
            if not self._stored:
                self._run_once(load, load.once, load.queue.newest_first(), load.queue.driver())
            return self._stored
        if not self._left and self._outgoing is None:
            return self._stored
        newest_first = load.queue.newest_first()
        driver = load.queue.driver()
        while self._outgoing is not None or self._left:
            if self._outgoing is None:
                self._next(load, newest_first)
            self._store(load.queue, driver)
        return self._stored

    def _next(self, load: Load, newest_first: bool) -> None:
        portion = self._left.pop()
        sent_ms, batch = batch_ids.next(newest_first)
        if newest_first:
            portion.reverse()
        outgoing = produce.new_batch(
            load.queue.name,
            portion,
            sent_ms=sent_ms,
            batch=batch,
            priority=load.priority,
            group=load.group,
            due_ms=load.due_ms,
            newest_first=newest_first,
            key=load.key,
            expires_ms=load.expires_ms,
            gate="" if load.once is None else load.once.gate,
        )
        ids = load.queue.layout.message_ids(outgoing.path, outgoing.count)
        if newest_first:
            ids.reverse()
        self._under_way = ids
        self._outgoing = outgoing

    def _run_once(self, load: Load, once: OnlyOnce, newest_first: bool, driver: Driver) -> None:
        """Make sure that the one message of this call is enqueued, by this call or an earlier one."""
        queue = load.queue
        if self._call is None:
            self._call = Call(queue.name, once.gate, int(once.window_s * 1000), once.takes_over)
        call, portion = self._call, self._left[-1] if self._left else self._portion
        self._portion, self._left = portion, []
        began, waits = clock(), pauses(_FIRST_PAUSE_S, _LAST_PAUSE_S)
        while True:
            now_ms, now = time.time_ns() // 1_000_000, clock()
            self._left = [list(portion)]
            self._next(load, newest_first)
            outgoing, earlier, self._outgoing = self._outgoing, self._sent, None
            assert outgoing is not None
            with self._gate:
                if self._stop:
                    raise _Stopped
                self._sent = now if earlier is None else earlier
            driver.patience_s = max(0.0, began + queue.config.enqueue_deadline - now)
            try:
                nonce = os.urandom(8).hex()
                outcome = driver.run(enqueue_once(queue.layout, call, outgoing, now_ms, nonce, _in_time(queue, now)))
            except (StoreUnavailable, StoreDenied):
                if len(call.offered) == 1 and not call.unsure and call.under_way == outgoing.path and not call.is_held:
                    self._sent = earlier  # the first put was not applied
                raise
            finally:
                self._under_way = [queue.layout.message_id(call.under_way or outgoing.path, 0)]
            if isinstance(outcome, Once):
                break
            pause = next(waits) if isinstance(outcome, produce.Unanswered) else 0.0
            if clock() + pause >= began + queue.config.enqueue_deadline:
                raise self.uncertain()
            time.sleep(pause)
        self.is_new = outcome.is_new
        with self._gate:
            self._stored, self._under_way, self._sent = [queue.layout.message_id(outcome.path, 0)], [], None
        if outcome.replaced:
            self._withdraw(queue, driver, outcome.replaced, began)
        if outcome.is_new:
            queue.tell(self._stored)

    @staticmethod
    def _withdraw(queue: Queue, driver: Driver, path: str, began: float) -> None:
        """Cancel the message that this one replaces, unless it has begun. Without an answer both run."""
        message = queue.layout.message_id(path, 0)
        request = Request(os.urandom(8).hex(), REPLACE, message, reason="a later call takes its place")
        name, waits = (
            request_path(time.time_ns() // 1_000_000, os.urandom(8).hex()),
            pauses(_FIRST_PAUSE_S, _LAST_PAUSE_S),
        )
        try:
            while not isinstance(driver.run(operate.ask(queue.layout, name, request)), produce.Accepted):
                pause = next(waits)
                if clock() + pause >= began + queue.config.enqueue_deadline:
                    raise StoreUnavailable("put", queue.layout.source(name), "no answer")
                time.sleep(pause)
        except (StoreUnavailable, StoreDenied) as fault:
            queue.events.warn(
                "replace",
                f"message {message} may run as well as the one that replaces it: it could not be cancelled: {fault}",
            )

    def _store(self, queue: Queue, driver: Driver) -> None:
        """Make the batch under way exist: the same put, until it is answered or the deadline has passed."""
        assert self._outgoing is not None
        began = now = clock()
        patience_s = queue.config.enqueue_deadline
        waits: Iterator[float] | None = None
        while True:
            earlier = self._sent
            with self._gate:
                if self._stop:
                    raise _Stopped
                self._sent = now if earlier is None else earlier
            driver.patience_s = max(0.0, began + patience_s - now)
            try:
                outcome = driver.run(produce.enqueue(queue.layout, self._outgoing))
            except (StoreUnavailable, StoreDenied):
                self._sent = earlier
                raise
            except CorruptRecord:  # another object has this key: no try of ours can ever take effect
                self._sent = None
                raise
            if isinstance(outcome, produce.Accepted):
                break
            waits = waits or pauses(_FIRST_PAUSE_S, _LAST_PAUSE_S)
            pause = next(waits)
            if clock() + pause >= began + patience_s:
                raise self.uncertain()
            queue.events.warn(
                "unanswered", f"no answer from {queue.store.url} to a batch; sending the same batch again"
            )
            time.sleep(pause)
            now = clock()
            if now >= began + patience_s:  # the machine was suspended: it may have been stored, run and forgotten since
                raise self.uncertain()
        ids = self._under_way
        with self._gate:
            self._stored = self._stored + ids if self._stored else ids
            self._outgoing, self._under_way, self._sent = None, [], None
        queue.tell(ids)

    def _check_age(self) -> None:
        """A request may take effect `_SIGNATURE_S` after it was sent; by then the first one must not be forgotten."""
        load, sent = self._load, self._sent
        if load is None or sent is None:
            return
        config = load.queue.config
        age_s, most_s = clock() - sent, config.dedup_window - config.enqueue_deadline - _SIGNATURE_S
        if most_s <= 0:
            most_s = config.dedup_window / 5
        if age_s > most_s:
            raise ConfigError(
                f"first sent {age_s:.0f} s ago, a message cannot be sent again safely after {most_s:.0f} s",
                "if it was stored it may have run; enqueue it anew only where a duplicate is better than a loss",
            )


def _in_time(queue: Queue, began: float) -> Callable[[], bool]:
    return lambda: clock() < began + queue.config.enqueue_deadline
