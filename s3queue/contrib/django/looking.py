"""The state of a message, as a `TaskResult`.

| the message is | status | |
|---|---|---|
| scheduled, ready, or waits for another attempt | READY | with the errors of the attempts before |
| assigned to a host | RUNNING | it runs, or is next there |
| done | SUCCESSFUL | for ``result_ttl`` |
| dead | FAILED | for as long as its dead letter is kept; redriven, it is READY again |
| cancelled, expired or purged | | there is no result |
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterable
from datetime import datetime
from typing import TYPE_CHECKING, Any, TypeAlias

import msgspec
from django.utils.module_loading import import_string

from s3queue.contrib.django.framework import TaskError, TaskResult, TaskResultStatus
from s3queue.contrib.django.running import STATE, Call, Ended, result_of, worker_ids
from s3queue.core.keys import parse_message_id, parse_source
from s3queue.core.produce import largest_source
from s3queue.errors import ConfigError, CorruptRecord, ResultGone, TaskCancelled, TaskFailed
from s3queue.messages import MessageHandle
from s3queue.operate.looking import QueuedMessage, read_message
from s3queue.operate.views import FailedAttempt

if TYPE_CHECKING:
    from s3queue.contrib.django.place import Place
    from s3queue.queue import Queue

__all__ = ["look"]

#: The line of a traceback that names the exception: not indented, unlike all before.
_RAISED = re.compile(r"^([A-Za-z_][\w.]*)(?::|$)")
#: Looks at a message that moves between them: to its next place, or to its next life.
_LOOKS = 3
#: Notes of failed attempts: when the first one began, and which workers ran them.
_Before: TypeAlias = tuple[datetime | None, list[str]]


def look(place: Place, message: str) -> TaskResult | None:
    """The result of a message. None: there is none, or the id is not that of a task's message.

    Asks: one GET for the board and one for its batch; one more for the host of a running message, two more for a
    message that has failed before, three more for one that has ended. Where so many messages of its queue wait that
    they were moved off the board, it lists the queue.
    """
    try:
        handle = MessageHandle(message, place.store, config=place.config)
    except ConfigError:
        return None
    queue, largest = place.queue(handle.queue), largest_source(place.config.max_message_bytes)
    try:
        for _ in range(_LOOKS):
            now_ms = int(time.time() * 1000)
            one = read_message(queue.driver(), handle.layout, handle.id, now_ms=now_ms, largest=largest)
            if one is not None:
                return _pending(handle, one)
            try:
                return _done(handle, handle.result(timeout=0))
            except TimeoutError:  # it runs elsewhere, or has moved since that look
                one = next((one for one in queue.messages() if _is(one, handle.id)), None)
                if one is not None:
                    return _pending(handle, one)
            except (TaskFailed, TaskCancelled) as ended:
                return _failed(handle, queue, ended)
    except (ResultGone, CorruptRecord, msgspec.ValidationError):
        pass
    return None


def _is(one: QueuedMessage, message: str) -> bool:
    """Whether it is this message: moved off the board while it waits, or in a further life."""
    return one.id == message or parse_source(parse_message_id(one.place).path).message == message


def _pending(handle: MessageHandle, one: QueuedMessage) -> TaskResult:
    known: dict[str, Any] = {"errors": _errors(one.failures)}
    is_running = one.state == "running"
    attempts = one.attempt if is_running else one.attempt - 1
    if attempts:
        before: _Before = (None, [])
        if one.attempt > 1 and (noted := handle.progress()) is not None:
            before = msgspec.convert(noted.state.get(STATE, before), _Before)
        workers = [*before[1], one.session] if is_running else before[1]
        known |= {"started_at": before[0], "worker_ids": worker_ids(workers, attempts)}
    if one.failures and not is_running:
        known["last_attempted_at"] = one.failures[-1].at
    status = TaskResultStatus.RUNNING if is_running else TaskResultStatus.READY
    return result_of(one.task, _call(one.payload), handle.id, status, **known)


def _done(handle: MessageHandle, value: Any) -> TaskResult:
    ended = msgspec.convert(value, Ended)
    known = {name: getattr(ended, name) for name in ("started_at", "last_attempted_at", "finished_at", "worker_ids")}
    return result_of(ended.path, ended.call, handle.id, TaskResultStatus.SUCCESSFUL, value=ended.value, **known)


def _failed(handle: MessageHandle, queue: Queue, ended: TaskFailed | TaskCancelled) -> TaskResult | None:
    letter = queue.dead_letter(handle.id)
    if letter is None or not letter.task:
        return None
    return result_of(
        letter.task,
        _call(letter.payload),
        handle.id,
        TaskResultStatus.FAILED,
        errors=_errors(letter.failures),
        last_attempted_at=letter.failures[-1].at if letter.failures else None,
        finished_at=letter.died_at,
        worker_ids=worker_ids([], letter.attempt),
    )


def _call(payload: Any) -> Call:
    """The call in a payload. Raises `msgspec.ValidationError`: it is a message of another kind of task."""
    return msgspec.convert(payload, _Payload).call


class _Payload(msgspec.Struct):
    call: Call


def _errors(failures: Iterable[FailedAttempt]) -> list[TaskError]:
    return [TaskError(exception_class_path=_class_in(one), traceback=one.text or one.cause) for one in failures]


def _class_in(failure: FailedAttempt) -> str:
    """The path of the exception that was raised; `TaskFailed` where none was, for example after the death of a process."""
    if failure.cause == "rejected":
        return "s3queue.errors.Reject"
    if failure.cause == "error":
        for line in reversed(failure.text.splitlines()):
            if (named := _RAISED.match(line)) is not None:
                path = named[1] if "." in named[1] else f"builtins.{named[1]}"
                try:
                    found = import_string(path)
                except ImportError:
                    continue
                if isinstance(found, type) and issubclass(found, BaseException):
                    return path
    return "s3queue.errors.TaskFailed"
