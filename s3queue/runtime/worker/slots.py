"""Runs messages: one thread per slot, and one event loop for all tasks that are ``async def``.

The path of a message that ends well is the hot path of the whole queue: `Slots._serve` and `Slots._run` do what it
needs and nothing else.
"""

from __future__ import annotations

import asyncio
import os
import random
import threading
import time
import traceback
from collections.abc import Callable, Coroutine
from concurrent.futures import Future
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any

from s3queue.context import Context
from s3queue.core.keys import Layout
from s3queue.core.records import Failed, Failure, decode_message
from s3queue.errors import CorruptRecord, Fenced, Reject, Retry, Snooze
from s3queue.observe.events import Events
from s3queue.runtime.local.clock import clock
from s3queue.runtime.local.journal import OK, STATES, Journal, WorkerJournal
from s3queue.runtime.local.wire import FailedNote, Finished, Note
from s3queue.runtime.worker.sources import Dealt, Item, Piece

if TYPE_CHECKING:
    from s3queue.tasks import Task

#: How long a message of a task that this worker does not know waits, in seconds: a newer release may be on its way.
UNKNOWN_DELAY_S = 30.0
#: A failure's text, at most, in characters: it is kept on the board until the message is settled.
TEXT_CHARS = 2000
#: What an async task gets beyond its time limit to be cancelled in, in seconds, before its process is killed: it may
#: hang in code that does not await.
CANCEL_GRACE_S = 2.0
#: How long a slot waits before it looks at the trust window again by itself, in seconds.
_RECHECK_S = 0.25


class _Overran(Exception):
    """An async task reached its time limit and was cancelled."""


class _Plan:
    """What has to be known of a task for every message of it, looked up once."""

    __slots__ = ("call", "decode", "is_async", "max_attempts", "task", "time_limit", "wants_ctx")

    def __init__(self, task: Task[..., Any]) -> None:
        self.task = task
        self.decode = task.decode
        self.call = task.call
        self.is_async = task.is_async
        self.wants_ctx = task.wants_ctx
        self.max_attempts = task.max_attempts
        self.time_limit = task.time_limit


class Slots:
    """The slots of one worker.

    Args:
        ready: messages to run; None ends one slot.
        find: the task of a queue and a name, or None.
        send: to the agent.
        finished: told of each row that has ended, after the agent was.
    """

    def __init__(
        self,
        ready: SimpleQueue[Item | None],
        journal: Journal,
        worker: int,
        *,
        layout: Layout,
        session: str,
        find: Callable[[str, str], Task[..., Any] | None],
        send: Callable[[Note], None],
        finished: Callable[[Dealt], None],
        events: Events,
    ) -> None:
        self._ready = ready
        self._journal: WorkerJournal = journal.worker(worker)
        self._trust = journal.trust
        self._layout = layout
        self._session = session
        self._find = find
        self._send = send
        self._finished = finished
        self._events = events
        self._tell_runs = events.wants("run")
        self._plans: dict[tuple[str, str], _Plan] = {}
        #: Guards what follows; notified when the trust window or the session changes.
        self._gate = threading.Condition()
        self._held: list[Item | None] = [None] * journal.concurrency
        self._awaited: set[Future[BaseException | None]] = set()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._threads = [
            threading.Thread(target=self._work, args=(slot,), name=f"s3queue-slot-{slot}", daemon=True)
            for slot in range(journal.concurrency)
        ]

    def start(self) -> None:
        for thread in self._threads:
            thread.start()

    # ---- for the worker's main thread ----------------------------------------------------------------------

    def look_again(self) -> None:
        """The trust window was extended."""
        with self._gate:
            self._gate.notify_all()

    def take_back(self) -> list[Item]:
        """The messages that slots took but may not start before the trust window is extended; they will not start."""
        with self._gate:
            items = [item for item in self._held if item is not None]
            self._held = [None] * len(self._held)
            self._gate.notify_all()
        return items

    def cancel(self) -> None:
        """The session is over, and every `Dealt` of it says so by now. Tasks that are async are cancelled; one that
        is not, and does not look at its context, runs on, and nobody listens to it."""
        with self._gate:
            awaited = list(self._awaited)
            self._gate.notify_all()
        for future in awaited:
            future.cancel()

    def stop(self) -> None:
        """End the threads. Nothing is running."""
        for _ in self._threads:
            self._ready.put(None)
        for thread in self._threads:
            thread.join()

    # ---- one slot ------------------------------------------------------------------------------------------

    def _work(self, slot: int) -> None:
        try:
            self._serve(slot)
        except BaseException:  # noqa: BLE001 - ours, not the task's. Half a worker is none: the journal tells the rest
            traceback.print_exc()
            os._exit(1)

    def _serve(self, slot: int) -> None:
        get, trust, journal = self._ready.get, self._trust, self._journal
        while (item := get()) is not None:
            piece, number = item
            dealt = piece.dealt
            started = clock()
            if started > trust[0] or dealt.over:
                if not self._trusted(slot, item):
                    continue
                started = clock()
            failed = self._run(slot, piece, number, started)
            ended = clock()
            if dealt.over:
                journal.finish(slot, None)
                continue
            if failed is None:
                journal.finish(slot, OK)
            else:
                # The note first: a state says that the agent has been told, or died without hearing it.
                self._send(FailedNote(dealt.row, piece.first + number, failed))
                journal.mark(dealt.row, piece.first + number, STATES[failed.kind])
                journal.finish(slot, None)
            dealt.busy_s[slot] += ended - started
            self.end(dealt)

    def end(self, dealt: Dealt) -> None:
        """One message less. Whoever ends the last one of the row says so."""
        if next(dealt.ended) == dealt.last:
            self._finished(dealt)
            self._send(Finished(dealt.row, sum(dealt.busy_s)))

    def _trusted(self, slot: int, item: Item) -> bool:
        """Wait until this message may start; False if it never may, since it was taken back or its session is over."""
        with self._gate:
            self._held[slot] = item
            while self._held[slot] is item and not item[0].dealt.over:
                if clock() <= self._trust[0]:
                    self._held[slot] = None
                    return True
                self._gate.wait(_RECHECK_S)
            self._held[slot] = None
            return False

    def _run(self, slot: int, piece: Piece, number: int, started: float) -> Failed | None:
        """Start one message and wait for its end. None: it ended well."""
        dealt = piece.dealt
        messages = piece.messages
        if messages is None:
            return piece.fault
        part = piece.part
        attempt = part.attempt
        try:
            message = decode_message(part.source, messages[number])
        except CorruptRecord as fault:
            return _dead(attempt, "corrupt", str(fault))
        plan = self._plans.get((dealt.queue, message.task)) or self._plan(dealt.queue, message.task)
        if plan is None:
            text = f"no task {message.task!r} for queue {dealt.queue!r} in this worker"
            return _retry(UNKNOWN_DELAY_S, attempt, "unknown_task", text)
        if attempt > plan.max_attempts:
            return Failed("dead")
        limit = plan.time_limit
        deadline = 0.0 if limit is None else started + limit + (CANCEL_GRACE_S if plan.is_async else 0.0)
        # From here on a death of this process counts as an attempt of this message.
        self._journal.start(slot, dealt.row, piece.first + number, started, deadline)
        if self._tell_runs:
            self._tell(piece, number)
        try:
            args, kwargs = plan.decode(message.payload)
        except Exception as fault:  # noqa: BLE001 - ValueError by contract; types of the user's may raise what they like
            return _dead(attempt, "corrupt", f"the payload does not fit {plan.task.label}: {fault}")
        ctx = self._context(plan, piece, number, message.headers) if plan.wants_ctx else None
        try:
            result = plan.call(args, kwargs, ctx)
            if plan.is_async:
                raised = self._await(dealt, result, limit)
                if raised is not None:
                    return self._judge(plan, attempt, raised)
        except BaseException as raised:  # noqa: BLE001 - SystemExit in a task ends the attempt, not the worker
            return self._judge(plan, attempt, raised)
        return None

    def _plan(self, queue: str, name: str) -> _Plan | None:
        task = self._find(queue, name)
        if task is None:
            return None
        plan = self._plans[queue, name] = _Plan(task)
        return plan

    def _context(self, plan: _Plan, piece: Piece, number: int, headers: dict[str, str]) -> Context:
        part, dealt, limit = piece.part, piece.dealt, plan.time_limit
        return Context(
            self._layout.message_id(part.source, part.start + number),
            dealt.queue,
            plan.task.name,
            part.attempt,
            dealt.token,
            self._session,
            None if limit is None else time.monotonic() + limit,
            headers,
            dealt.cancelled,
        )

    def _tell(self, piece: Piece, number: int) -> None:
        part = piece.part
        message = self._layout.message_id(part.source, part.start + number)
        self._events.emit("run", message=message, attempt=part.attempt, ticket=piece.dealt.ticket, pid=os.getpid())

    # ---- what did not end well -----------------------------------------------------------------------------

    def _judge(self, plan: _Plan, attempt: int, raised: BaseException) -> Failed:
        """The outcome of an attempt that ended with an exception."""
        try:
            return self._outcome_of(plan, attempt, raised)
        except Exception as wrong:  # noqa: BLE001 - the task's own kind of Retry, Snooze or Reject, and half made
            return self._outcome_of(plan, attempt, wrong)

    def _outcome_of(self, plan: _Plan, attempt: int, raised: BaseException) -> Failed:
        match raised:
            case Snooze():
                return Failed("snooze", max(0.0, raised.after))
            case Reject():
                return _dead(attempt, "rejected", raised.why)
            case Retry():
                cause, text = "error", raised.why or str(raised)
            case _Overran():
                cause, text = "time_limit", f"cancelled at its time limit of {plan.time_limit:g} s"
            case _:
                cause, text = "error", describe(raised)
        if attempt >= plan.max_attempts:
            return _dead(attempt, cause, text)
        after = raised.after if isinstance(raised, Retry) else None
        delay_s = plan.task.backoff.delay(attempt, random.random()) if after is None else max(0.0, after)
        return _retry(delay_s, attempt, cause, text)

    # ---- async tasks ---------------------------------------------------------------------------------------

    def _await(self, dealt: Dealt, coroutine: Coroutine[Any, Any, Any], limit: float | None) -> BaseException | None:
        """Have the loop run it to its end. What it raised, or None."""
        with self._gate:
            if dealt.over:  # cancelled before it began; `cancel` does not know of it
                coroutine.close()
                return Fenced(dealt.ticket)
            future = asyncio.run_coroutine_threadsafe(_outcome(coroutine, limit), self._running_loop())
            self._awaited.add(future)
        try:
            return future.result()
        finally:
            with self._gate:
                self._awaited.discard(future)

    def _running_loop(self) -> asyncio.AbstractEventLoop:
        if self._loop is None:
            self._loop = asyncio.new_event_loop()
            threading.Thread(target=_turn, args=(self._loop,), name="s3queue-loop", daemon=True).start()
        return self._loop


async def _outcome(coroutine: Coroutine[Any, Any, Any], limit: float | None) -> BaseException | None:
    # Whatever was raised is returned: SystemExit let through would end the loop, and with it every other task.
    try:
        async with asyncio.timeout(limit) as timeout:
            await coroutine
    except BaseException as raised:  # noqa: BLE001
        return _Overran() if isinstance(raised, TimeoutError) and timeout.expired() else raised
    return None


def _turn(loop: asyncio.AbstractEventLoop) -> None:
    asyncio.set_event_loop(loop)
    while True:
        try:
            loop.run_forever()
        except (SystemExit, KeyboardInterrupt):  # from a task that a task has left behind
            traceback.print_exc()


def _dead(attempt: int, cause: str, text: str) -> Failed:
    return Failed("dead", 0.0, _failure(attempt, cause, text))


def _retry(delay_s: float, attempt: int, cause: str, text: str) -> Failed:
    return Failed("retry", delay_s, _failure(attempt, cause, text))


def _failure(attempt: int, cause: str, text: str) -> Failure:
    # A lone surrogate, as in the name of a file that is not UTF-8, has no place in a record.
    text = text[-TEXT_CHARS:].encode("utf-8", "backslashreplace").decode()
    return Failure(attempt, cause, text, round(time.time() * 1000))


def describe(raised: BaseException) -> str:
    """The traceback from the task's own code on, its end if it is long."""
    try:
        frames = raised.__traceback__
        while (
            frames is not None
            and frames.tb_next is not None
            and frames.tb_frame.f_globals.get("__name__", "").startswith("s3queue.")
        ):
            frames = frames.tb_next
        text = "".join(traceback.format_exception(type(raised), raised, frames))
    except Exception as worse:  # noqa: BLE001 - an exception that cannot even be printed
        text = f"{type(raised).__name__} (cannot be shown: {type(worse).__name__})"
    return text[-TEXT_CHARS:]
