"""Actions on a schedule."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from s3queue.dashboard.actions.action import WAIT_S, Action, Field, line, option, seconds
from s3queue.operate.schedules import Schedules

if TYPE_CHECKING:
    from s3queue.dashboard.desk import Desk


def schedules(desk: Desk) -> Schedules:
    return Schedules(desk.store, namespace=desk.reader.layout.root, config=desk.config)


def _pause(desk: Desk, values: Mapping[str, str]) -> str:
    span_s = seconds(values, "for")
    until = None if span_s is None else datetime.now(UTC) + timedelta(seconds=span_s)
    schedules(desk).pause(values["schedule"], until=until)
    return f"{values['schedule']} is paused."


def _resume(desk: Desk, values: Mapping[str, str]) -> str:
    schedules(desk).resume(values["schedule"])
    return f"{values['schedule']} ticks again."


def _run(desk: Desk, values: Mapping[str, str]) -> str:
    answer = schedules(desk).run(values["schedule"], timeout=WAIT_S)
    return "Its message is enqueued." if answer == "ready" else "There is no such schedule."


def _remove(desk: Desk, values: Mapping[str, str]) -> str:
    schedules(desk).remove(values["schedule"])
    return f"{values['schedule']} is removed."


ACTIONS = (
    Action(
        "cron_pause",
        "Pause",
        "This schedule stands still. Its ticks do not happen, and are not made up for.",
        _pause,
        lambda values: line("s3queue", "cron", "pause", values["schedule"], *option("--for", values.get("for"))),
        "schedule",
        (Field("for", "Resume by itself after", "number", "seconds; empty: when somebody resumes it"),),
    ),
    Action(
        "cron_resume",
        "Resume",
        "This schedule ticks again, from now on.",
        _resume,
        lambda values: line("s3queue", "cron", "resume", values["schedule"]),
        "schedule",
    ),
    Action(
        "cron_run",
        "Run once",
        "Its message is enqueued once more, now, beside its ticks.",
        _run,
        lambda values: line("s3queue", "cron", "run", values["schedule"]),
        "schedule",
    ),
    Action(
        "cron_rm",
        "Remove",
        "This schedule is no more. What has ticked runs. One that code declares comes back when a host starts: pause it "
        "instead.",
        _remove,
        lambda values: line("s3queue", "cron", "rm", values["schedule"]),
        "schedule",
        is_grave=True,
    ),
)
