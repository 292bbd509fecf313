"""Actions on a queue."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from s3queue.dashboard.actions.action import WAIT_S, Action, Field, flag, line, option, seconds, whole
from s3queue.dashboard.works import Stopped
from s3queue.errors import ConfigError
from s3queue.operate.looking import STATES
from s3queue.operate.steering import Changed
from s3queue.words import plural

if TYPE_CHECKING:
    from s3queue.dashboard.desk import Desk
    from s3queue.dashboard.works import Work

#: Seconds that a work waits for the coordinator, or for running messages.
_LONG_S = 600.0


def _pause(desk: Desk, values: Mapping[str, str]) -> str:
    span_s = seconds(values, "for")
    until = None if span_s is None else datetime.now(UTC) + timedelta(seconds=span_s)
    task = values.get("task", "").strip() or None
    desk.queue(values["queue"]).pause(task=task, until=until, timeout=WAIT_S)
    return f"{_named(values)} is paused" + (f" for {span_s:g} s." if span_s is not None else ".")


def _resume(desk: Desk, values: Mapping[str, str]) -> str:
    desk.queue(values["queue"]).resume(task=values.get("task", "").strip() or None, timeout=WAIT_S)
    return f"{_named(values)} is resumed."


def _named(values: Mapping[str, str]) -> str:
    """The queue, or a task of it."""
    task = values.get("task", "").strip()
    return f"{task} of {values['queue']}" if task else values["queue"]


def _limit(desk: Desk, values: Mapping[str, str]) -> str:
    running, rate, key = whole(values, "running"), values.get("rate", "").strip() or None, values.get("key", "").strip()
    if running is None and rate is None:
        raise ConfigError("nothing was filled in", "a number of messages, or a rate")
    desk.queue(values["queue"]).limit(max_running=running, rate=rate, key=key or None, timeout=WAIT_S)
    return f"The limit of {values['queue']}" + (f", key {key}," if key else "") + " holds."


def _unlimit(desk: Desk, values: Mapping[str, str]) -> str:
    key = values.get("key", "").strip()
    desk.queue(values["queue"]).unlimit(key or None, timeout=WAIT_S)
    return f"What the tasks of {values['queue']} declare holds again."


def _cancel_many(desk: Desk, values: Mapping[str, str], work: Work) -> str:
    state: Any = values.get("state", "").strip() or None
    if state is not None and state not in STATES:
        raise ConfigError(f"no state {state!r}", ", ".join(STATES))
    is_dry = flag(values, "dry")

    def progress(changed: Changed) -> None:
        work.done = changed.found
        if work.is_cancelled:
            raise Stopped(f"Stopped after {plural(changed.found, 'message')}; what was found is cancelled.")

    changed = desk.queue(values["queue"]).cancel(
        state=state,
        task=values.get("task", "").strip() or None,
        reason=values.get("reason", ""),
        dry_run=is_dry,
        timeout=_LONG_S,
        progress=progress,
    )
    work.done = changed.found
    if is_dry:
        told = ", ".join(f"{many:,} {state}" for state, many in changed.states.items()) or "none"
        return f"Dry run: {plural(changed.found, 'message')} would be cancelled ({told})."
    told = ", ".join(f"{many:,} {answer}" for answer, many in changed.answers.items()) or "none"
    return f"{plural(changed.found, 'message')} found: {told}."


def _purge(desk: Desk, values: Mapping[str, str], work: Work) -> str:
    many = desk.queue(values["queue"]).purge(reason=values.get("reason", ""), timeout=_LONG_S)
    work.done = many
    return f"{plural(many, 'message')} ended."


def _delete(desk: Desk, values: Mapping[str, str], work: Work) -> str:
    many = desk.queue(values["queue"]).delete(force=flag(values, "force"), timeout=_LONG_S)
    work.done = many
    return f"{values['queue']} is deleted; {plural(many, 'message')} ended."


_REASON = Field("reason", "Reason", hint="for people; kept with messages that had begun")

ACTIONS = (
    Action(
        "pause",
        "Pause",
        "Nothing more of this queue is started, or of one task of it. Enqueuing goes on; what hosts hold already runs to "
        "its end. Of a task, they give back what has not begun.",
        _pause,
        lambda values: line(
            "s3queue", "pause", values["queue"],
            *option("--task", values.get("task", "").strip()),
            *option("--for", values.get("for")),
        ),
        "queue",
        (
            Field("for", "Resume by itself after", "number", "seconds; empty: when somebody resumes it"),
            Field("task", "Only this task", "text", "empty: the whole queue"),
        ),
    ),
    Action(
        "resume",
        "Resume",
        "Messages of this queue are started again, or those of a task that was paused by itself.",
        _resume,
        lambda values: line("s3queue", "resume", values["queue"], *option("--task", values.get("task", "").strip())),
        "queue",
        (Field("task", "Only this task", "text", "empty: the whole queue"),),
    ),
    Action(
        "limit",
        "Set a limit",
        "How much of this queue may run, on all hosts together, from now on. A lower limit stops nothing that has begun. "
        "What is left empty stays as it is.",
        _limit,
        lambda values: line(
            "s3queue", "limit", "set", values["queue"],
            *option("--key", values.get("key")),
            *option("--running", values.get("running")),
            *option("--rate", values.get("rate")),
        ),
        "queue",
        (
            Field("running", "Messages at once", "number", "0: any number, whatever the tasks declare"),
            Field("rate", "Messages a second, on average", "text", "for example 100/s, 20/min; 0: any number"),
            Field("key", "Only of this key", "text", "empty: all messages of the queue together"),
        ),
    ),
    Action(
        "unlimit",
        "Undo limits",
        "What operators have set no longer holds. What the tasks declare does.",
        _unlimit,
        lambda values: line("s3queue", "limit", "rm", values["queue"], *option("--key", values.get("key"))),
        "queue",
        (Field("key", "Only of this key", "text", "empty: all limits of the queue"),),
    ),
    Action(
        "cancel_many",
        "Cancel messages",
        "All messages of this queue that fit are not started any more. What runs is told, and waited for.",
        _cancel_many,
        lambda values: line(
            "s3queue", "cancel", "--queue", values["queue"],
            *option("--state", values.get("state")),
            *option("--task", values.get("task")),
            *option("--reason", values.get("reason")),
            "--dry-run" if flag(values, "dry") else "",
        ),
        "queue",
        (
            Field("state", "Only in this state", hint=", ".join(STATES) + "; empty: all"),
            Field("task", "Only of this task", hint="empty: all"),
            _REASON,
            Field("dry", "Dry run: only count them", "flag", default="yes"),
        ),
        is_grave=True,
        is_work=True,
    ),
    Action(
        "purge",
        "Purge",
        "Every message that was sent to this queue before now ends. Dead letters stay. What is sent when it is over is "
        "safe.",
        _purge,
        lambda values: line("s3queue", "purge", values["queue"], *option("--reason", values.get("reason"))),
        "queue",
        (_REASON,),
        is_grave=True,
        is_work=True,
    ),
    Action(
        "delete",
        "Delete",
        "Purges this queue, and forgets its settings. Refused while hosts serve it, unless forced.",
        _delete,
        lambda values: line("s3queue", "delete", values["queue"], "--force" if flag(values, "force") else ""),
        "queue",
        (Field("force", "Though hosts serve it", "flag"),),
        is_grave=True,
        is_work=True,
    ),
)  # fmt: skip
