"""One message: its state, its result, and the actions on it."""

from __future__ import annotations

import secrets
import time
from typing import TYPE_CHECKING, Any

from s3queue.config import Config, current_config, current_store
from s3queue.core.keys import Layout, check_name, parse_message_id, parse_source
from s3queue.core.records import (
    CANCEL,
    RUN_NOW,
    Request,
)
from s3queue.core.results import Looked, Verdict
from s3queue.errors import ConfigError, CorruptRecord, ResultGone, TaskCancelled, TaskFailed
from s3queue.io.drive import Driver
from s3queue.io.meter import Meter
from s3queue.operate.asking import check_force
from s3queue.operate.operation import Operation
from s3queue.operate.status import MessageProgress, OneMessage, Status
from s3queue.operate.views import decode_payload, time_of
from s3queue.store import ObjectStore, as_store

if TYPE_CHECKING:
    from s3queue.operate.details import MessageDetails
    from s3queue.tasks import Task

__all__ = ["MessageHandle", "message"]

#: The payload stays as it is.
UNCHANGED: Any = object()


def message(
    id: str, store: ObjectStore | str | None = None, *, namespace: str | None = None, config: Config | None = None
) -> MessageHandle:
    """The message with this id, to see and to steer it. Makes no request.

    Args:
        id: as `enqueue` returned it.
        store, namespace, config: as of `Queue`.

    Raises:
        ConfigError: the string is no id of a message, or no store was named.
    """
    return MessageHandle(id, store, namespace=namespace, config=config)


class MessageHandle:
    """One message of a queue. From `message` or `MessageId.handle`. Safe to use from many threads.

    Every method that makes requests retries them for ``enqueue_deadline``, and raises `StoreUnavailable` after that;
    `StoreDenied` at once.

    Args:
        task: decodes the result; None: it is decoded to builtins.

    Attributes:
        id: its id.
        queue: the name of its queue.
        meter: counts the requests that this object made.

    Raises:
        ConfigError: the string is no id of a message, or no store was named.
    """

    def __init__(
        self,
        id: str,
        store: ObjectStore | str | None = None,
        *,
        namespace: str | None = None,
        config: Config | None = None,
        task: Task[..., Any] | None = None,
    ) -> None:
        self._task = task
        try:
            self._ref = parse_message_id(id)
        except (CorruptRecord, AttributeError, TypeError):  # the latter: no text at all
            raise ConfigError(f"not the id of a message: {id!r}", "as enqueue returned it") from None
        self.id = str.__str__(id)
        self.config = config or current_config()
        self.store = current_store() if store is None else as_store(store)
        self.layout = Layout(check_name(namespace or self.config.namespace, "namespace"), self._ref.part)
        self.queue = parse_source(self._ref.path).queue
        self.meter = Meter()
        self._driver = Driver(self.store, self.meter, patience_s=self.config.enqueue_deadline)
        self._one = OneMessage(self._driver, self.layout, self.id, self._ref)

    def __repr__(self) -> str:
        return f"<message {self.id!r} on {self.store.url}>"

    # ---- look ----------------------------------------------------------------------------------------------

    def status(self) -> Status:
        """Where it is now.

        Returns:
            ``scheduled`` (its time has not come), ``ready``, ``running`` (a host has it: it runs, or is next there),
            ``waiting`` (failed or snoozed, and not due yet), ``done``, ``dead``, ``cancelled``, ``expired``, or
            ``unknown``: there is no such message, or it has ended and nothing is kept of it.

        How a message ended is known as long as its batch is on the board, and afterwards from its letter or its result
        (``result_ttl``). Without a result, a message that is done shows as ``unknown`` if messages of its queue were ever
        cancelled before they began; and one with ``expires_in`` also if messages of its queue ever expired.

        Asks: two GETs, and a third where it is not on the board. If it is nowhere, two more for its result, one LIST per
        1,000 scheduled batches, and one GET for each batch of its queue that was moved off the board.
        """
        return self._one.status()

    def details(self) -> MessageDetails:
        """Everything that is known of it: failed attempts with cause, host and fencing token, which host runs it, when it
        is due, its progress and its payload as JSON.

        Asks: three GETs while it has not ended, and one more for its progress; otherwise one or two more than `status`.
        """
        from s3queue.operate.details import read_details

        return read_details(self._one, self.config.max_message_bytes)

    def result(self, timeout: float = 60.0) -> Any:
        """Wait until the message has ended, and return what its task returned. For tasks with ``result_ttl``.

        The result of a run is returned only after the board has committed the message as done by that run: never earlier,
        and never the result of a run that did not count.

        Args:
            timeout: seconds to wait; 0: look once.

        Returns:
            The value in the annotated return type of the task if this process knows the task; otherwise in builtins.

        Raises:
            TaskFailed: the message is dead.
            TaskCancelled: it was cancelled, expired or purged after it had begun.
            ResultGone: there is no such message, or it has ended and no result is kept.
            TimeoutError: it has not ended within ``timeout``.
            CorruptRecord: the result does not fit the annotated return type of the task.

        Asks: for a message that has ended two GETs, and one of the board if this process has not read it since. While
        waiting, one GET of the board per look, which all waiting threads and coroutines of this process share. Between two
        looks pass 50 ms at first, later a tenth of the time waited, at most 1 s, on billed stores 5 s. A message that ends
        on this machine wakes them. Until the message is on the board, each look costs one more GET, without a body.
        """
        from s3queue.operate.waiting import wait_for_end

        return self._value_of(wait_for_end(self._driver, self.layout, self.id, timeout), timeout)

    async def aresult(self, timeout: float = 60.0) -> Any:
        """As `result`, for callers on an event loop."""
        from s3queue.operate.waiting import await_end

        return self._value_of(await await_end(self._driver, self.layout, self.id, timeout), timeout)

    def _value_of(self, looked: Looked | None, timeout: float) -> Any:
        if looked is None:
            raise TimeoutError(
                f"after {timeout:g} s message {self.id} has not ended"
                " (`s3queue message ID` shows its state, `s3queue stats` whether a host serves its queue)"
            )
        match looked.verdict:
            case Verdict.DEAD:
                last = looked.letter.failures[-1] if looked.letter is not None and looked.letter.failures else None
                raise TaskFailed(self.id) if last is None else TaskFailed(self.id, last.cause, last.text)
            case Verdict.CANCELLED:
                raise TaskCancelled(self.id, looked.letter.ending if looked.letter is not None else "cancelled")
        result = looked.result
        if looked.verdict is not Verdict.DONE or result is None:
            raise ResultGone(self.id)
        if result.expires_ms <= time.time() * 1000:
            raise ResultGone(self.id, f"has ended, and its result expired at {time_of(result.expires_ms)}")
        try:
            return (
                decode_payload(self.id, result.value) if self._task is None else self._task.decode_result(result.value)
            )
        except ValueError as wrong:
            raise CorruptRecord(self.layout.result(self.id), f"does not fit {self._task!r}: {wrong}") from wrong

    def progress(self) -> MessageProgress | None:
        """How far it is, and the state that its next attempt gets, as of the last write of its host's ledger. None: nothing
        was noted, or it has ended.

        Asks: one GET, and one more while it runs; as `status` where it was moved off the board.
        """
        return self._one.progress()

    # ---- act -----------------------------------------------------------------------------------------------

    def cancel(
        self, *, reason: str = "", force_after: float | None = None, wait: bool = True, timeout: float = 60.0
    ) -> str:
        """Cancel it: it does not start any more, and is asked to stop if it runs.

        A message that its host has not begun is given back, and cancelled. A running ``async def`` task gets an
        `asyncio.CancelledError`; a sync one can check ``ctx.cancelled``. If the task returns all the same, the message is
        done; if it fails, the message is cancelled, and not retried. The answer comes when it has ended.

        Args:
            reason: a note for people, 200 characters; kept in the tombstone of a message that had begun.
            force_after: seconds after which its worker process is killed if it still runs, from when its host learns of
                this; at most 100 days. Other messages of that process run elsewhere, and lose no attempt. None: never.
            wait: wait for the answer.
            timeout: seconds to wait.

        Returns:
            ``cancelled``; ``done``, ``dead`` or ``expired``: it ended so meanwhile; ``over``: it had ended before;
            ``absent``: there was no such message. A message that was enqueued alone then never runs. If its batch arrives
            later, a message of a batch runs all the same: after `EnqueueUncertain` call ``enqueue_again`` first, and cancel
            what is stored then. Empty without ``wait``.

        Raises:
            ConfigError: ``force_after`` or ``timeout`` is out of range.
            StoreUnavailable: no answer of the store; the request may or may not be stored. Calling it again is safe.
            TimeoutError: no answer of the coordinator yet, or it still runs. The request stands.

        Asks: one PUT, and one GET for each look at the answer; more where the message was moved off the board.
        """
        return self._ask(CANCEL, reason, wait, timeout, check_force(force_after))

    def run_now(self, *, wait: bool = True, timeout: float = 60.0) -> str:
        """Start it as soon as a host has room, even if it is scheduled or waits for a retry.

        Args:
            wait: wait for the answer.
            timeout: seconds to wait.

        Returns:
            ``ready``: it may start; ``running``, ``dead``, ``cancelled``, ``over``, ``absent``: nothing was changed,
                since it was so before; ``grouped``: it is scheduled in a group, whose other messages it must not
                overtake. Empty without ``wait``.

        Raises, asks: as `cancel`.
        """
        return self._ask(RUN_NOW, "", wait, timeout)

    def redrive(self, *, payload: Any = UNCHANGED, timeout: float = 60.0) -> str:
        """Run it again, if it is dead: a new life begins, with the same id, at attempt 1. See `Queue.redrive`.

        Args:
            payload: a new payload, in the form of `DeadLetter.payload`: for a task, its arguments by name. Checked against
                the task if this process knows it. By default the payload stays as it is.
            timeout: seconds to wait for the answer.

        Returns:
            ``redriven``; ``no``: it is not dead, or somebody else has redriven or purged it.

        Raises: as `cancel`; `ConfigError` if the payload does not fit or cannot be encoded.

        Asks: one GET, one PUT, and one GET for each look at the answer.
        """
        from s3queue.queue import Queue

        queue = Queue(self.queue, self.store, namespace=self.layout.root, config=self.config)
        edit = None if payload is UNCHANGED else lambda letter: payload
        return "redriven" if queue.redrive(self.id, edit=edit, timeout=timeout).done else "no"

    def _ask(self, kind: str, reason: str, wait: bool, timeout: float, force: float | None = None) -> str:
        began = time.monotonic()
        asked = Request(secrets.token_hex(8), kind, self.id, reason=reason, force_after=force)
        answer, at = self._request(asked, wait, timeout), self.id
        # A batch that it was moved to is kept while other messages of the batch wait: this one may be over.
        while answer in ("over", "absent") and (moved := self._one.moved()) is not None and moved.id != at:
            at = moved.id
            asked = Request(secrets.token_hex(8), kind, self.id, at, reason, force)
            answer = self._request(asked, wait, max(0.0, began + timeout - time.monotonic()))
        return answer

    def _request(self, request: Request, wait: bool, timeout: float) -> str:
        operation = Operation(self.store, self.layout, self._driver)
        return operation.ask(request, wait, timeout, self.config.enqueue_deadline)
