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
        message_id: the same for every attempt; what to key your own idempotency on.
        attempt: 1 for the first start.
        fencing_token: greater than the token of every earlier start of this message, and no less than that of any earlier
            message of its group; of other messages it says nothing. Hand it to systems that can refuse an old writer: no
            queue can stop a process that was paused for too long from waking up and writing.
        session: the host that runs this.
        deadline: ``time.monotonic()`` at which the time limit is reached; None without a limit.
        soft_deadline: the same of the soft time limit.
        headers: as given when enqueued.
        batch: of a task that takes several messages at once: the contexts of all of them, in order. The rest is then that
            of the first.
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
        """For a task that is called directly: first attempt, no message, never fenced."""
        deadline = None if time_limit is None else time.monotonic() + time_limit
        return cls("local", queue, task, 1, 0, "local", deadline)

    @property
    def cancelled(self) -> bool:
        """Whether the task may stop: an operator has cancelled this message, or this host was fenced. Then another host may
        run the message already, and nothing returned here will count."""
        return self._cancel.is_set() or self._is_marked

    @property
    def _is_marked(self) -> bool:
        if self.batch:  # the call is for all of them, and what it raises is the failure of each
            return all(one._is_marked for one in self.batch)
        return self._dealt is not None and self._index in self._dealt.marked

    def check(self) -> None:
        """Raise `Cancelled` or `Fenced` if `cancelled`, `SoftTimeLimit` past the soft time limit. For long tasks to call
        between steps."""
        if self._cancel.is_set():
            raise Fenced(ticket_id(self.fencing_token >> 32, self.fencing_token & 0xFFFFFFFF))
        if self._is_marked:
            raise Cancelled
        if self.soft_deadline is not None and time.monotonic() >= self.soft_deadline:
            raise SoftTimeLimit

    @property
    def tick(self) -> datetime | None:
        """The time (UTC) that a schedule enqueued this message for, whenever it runs. None: no schedule enqueued it."""
        from datetime import UTC, datetime

        try:
            source = parse_source(parse_message_id(self.message_id).path)
        except CorruptRecord:
            return None
        return datetime.fromtimestamp(source.order / 1000, UTC) if source.kind == "tick" else None

    def ack(self, result: Any = None) -> None:
        """Of a task with ``ack="manual"``: the message is done, with this result, when the task ends; whatever it raises
        after this is logged and changes nothing. The first `ack` or `nack` counts. Any thread may call it.

        Raises:
            ConfigError: the task acknowledges by returning.
        """
        verdict_of(self).say(result, None)

    def nack(self, why: object = "", *, after: float | None = None) -> None:
        """Of a task with ``ack="manual"``: the attempt has failed when the task ends.

        Args:
            why: an exception counts as if the task had raised it. Anything else is for the error history.
            after: seconds until the next attempt, unless ``why`` is an exception; None for the task's own backoff.

        Raises:
            ConfigError: the task acknowledges by returning.
        """
        verdict_of(self).say(None, why if isinstance(why, BaseException) else Retry(why, after=after))

    def progress(self, done: float, total: float = 0.0, text: str = "") -> None:
        """Tell people how far the task is: ``s3queue message``, ``s3queue top``. As many times as you like; costs no
        request, and is seen when the host writes its ledger next, which it does within a third of ``visibility_timeout``.

        Args:
            total: 0: not known.
            text: up to 200 characters.

        Raises:
            ConfigError: these are no numbers.
        """
        self._page.progress(done, total, text)

    @property
    def state(self) -> State:
        """What the attempts of this message keep for the next: a small dict, ``ctx.state["page"] = 7``.

        The next attempt sees the last change, if the task raised or its process died; if its host or agent died, that of
        the last write of the ledger, up to a third of ``visibility_timeout`` ago. So what depends on it must bear to be
        done again. Together 2,000 bytes, of builtins; costs no request.

        Raises:
            ConfigError: when it is changed: too large, or not of builtins.
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
