"""The context of a running task."""

from __future__ import annotations

import time
from collections.abc import Container, Mapping
from typing import TYPE_CHECKING, Any, Protocol

from s3queue.core.keys import parse_message_id, parse_source, ticket_id
from s3queue.errors import Cancelled, CorruptRecord, Fenced, Retry, SoftTimeLimit
from s3queue.options.acknowledging import Verdict, verdict_of
from s3queue.options.noting import Page, State

if TYPE_CHECKING:
    from datetime import datetime

__all__ = ["Context"]


class _Flag(Protocol):
    def is_set(self) -> bool: ...


class _Never:
    def is_set(self) -> bool:
        return False


class _Dealt(Protocol):
    """The messages that came together with this one.

    Attributes:
        marked: those that operators have cancelled.
    """

    @property
    def marked(self) -> Container[int]: ...


class Context:
    """The message that a task is running, as the task sees it.

    Attributes:
        message_id: the same for every attempt: the key for your own idempotency.
        queue, task: names; ``task`` is empty for a handler.
        attempt: counted from 1.
        fencing_token: greater than the token of every earlier start of this message, and at least the token of every
            earlier message of its group. Tokens of other messages cannot be compared. Pass it to systems that can refuse
            an old writer: no queue can stop a process that was paused for too long from waking up and writing.
        session: the session of the host that runs this.
        deadline: when the time limit is reached, in seconds of ``time.monotonic()``; None without a limit.
        soft_deadline: the same for the soft time limit.
        headers: as given at the enqueue.
        batch: for a task that takes several messages at once: the contexts of all of them, in order. The other attributes
            are then those of the first message.
    """

    __slots__ = (
        "_cancel",
        "_dealt",
        "_index",
        "_page",
        "_verdict",
        "attempt",
        "batch",
        "deadline",
        "fencing_token",
        "headers",
        "message_id",
        "queue",
        "session",
        "soft_deadline",
        "task",
    )  # fmt: skip

    def __init__(
        self,
        message_id: str,
        queue: str,
        task: str,
        attempt: int,
        fencing_token: int,
        session: str,
        deadline: float | None = None,
        headers: Mapping[str, str] | None = None,
        cancel: _Flag | None = None,
        soft_deadline: float | None = None,
        dealt: _Dealt | None = None,
        index: int = 0,
        page: Page | None = None,
    ) -> None:
        self.message_id = message_id
        self.queue = queue
        self.task = task
        self.attempt = attempt
        self.fencing_token = fencing_token
        self.session = session
        self.deadline = deadline
        self.soft_deadline = soft_deadline
        self.headers = headers or {}
        self._cancel: _Flag = cancel or _Never()
        self._page = page or Page()
        self.batch: tuple[Context, ...] = ()
        #: For a task with ``ack="manual"``: what it said about its message.
        self._verdict: Verdict | None = None
        self._dealt, self._index = dealt, index

    @classmethod
    def local(cls, queue: str, task: str, time_limit: float | None = None) -> Context:
        """A context for a task that is called directly: first attempt, no message, never fenced.

        Args:
            time_limit: seconds from now; None: no limit.
        """
        deadline = None if time_limit is None else time.monotonic() + time_limit
        return cls("local", queue, task, 1, 0, "local", deadline)

    @property
    def cancelled(self) -> bool:
        """Whether the task should stop: an operator has cancelled this message, or this host was fenced. If it was fenced,
        another host may run the message already, and what the task returns does not count."""
        return self._cancel.is_set() or self._is_marked

    @property
    def _is_marked(self) -> bool:
        if self.batch:  # the call is for all of them, and what it raises is the failure of each
            return all(one._is_marked for one in self.batch)
        return self._dealt is not None and self._index in self._dealt.marked

    def check(self) -> None:
        """Raise an exception if the task should stop. For long tasks, to call between steps. Costs no request.

        Raises:
            Cancelled: an operator has cancelled this message.
            Fenced: this host was fenced, and another one may run the message.
            SoftTimeLimit: the soft time limit is over.
        """
        if self._cancel.is_set():
            raise Fenced(ticket_id(self.fencing_token >> 32, self.fencing_token & 0xFFFFFFFF))
        if self._is_marked:
            raise Cancelled
        if self.soft_deadline is not None and time.monotonic() >= self.soft_deadline:
            raise SoftTimeLimit

    @property
    def tick(self) -> datetime | None:
        """The time of the schedule's tick that enqueued this message, in UTC. None: no schedule enqueued it."""
        from datetime import UTC, datetime

        try:
            source = parse_source(parse_message_id(self.message_id).path)
        except CorruptRecord:
            return None
        return datetime.fromtimestamp(source.order / 1000, UTC) if source.kind == "tick" else None

    def ack(self, result: object = None) -> None:
        """For a task with ``ack="manual"``: the message is done, with this result, when the task ends.

        The first `ack` or `nack` counts. What the task raises afterwards is logged, and changes nothing. Any thread may
        call it.

        Raises:
            ConfigError: the task is not declared with ``ack="manual"``.
        """
        verdict_of(self).say(result, None)

    def nack(self, why: object = "", *, after: float | None = None) -> None:
        """For a task with ``ack="manual"``: the attempt has failed when the task ends. See `ack`.

        Args:
            why: an exception, which counts as if the task had raised it; or a text for the error history.
            after: seconds until the next attempt, unless ``why`` is an exception; None: the backoff of the task.

        Raises:
            ConfigError: the task is not declared with ``ack="manual"``.
        """
        verdict_of(self).say(None, why if isinstance(why, BaseException) else Retry(why, after=after))

    def progress(self, done: float, total: float = 0.0, text: str = "") -> None:
        """Show people how far the task is, in ``s3queue message``, ``s3queue top`` and the dashboard.

        Costs no request, however often it is called. People see it after the next write of the host's ledger, within a
        third of ``visibility_timeout``.

        Args:
            done: in any unit, such as rows or percent; from 0 to 1e9.
            total: in the same unit; 0: not known.
            text: up to 200 characters.

        Raises:
            ConfigError: ``done`` or ``total`` is no finite number.
        """
        self._page.progress(done, total, text)

    @property
    def state(self) -> State:
        """A small dict that one attempt of this message keeps for the next: ``ctx.state["page"] = 7``.

        If the task raised or its process died, the next attempt sees the last change. If the host or its agent died, it
        sees the state as of the last write of the ledger, up to a third of ``visibility_timeout`` earlier: so a step that
        depends on it must be safe to repeat. Holds builtins, at most 2,000 bytes encoded. Costs no request.

        Raises:
            ConfigError: on a change: it is too large, or holds something else.
        """
        return self._page.state

    @state.setter
    def state(self, values: Mapping[str, Any]) -> None:
        self._page.state.set(values)

    def remaining(self) -> float | None:
        """Seconds until the time limit, below 0 past it; None without a limit."""
        return None if self.deadline is None else self.deadline - time.monotonic()

    def __repr__(self) -> str:
        return f"<Context of {self.message_id}, attempt {self.attempt}>"
