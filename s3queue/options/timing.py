"""When a task is enqueued by itself: the arguments of ``@task(cron=…)`` and `s3queue.Schedules`, and the record that is
stored."""

from __future__ import annotations

import re
import time
from collections.abc import Iterable
from datetime import timedelta
from hashlib import sha256
from typing import TYPE_CHECKING, Literal, TypeAlias

from msgspec import Raw, Struct
from msgspec.structs import replace

from s3queue.core.declare import Declared
from s3queue.core.records import CATCH_UP, Message, Schedule, encode, encode_batch, encode_message
from s3queue.errors import ConfigError
from s3queue.options.timetable import check_timetable

if TYPE_CHECKING:
    from s3queue.registry import Registry

__all__ = ["CatchUp", "Timing", "declared", "schedule_of", "timing_of"]

CatchUp: TypeAlias = Literal["last", "all", "none"]
#: Characters of a schedule's name.
_LONGEST = 100
_HINT = "cron='30 2 * * *' or every=60"


class Timing(Struct, frozen=True):
    """When something is enqueued. Either ``cron`` or ``every_s``."""

    cron: str = ""
    every_s: int = 0
    tz: str = "UTC"
    catch_up: CatchUp = "last"


def timing_of(
    cron: str | None, every: float | timedelta | None, tz: str | None, catch_up: CatchUp | None, what: str
) -> Timing:
    """The arguments, checked. Raises `ConfigError`."""
    if (cron is None) == (every is None):
        raise ConfigError(
            f"{what}: " + ("neither cron nor every was given" if cron is None else "cron and every were both given"),
            _HINT,
        )
    if catch_up not in (None, *CATCH_UP):
        raise ConfigError(f"{what}: catch_up is {catch_up!r}", "last, all or none")
    kept = catch_up or "last"
    if cron is not None:
        check_timetable(cron, tz or "UTC", what)
        return Timing(cron, 0, tz or "UTC", kept)
    if tz is not None:
        raise ConfigError(f"{what}: tz was given with every", "an interval needs no time zone; a cron expression does")
    seconds = every.total_seconds() if isinstance(every, timedelta) else every
    if isinstance(seconds, bool) or not isinstance(seconds, int | float) or not 1 <= seconds <= 366 * 86_400:
        raise ConfigError(f"{what}: every is {every!r}", "whole seconds or a timedelta, from 1 s to a year")
    if seconds != int(seconds):
        raise ConfigError(f"{what}: every is {seconds} s", "whole seconds")
    return Timing("", int(seconds), "UTC", kept)


def schedule_of(
    name: str, queue: str, task: str, payload: Raw, timing: Timing, *, priority: int = 5, since_ms: int = 0
) -> Declared:
    """The record, as an operator sets it."""
    schedule = Schedule(
        1, queue, task, priority, timing.cron, timing.every_s, timing.tz, timing.catch_up, since_ms=since_ms
    )
    return Declared(name, schedule, encode_batch([encode_message(Message(task, payload))], _now_ms()))


def declared(tasks: Registry, queues: Iterable[str]) -> tuple[Declared, ...]:
    """The schedules of the tasks of these queues.

    Raises:
        ConfigError: a task with a schedule does not take a call without arguments.
    """
    found = []
    for queue in queues:
        for task in tasks.tasks(queue):
            if task.timing is None:
                continue
            try:
                payload = task.encode((), {})
            except ConfigError as wrong:
                raise ConfigError(
                    f"{task.label} has a schedule, and is then called without arguments: {wrong.message}",
                    "give its parameters defaults, or set a schedule with arguments: s3queue cron set",
                ) from None
            one = schedule_of(schedule_name(queue, task.name), queue, task.name, payload, task.timing)
            digest = sha256(encode(one.schedule) + bytes(payload)).hexdigest()[:16]
            found.append(one._replace(schedule=replace(one.schedule, digest=digest)))
    return tuple(found)


def schedule_name(queue: str, task: str) -> str:
    """The name of the schedule that a task declares: ``queue.task``, as far as that may stand in a key."""
    name = re.sub(r"[^A-Za-z0-9_.-]", "_", f"{queue}.{task}")
    if name == f"{queue}.{task}" and len(name) <= _LONGEST:
        return name
    return f"{name[: _LONGEST - 9]}-{sha256(f'{queue}.{task}'.encode()).hexdigest()[:8]}"


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
