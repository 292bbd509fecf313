"""Runs one message: finds its task, decodes its arguments, calls it, and reports the outcome.

The path of a message that ends well is the hot path of the whole queue: `Attempts.run` does what it needs and nothing
else.
"""

from __future__ import annotations

import contextlib
import contextvars
import copy
import threading
import time
import traceback
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeAlias

from s3queue.context import Context
from s3queue.core.halts import give_back
from s3queue.core.keys import Layout, parse_source
from s3queue.core.records import Failed, Message, decode_message
from s3queue.errors import CorruptRecord
from s3queue.io.clock import clock
from s3queue.observe.logs import name_the_running
from s3queue.observe.measures import Measures, Tried
from s3queue.runtime.local.journal import WorkerJournal
from s3queue.runtime.worker import outcomes
from s3queue.runtime.worker.awaiting import Awaiting
from s3queue.runtime.worker.batches import Member, each
from s3queue.runtime.worker.dealt import Dealt, Item, Piece
from s3queue.runtime.worker.forks import adopt, part
from s3queue.runtime.worker.notes import Notes
from s3queue.runtime.worker.plans import Plan
from s3queue.runtime.worker.results import Results, Returned, into
from s3queue.runtime.worker.telling import Telling, origin_of

if TYPE_CHECKING:
    from s3queue.tasks import Task

#: Threads of slots have this name, and the number of the slot.
SLOT = "s3queue-slot-"
#: Seconds beyond its time limit for an async task to be cancelled before its process is killed: it may hang in code that
#: does not await.
CANCEL_GRACE_S = 2.0


_At: TypeAlias = tuple[Plan, Piece, int]
#: The attempt to which an async task, and every task that it has started, belongs.
_running: contextvars.ContextVar[_At | None] = contextvars.ContextVar("s3queue_running", default=None)


def _ended(tried: Tried | None, slot: int, many: int = 1) -> None:
    """Count attempts that have ended."""
    if tried is not None:
        tried.ran[slot] += many


class Attempts:
    """Runs attempts.

    Args:
        find: returns the task of a queue and a name, or None.
        telling: reports attempts.
        awaiting: runs coroutines.
        results: stores the results of tasks that keep them.
        middleware: around every attempt, the outermost first.

    Attributes:
        halted: by queue, tasks that are paused; replaced, never changed.
    """

    def __init__(
        self,
        journal: WorkerJournal,
        *,
        layout: Layout,
        session: str,
        find: Callable[[str, str], Task[..., Any] | None],
        telling: Telling,
        awaiting: Awaiting,
        results: Results,
        notes: Notes,
        middleware: tuple[object, ...] = (),
        measures: Measures | None = None,
    ) -> None:
        self.halted: dict[str, tuple[str, ...]] = {}
        self._measures = measures
        self._notes = notes
        self._telling, self._awaiting = telling, awaiting
        self._middleware = middleware
        self._results = results
        self._journal = journal
        self._layout = layout
        self._session = session
        self._find = find
        self._tell_starts, self._tell_ends = telling.starts, telling.ends
        self._strange = adopt()
        self._plans: dict[tuple[str, str], Plan] = {}
        #: Context variables that imports have set; every message gets a copy of its own.
        self._vars = contextvars.copy_context()
        #: Running messages, by slot.
        self._running: list[_At | None] = [None] * journal.concurrency
        name_the_running(self.running)

    def cancel(self) -> None:
        """The session is over, and each `Dealt` of it is marked so. Cancel async tasks. A sync task that does not check
        its context continues, and its outcome is dropped.
        """
        self._awaiting.cancel()

    def running(self) -> dict[str, Any] | None:
        """The message that the calling code belongs to: called in the thread or the context of a task."""
        at = _running.get()
        if at is None and (name := threading.current_thread().name).startswith(SLOT):
            at = self._running[int(name.removeprefix(SLOT))]
        if at is None:
            return None
        plan, piece, number = at
        return {
            "task": plan.task.name,
            "message_id": self._telling.message_id(piece, number),
            "attempt": piece.part.attempt,
            "queue": piece.dealt.queue,
        }

    def interrupt(self, dealt: Dealt) -> None:
        """More messages of this deal are marked. Cancel their async tasks; a call for several messages only when all of
        them are marked. Sync tasks learn of it when they check their context.
        """
        self._awaiting.interrupt(dealt)

    def run(self, slot: int, piece: Piece, number: int, started: float) -> Failed | Member | None:
        """Start one message, and wait for its end. None: it ended well. A `Member`: it was not started, since its task
        takes several messages at once.
        """
        messages = piece.messages
        if messages is None:
            return self._cannot_run(piece, number)
        dealt, source = piece.dealt, piece.part
        attempt = source.attempt
        try:
            message = decode_message(source.source, messages[number])
        except CorruptRecord as fault:
            return self._telling.failed(None, piece, number, outcomes.dead(attempt, "corrupt", str(fault)))
        if self.halted and self._is_halted(dealt, message):
            return give_back(message.task)
        plan = self._plans.get((dealt.queue, message.task)) or self._plan(dealt.queue, message.task)
        if plan is None:
            text = f"no task {message.task!r} for queue {dealt.queue!r} in this worker"
            return self._telling.unfit(attempt, "unknown_task", text, f"{message.task}@")
        headers = message.headers
        if headers:
            plan, headers = plan.of(message)
        if attempt - dealt.spared > plan.max_attempts:
            return self._telling.over(plan, piece, number)
        if piece.expires_ms is not None and time.time() * 1000 >= piece.expires_ms:
            return Failed("expired")  # the coordinator tells
        if plan.batch:
            return Member((piece, number), self._plans[dealt.queue, message.task], plan, message, headers)
        limit = plan.time_limit
        deadline = 0.0 if limit is None else started + limit + (CANCEL_GRACE_S if plan.is_async else 0.0)
        # From here on a death of this process counts as an attempt of this message.
        self._journal.start(slot, dealt.row, piece.first + number, started, deadline)
        tried = plan.tried
        if self._tell_starts:
            self._telling.started(plan, piece, number)
        try:
            args, kwargs = plan.decode(message.payload)
        except ValueError as wrong:
            _ended(tried, slot)
            return self._telling.misfit(plan, piece, number, message, wrong)
        except Exception as raised:  # noqa: BLE001 - of types of the user's, or for want of memory
            _ended(tried, slot)
            return self._telling.failed(plan, piece, number, outcomes.judge(plan.terms, attempt, dealt.spared, raised))
        ctx = self._context(slot, plan, piece, number, headers) if plan.wants_ctx else None
        variables = self._vars.copy()
        self._running[slot] = at = (plan, piece, number)
        if plan.is_async:
            variables.run(_running.set, at)
        try:
            result = variables.run(plan.call, args, kwargs, ctx)
            if plan.is_async:
                if plan.result_s is not None:
                    box: list[Any] = []
                    result = into(box, result)
                ended_with = self._awaiting.result(((dealt, piece.first + number),), variables, result, limit)
                if ended_with is not None:
                    return self._telling.failed(plan, piece, number, self._judged(plan, piece, number, ended_with))
                if plan.result_s is not None:
                    result = box[0]
            elif self._strange[0]:
                part(None)
        except BaseException as raised:  # noqa: BLE001 - SystemExit in a task ends the attempt, not the worker
            if self._strange[0]:
                part(raised)
            return self._telling.failed(plan, piece, number, self._judged(plan, piece, number, raised))
        finally:
            self._running[slot] = None
            if tried is not None and not dealt.over:  # only at the end of a deal: a running message may yet fail
                counts = tried.ran
                ran = counts[slot] = counts[slot] + 1
                if ran >= tried.due[slot]:
                    self._timed(plan, slot, piece, started)
        if plan.result_s is not None and (failed := self._keep(plan, slot, piece, number, result)) is not None:
            return failed
        if self._tell_ends:
            self._telling.succeeded(plan, piece, number, clock() - started)
        return None

    def _timed(self, plan: Plan, slot: int, piece: Piece, started: float) -> None:
        assert self._measures is not None
        assert plan.tried is not None
        part, weight = piece.part, plan.tried.weight(slot)
        queue, name = piece.dealt.queue, plan.task.name
        is_first = part.attempt == 1 and not piece.dealt.begun
        self._measures.ran(queue, name, part.source if is_first else "", started, clock() - started, weight)

    # ---- several at once -----------------------------------------------------------------------------------

    def member(self, item: Item) -> Member | None:
        """The message, if its task takes several at once and it may be started."""
        piece, number = item
        expires_ms = piece.expires_ms
        if piece.messages is None or piece.dealt.over or (expires_ms is not None and time.time() * 1000 >= expires_ms):
            return None
        with contextlib.suppress(CorruptRecord):
            message = decode_message(piece.part.source, piece.messages[number])
            if self.halted and self._is_halted(piece.dealt, message):
                return None
            task = self._plans.get((piece.dealt.queue, message.task))
            if task is not None and task.batch:
                own, headers = task.of(message) if message.headers else (task, message.headers)
                if piece.part.attempt - piece.dealt.spared <= own.max_attempts:
                    return Member(item, task, own, message, headers)
        return None

    def run_together(self, slot: int, members: list[Member], started: float) -> list[Failed | None]:
        """Start these messages with one call of their task, and wait for its end. Outcomes by message; None: it ended
        well."""
        plan, many = members[0].task, len(members)
        limit = min((one.own.time_limit for one in members if one.own.time_limit is not None), default=None)
        deadline = 0.0 if limit is None else started + limit + (CANCEL_GRACE_S if plan.is_async else 0.0)
        for (piece, number), *_ in members:
            self._journal.start(slot, piece.dealt.row, piece.first + number, started, deadline)
        if many > 1:
            self._journal.share(slot)
        found: list[Failed | None] = [None] * many
        values: dict[int, Any] = {}
        now_ms = time.time() * 1000
        for at, one in enumerate(members):
            piece, number = one.item
            if piece.expires_ms is not None and now_ms >= piece.expires_ms:  # while others were waited for
                found[at] = Failed("expired")  # the coordinator tells
                many -= 1
                continue
            if self.halted and self._is_halted(piece.dealt, one.message):  # paused while others were waited for
                found[at] = give_back(one.message.task)
                many -= 1
                continue
            if piece.first + number in piece.dealt.marked:  # while the others of its batch were waited for
                found[at] = self._telling.failed(one.own, piece, number, outcomes.unbegun(piece.part.attempt))
                continue
            if self._tell_starts:
                self._telling.started(plan, piece, number)
            try:
                values[at] = plan.decode(one.message.payload)[0][0]
            except ValueError as wrong:
                found[at] = self._telling.misfit(one.own, piece, number, one.message, wrong)
            except Exception as raised:  # noqa: BLE001 - of types of the user's, or for want of memory
                found[at] = self._telling.failed(one.own, piece, number, self._judged(one.own, piece, number, raised))
        if not values:
            _ended(plan.tried, slot, many)
            return found
        contexts = [self._context(slot, members[at].own, *members[at].item, members[at].headers) for at in values]
        ctx = copy.copy(contexts[0])
        ctx.batch = tuple(contexts)
        try:
            ends = each(
                plan.task.label,
                len(values),
                self._call(slot, plan, [members[at].item for at in values], values, ctx, limit),
            )
        except BaseException as raised:  # noqa: BLE001 - SystemExit in a task ends the attempts, not the worker
            if self._strange[0]:
                part(raised)
            ends = [raised] * len(values)
        if plan.tried is not None:
            _ended(plan.tried, slot, many)
            self._timed(plan, slot, members[0].item[0], started)
        if plan.result_s is not None:
            ends = self._keep_each(plan, slot, [members[at].item for at in values], ends)
        for at, ended_with in zip(values, ends, strict=True):
            own, (piece, number) = members[at].own, members[at].item
            if isinstance(ended_with, BaseException):
                found[at] = self._telling.failed(own, piece, number, self._judged(own, piece, number, ended_with))
            elif self._tell_ends:
                self._telling.succeeded(own, piece, number, clock() - started)
        return found

    def _call(
        self, slot: int, plan: Plan, items: list[Item], values: dict[int, Any], ctx: Context, limit: float | None
    ) -> Any:
        """Call the task. Returns what it returns, and raises what it raises."""
        piece, number = items[0]
        variables = self._vars.copy()
        self._running[slot] = at = (plan, piece, number)
        if plan.is_async:
            variables.run(_running.set, at)
        try:
            result = variables.run(plan.call, (list(values.values()),), {}, ctx)
            if plan.is_async:
                box: list[Any] = []
                those = [(of.dealt, of.first + at) for of, at in items]
                ended_with = self._awaiting.result(those, variables, into(box, result), limit)
                if ended_with is not None:
                    raise ended_with
                result = box[0]
            elif self._strange[0]:
                part(None)
            return result
        finally:
            self._running[slot] = None

    def _is_halted(self, dealt: Dealt, message: Message) -> bool:
        return message.task in self.halted.get(dealt.queue, ())

    # ---- what becomes of one -------------------------------------------------------------------------------

    def _keep(self, plan: Plan, slot: int, piece: Piece, number: int, value: Any) -> Failed | None:
        """Store the return value. If it can never be stored, the attempt has failed."""
        result_s = plan.result_s
        assert result_s is not None
        self._journal.unlimit(slot)  # the task has ended in time; the store may be away for longer
        try:
            self._results.keep(*self._result(plan, piece, number, value), result_s)
        except Exception as raised:  # noqa: BLE001 - too large, refused, or not to be encoded, perhaps for a type of the user's
            return self._telling.failed(plan, piece, number, self._judged(plan, piece, number, raised))
        return None

    def _keep_each(self, plan: Plan, slot: int, items: list[Item], ends: list[Any]) -> list[Any]:
        """Store what the task returned for each message. Returns how they ended: where that can never be, they failed."""
        result_s, ends = plan.result_s, ends.copy()
        assert result_s is not None
        self._journal.unlimit(slot)  # as in `_keep`
        those: dict[int, Returned] = {}
        for at, (item, value) in enumerate(zip(items, ends, strict=True)):
            if not isinstance(value, BaseException):
                try:
                    those[at] = self._result(plan, *item, value)
                except Exception as raised:  # noqa: BLE001 - as in `_keep`
                    ends[at] = raised
        for at, fault in zip(those, self._results.keep_all(list(those.values()), result_s), strict=True):
            if fault is not None:
                ends[at] = fault
        return ends

    def _result(self, plan: Plan, piece: Piece, number: int, value: Any) -> Returned:
        encoded, life = plan.task.encode_result(value), parse_source(piece.part.source).life
        return Returned(piece.dealt, self._telling.message_id(piece, number), encoded, life)

    @staticmethod
    def _judged(plan: Plan, piece: Piece, number: int, raised: BaseException) -> Failed:
        dealt, attempt = piece.dealt, piece.part.attempt
        if dealt.marked and piece.first + number in dealt.marked:
            return outcomes.cancelled(attempt, raised)
        return outcomes.judge(plan.terms, attempt, dealt.spared, raised)

    def faulty(self, piece: Piece, number: int) -> Failed:
        """The outcome of a message that could not be run because of the exception being handled: an error of this
        library."""
        text = traceback.format_exc()
        outcome = outcomes.retry(outcomes.FAULT_DELAY_S, piece.part.attempt, "error", text)
        return self._telling.failed(None, piece, number, outcome)

    def _cannot_run(self, piece: Piece, number: int) -> Failed:
        fault = piece.fault
        assert fault is not None
        # Of a source that cannot be read the agent tells, once for all of its messages.
        return fault if fault.kind == "snooze" else self._telling.failed(None, piece, number, fault)

    def _plan(self, queue: str, name: str) -> Plan | None:
        task = self._find(queue, name)
        if task is None:
            return None
        terms = outcomes.Terms(task.max_attempts, task.time_limit, task.policy)
        tried = None if self._measures is None else self._measures.task(queue, name, self._journal.concurrency)
        # Several slots may meet a task at once. All go by one plan: a batch is of messages of one.
        return self._plans.setdefault((queue, name), Plan(task, terms, self._middleware, tried))

    def _context(self, slot: int, plan: Plan, piece: Piece, number: int, headers: dict[str, str]) -> Context:
        dealt, limit, soft_s, now = piece.dealt, plan.time_limit, plan.soft_s, time.monotonic()
        at, origin = piece.first + number, origin_of(piece, number)
        given = dealt.memos.get(at) or (origin.memo if origin is not None else None)
        return Context(
            self._layout.message_id(piece.part.source, piece.part.start + number) if origin is None else origin.message,
            dealt.queue,
            plan.task.name,
            piece.part.attempt,
            dealt.token,
            self._session,
            None if limit is None else now + limit,
            headers,
            dealt.cancelled,
            None if soft_s is None else now + soft_s,
            dealt,
            piece.first + number,
            self._notes.page(slot, dealt, at, given),
        )
