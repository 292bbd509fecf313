"""Turns the exception that ended an attempt into the outcome that is reported."""

from __future__ import annotations

import asyncio
import random
import time
import traceback
from typing import NamedTuple

import msgspec

from s3queue.core.records import Failed, Failure
from s3queue.errors import Cancelled, Reject, Retry, Snooze
from s3queue.options.policies import Policy

#: Characters of the text of a failure, at most: it is on the board until the message is settled.
TEXT_CHARS = 2000
#: Seconds of the longest wait that records can hold, about thirty years. Longer waits are cut to it.
LONGEST_S = 1e9
#: Seconds that a message waits which could not run because of an error of this library, such as a lack of memory.
FAULT_DELAY_S = 5.0


class Overran(Exception):
    """An async task reached its time limit and was cancelled."""


class Terms(NamedTuple):
    """The limits of the attempts of one message: those of its task, or its own.

    Attributes:
        max_attempts: attempts after which it is dead.
        time_limit: seconds of one attempt; None: no limit.
    """

    max_attempts: int
    time_limit: float | None
    policy: Policy


def judge(terms: Terms, attempt: int, spared: int, raised: BaseException) -> Failed:
    """The outcome of an attempt that ended with an exception. ``spared``: earlier attempts that do not count.

    If a function of the user (a predicate, a backoff) raises, the message waits as by default, and its text tells what
    that function raised.
    """
    try:
        return _outcome_of(terms, attempt, spared, _steering(raised) or raised)
    except Exception as wrong:  # noqa: BLE001 - the task's own Retry, Snooze or Reject, half made; a function of the user's
        if wrong.__context__ is None and wrong is not raised:
            wrong.__context__ = raised
        return _outcome_of(terms._replace(policy=_DEFAULT), attempt, spared, wrong)


_DEFAULT = Policy()


def _steering(raised: BaseException) -> BaseException | None:
    """A Retry, Snooze or Reject, also if it is alone in a group, as `asyncio.TaskGroup` raises it; None: it is another
    exception."""
    while isinstance(raised, BaseExceptionGroup) and len(raised.exceptions) == 1:
        raised = raised.exceptions[0]
    return raised if isinstance(raised, Retry | Snooze | Reject) else None


def _outcome_of(terms: Terms, attempt: int, spared: int, raised: BaseException) -> Failed:
    most = terms.max_attempts + spared
    match raised:
        case Snooze():
            return Failed("snooze", _bounded(raised.after))
        case Reject():
            return dead(attempt, "rejected", raised.why, most)
        case Retry():
            cause, text = "error", raised.why or str(raised)
        case Overran():
            cause, text = "time_limit", f"cancelled at its time limit of {terms.time_limit:g} s"
        case _:
            cause, text = "error", describe(raised)
            if terms.policy.gives_up(raised):
                return dead(attempt, cause, text, most)
    if attempt >= most:
        return dead(attempt, cause, text, most)
    after = raised.after if isinstance(raised, Retry) else None
    delay_s = terms.policy.delay_s(attempt - spared, raised, random.random()) if after is None else after
    return retry(_bounded(delay_s), attempt, cause, text, most)


def _bounded(delay_s: float) -> float:
    return min(max(0.0, delay_s), LONGEST_S)


def cancelled(attempt: int, raised: BaseException) -> Failed:
    """The outcome of a message that an operator has cancelled while it ran."""
    told = "it was cancelled while it ran"
    is_for_that = isinstance(raised, asyncio.CancelledError | Cancelled)
    return retry(0.0, attempt, "cancelled", told if is_for_that else f"{told}, and ended so:\n{describe(raised)}")


def unbegun(attempt: int) -> Failed:
    """The outcome of a message that was cancelled while the others of its batch were waited for."""
    return retry(0.0, attempt, "cancelled", "it was cancelled before its batch began")


def dead(attempt: int, cause: str, text: str, most: int = 0) -> Failed:
    return Failed("dead", 0.0, failure(attempt, cause, text, most))


def retry(delay_s: float, attempt: int, cause: str, text: str, most: int = 0) -> Failed:
    return Failed("retry", delay_s, failure(attempt, cause, text, most))


def failure(attempt: int, cause: str, text: str, most: int = 0) -> Failure:
    # A lone surrogate, as in the name of a file that is not UTF-8, has no place in a record.
    text = text[-TEXT_CHARS:].encode("utf-8", "backslashreplace").decode()
    return Failure(attempt, cause, text, round(time.time() * 1000), most=most)


def is_message_pack(payload: msgspec.Raw) -> bool:
    """Whether the bytes are well-formed MessagePack, of any content."""
    try:
        msgspec.msgpack.decode(payload)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return False
    return True


def describe(raised: BaseException) -> str:
    """The traceback from the task's own code on; if it is long, its end."""
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
