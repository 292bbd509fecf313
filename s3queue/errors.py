"""Every exception that s3queue raises.

A class exists only where its caller does something different. The first sentence of a docstring is the default
message. Outcomes that a caller must expect (a refused conditional write, a missing object) are values, not
exceptions: see `s3queue.store`.
"""

from __future__ import annotations

import math
from typing import Protocol

from s3queue.words import plural

__all__ = [
    "Cancelled",
    "ConfigError",
    "CorruptRecord",
    "EnqueueUncertain",
    "Fenced",
    "OutcomeUnknown",
    "QueueError",
    "Reject",
    "ResultGone",
    "Retry",
    "Snooze",
    "SoftTimeLimit",
    "StoreDenied",
    "StoreError",
    "StoreUnavailable",
    "StoreUnsupported",
    "TaskCancelled",
    "TaskFailed",
]


class QueueError(Exception):
    """Something went wrong in the queue."""

    def __init__(self, message: str = "") -> None:
        doc = type(self).__doc__ or ""
        super().__init__(message or doc.split(".")[0] + ".")


class StoreError(QueueError):
    """A request to the store failed.

    Attributes:
        operation: ``get``, ``put``, ``delete``, ``list`` or ``open``.
        key: the key or prefix of the request, or the file that was to be opened; empty where there is none.
        why: the cause, as the store or its client names it.
        hint: what to do about it, in one sentence; may be empty.
        message: all of this but the hint.
    """

    def __init__(self, operation: str, key: str = "", why: str = "", hint: str = "") -> None:
        self.operation, self.key, self.why, self.hint = operation, key, why, hint
        reason = why or (type(self).__doc__ or "").split(".")[0]
        self.message = f"{operation} {key!r}: {reason}" if key else f"{operation}: {reason}"
        super().__init__(f"{self.message} ({hint})" if hint else self.message)

    def __reduce__(self) -> tuple[type[StoreError], tuple[str, ...]]:
        return type(self), (self.operation, self.key, self.why, self.hint)


class StoreUnavailable(StoreError):
    """The store did not apply the request; try again. Throttled, refused, or no connection was made."""


class OutcomeUnknown(StoreError):
    """The write was sent and not answered; read the key again. It was applied, or lost, or is still on its way."""


class StoreDenied(StoreError):
    """The store refuses these credentials or this bucket; someone must fix it. Retrying does not help."""


class StoreUnsupported(StoreError):
    """The store cannot keep the promises of the queue. Raised when a store is opened, before anything is lost.

    Attributes:
        capability: the missing property, as `s3queue doctor` names it.
    """

    def __init__(self, capability: str, why: str = "") -> None:
        self.capability = capability
        super().__init__("open", "", why or f"the store lacks {capability}")

    def __reduce__(self) -> tuple[type[StoreUnsupported], tuple[str, ...]]:
        return type(self), (self.capability, self.why)


class CorruptRecord(QueueError):
    """An object does not hold what its key promises. It is left in place and reported; all else goes on."""

    def __init__(self, key: str, why: str) -> None:
        self.key, self.why = key, why
        super().__init__(f"{key!r}: {why}")

    def __reduce__(self) -> tuple[type[CorruptRecord], tuple[str, str]]:
        return type(self), (self.key, self.why)


class Fenced(QueueError):
    """Another host owns this message now; stop. Raised inside a task whose host was fenced."""

    def __init__(self, ticket: str, why: str = "") -> None:
        self.ticket, self.why = ticket, why
        super().__init__(f"ticket {ticket}: {why or 'this host was fenced'}")

    def __reduce__(self) -> tuple[type[Fenced], tuple[str, str]]:
        return type(self), (self.ticket, self.why)


class TaskFailed(QueueError):
    """The message whose result was requested is dead.

    Attributes:
        message_id: its id; `s3queue.Queue.dead_letter` has all that is known.
        cause: of its last attempt, see `s3queue.FailedAttempt`.
        error: the traceback of the last attempt, or what was noticed.
    """

    def __init__(self, message_id: str, cause: str = "", error: str = "") -> None:
        self.message_id, self.cause, self.error = message_id, cause, error
        last = next((line.strip() for line in reversed(error.splitlines()) if line.strip()), "")
        super().__init__(f"message {message_id} is dead: {last or cause or 'its cause is not known'}")

    def __reduce__(self) -> tuple[type[TaskFailed], tuple[str, str, str]]:
        return type(self), (self.message_id, self.cause, self.error)


class TaskCancelled(QueueError):
    """The message whose result was requested was cancelled or purged, or has expired.

    Attributes:
        message_id: its id.
        how: ``cancelled``, ``expired`` or ``purged``.
    """

    def __init__(self, message_id: str, how: str = "cancelled") -> None:
        self.message_id, self.how = message_id, how
        super().__init__(f"message {message_id} {'has expired' if how == 'expired' else f'was {how}'}")

    def __reduce__(self) -> tuple[type[TaskCancelled], tuple[str, str]]:
        return type(self), (self.message_id, self.how)


class ResultGone(QueueError):
    """There is no result, and there will be none. The message was never there; or it has ended, and its result has expired,
    or its task keeps none, or it was cancelled before it began.

    Attributes:
        message_id: its id.
    """

    def __init__(self, message_id: str, why: str = "") -> None:
        self.message_id, self.why = message_id, why
        super().__init__(f"message {message_id} {why or 'is not there, or has ended, and no result of it is kept'}")

    def __reduce__(self) -> tuple[type[ResultGone], tuple[str, str]]:
        return type(self), (self.message_id, self.why)


class Cancelled(QueueError):
    """An operator has cancelled this message; stop. Raised inside a task by `Context.check`."""


class _Again(Protocol):
    def run(self, again: bool) -> list[str]: ...
    async def arun(self, again: bool) -> list[str]: ...


class EnqueueUncertain(QueueError):
    """A message may or may not be stored.

    Enqueuing it anew may duplicate it; `enqueue_again` does not. To be certain that it never runs, cancel it. If it is one
    of a batch, call `enqueue_again` first: a batch that arrives after the cancellation is not refused, while a message
    that was enqueued alone is.

    If a call is interrupted in another way (a cancelled ``aenqueue``, Ctrl-C), this is a cause of that exception: see
    `behind`.

    Attributes:
        message_id: the id that the message has if it is stored; of several messages, the first.
        stored: ids of the messages of this call that are certainly stored, in order.
        in_doubt: ids of the messages that may be stored: those of one batch. Later messages of the call were not sent.
    """

    def __init__(
        self, message_id: str, stored: tuple[str, ...] = (), in_doubt: tuple[str, ...] = (), call: _Again | None = None
    ) -> None:
        self.message_id, self.stored, self._call = message_id, stored, call
        self.in_doubt = in_doubt if in_doubt or stored else (message_id,)
        if not self.in_doubt:
            told = f"interrupted with {plural(len(stored), 'message')} stored, the first of them {message_id}"
        elif len(self.in_doubt) == 1:
            told = f"message {message_id} may or may not be stored"
        else:
            told = f"{len(self.in_doubt)} messages may or may not be stored, the first of them {message_id}"
        super().__init__(told)

    @classmethod
    def behind(cls, error: BaseException | None) -> EnqueueUncertain | None:
        """The one among the causes of this exception. None: nothing was stored."""
        while error is not None and not isinstance(error, cls):
            error = error.__cause__
        return error

    def enqueue_again(self) -> list[str]:
        """Finish the call: send the batch that may be stored under the same key, so that it is stored once, then the rest.

        Returns:
            The ids of all messages of the call, in order.

        Raises:
            ConfigError: it is too late: if the batch was stored, it may have run and been forgotten by now (4 minutes with
                the default settings). Or this exception comes from another process.
            EnqueueUncertain, StoreUnavailable, StoreDenied: as the call did. It may be repeated.

        Asks: one PUT for each batch that is not known to be stored; where one gets no answer, as the call did.
        """
        return self._the_call().run(again=True)

    async def aenqueue_again(self) -> list[str]:
        """As `enqueue_again`, in a thread."""
        return await self._the_call().arun(again=True)

    def _the_call(self) -> _Again:
        if self._call is None:
            raise ConfigError("only the process that enqueued a message can enqueue it again", "call it there")
        return self._call

    def __reduce__(self) -> tuple[type[EnqueueUncertain], tuple[str, tuple[str, ...], tuple[str, ...]]]:
        return type(self), (self.message_id, self.stored, self.in_doubt)


class ConfigError(QueueError, ValueError):
    """A setting or an argument is wrong. Raised before any request.

    Attributes:
        hint: what to do about it, in one sentence; may be empty.
    """

    def __init__(self, message: str, hint: str = "") -> None:
        self.message, self.hint = message, hint
        super().__init__(f"{message} ({hint})" if hint else message)

    def __reduce__(self) -> tuple[type[ConfigError], tuple[str, str]]:
        return type(self), (self.message, self.hint)


def _seconds(after: float) -> float:
    try:
        seconds = float(after)
    except OverflowError:
        seconds = math.inf
    if not math.isfinite(seconds):
        raise ValueError(f"after is {after!r}, not a number of seconds")
    return max(0.0, seconds)


class Retry(Exception):
    """Raised by a task: run me again later; this attempt counts.

    Args:
        why: for the error history; anything that can be printed.
        after: seconds to wait, below 0 counts as 0; None for the task's own backoff.

    Raises:
        ValueError: ``after`` is no finite number.
    """

    def __init__(self, why: object = "", *, after: float | None = None) -> None:
        self.why, self.after = str(why), None if after is None else _seconds(after)
        super().__init__(self.why or "the task asked for another attempt")


class Snooze(Exception):
    """Raised by a task: not yet; run me again later. Costs no attempt.

    Args:
        after: seconds to wait, below 0 counts as 0.

    Raises:
        ValueError: ``after`` is no finite number.
    """

    def __init__(self, after: float) -> None:
        self.after = _seconds(after)
        super().__init__(f"snoozed for {self.after:g} s")


class SoftTimeLimit(TimeoutError):
    """A task reached its soft time limit. The attempt failed, unless the task ended well in spite of it."""

    def __init__(self, message: str = "") -> None:
        super().__init__(message or "the task reached its soft time limit")


class Reject(Exception):
    """Raised by a task: this message can never succeed. It becomes a dead letter at once, with the reason."""

    def __init__(self, why: object) -> None:
        self.why = str(why)
        super().__init__(self.why)
