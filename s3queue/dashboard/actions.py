"""What can be done from the dashboard: the actions of the command line, by the same names.

An action is a row of `ACTIONS`. It is shown, confirmed, checked against the viewer, performed and audited in one way for
all, in `s3queue.dashboard.acting`.
"""

from __future__ import annotations

import shlex
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, NamedTuple

from s3queue.errors import ConfigError
from s3queue.messages import MessageHandle

if TYPE_CHECKING:
    from s3queue.dashboard.desk import Desk
    from s3queue.dashboard.works import Work

__all__ = ["ACTIONS", "Action", "Field", "register"]

#: Seconds that a page waits for the coordinator.
_WAIT_S = 15.0


class Field(NamedTuple):
    """What a person may fill in.

    Attributes:
        kind: ``text``, ``number``, ``seconds``, ``json`` (several lines), ``flag`` or ``hidden``.
    """

    name: str
    label: str
    kind: str = "text"
    hint: str = ""
    default: str = ""


class Action(NamedTuple):
    """One thing that can be done.

    Attributes:
        name: as a role names it.
        title: on a button.
        text: what it does, for who is about to do it.
        fields: what may be filled in.
        perform: does it, in a thread. Returns what came of it, for people. Of a ``work``, it is given the work.
        command: the same on the command line.
        target: what it is done to: ``queue``, ``message`` or empty.
        is_grave: it cannot be undone.
        is_work: it takes longer than a page waits.
        given: further values that a link may name.
        prepare: fills in fields before they are shown.
    """

    name: str
    title: str
    text: str
    perform: Callable[..., str]
    command: Callable[[Mapping[str, str]], str]
    target: str = ""
    fields: tuple[Field, ...] = ()
    is_grave: bool = False
    is_work: bool = False
    given: tuple[str, ...] = ()
    prepare: Callable[[Desk, Mapping[str, str]], dict[str, str]] | None = None


ACTIONS: dict[str, Action] = {}


def register(action: Action) -> None:
    ACTIONS[action.name] = action


def seconds(values: Mapping[str, str], name: str) -> float | None:
    """A number of seconds that was filled in; None: it was left empty. Raises `ConfigError`."""
    text = values.get(name, "").strip()
    if not text:
        return None
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 < value < 1e9:
        raise ConfigError(f"not a number of seconds: {text!r}", "for example 600")
    return value


def line(*words: object) -> str:
    """A command, as a shell reads it."""
    return shlex.join(str(word) for word in words if word not in (None, ""))


# ---- a queue ---------------------------------------------------------------------------------------------------------


def _pause(desk: Desk, values: Mapping[str, str]) -> str:
    span_s = seconds(values, "for")
    until = None if span_s is None else datetime.now(UTC) + timedelta(seconds=span_s)
    desk.queue(values["queue"]).pause(until=until, timeout=_WAIT_S)
    return f"{values['queue']} is paused" + (f" for {span_s:g} s." if span_s is not None else ".")


def _resume(desk: Desk, values: Mapping[str, str]) -> str:
    desk.queue(values["queue"]).resume(timeout=_WAIT_S)
    return f"{values['queue']} is resumed."


# ---- a message -------------------------------------------------------------------------------------------------------


def _handle(desk: Desk, values: Mapping[str, str]) -> MessageHandle:
    return MessageHandle(values["message"], desk.store, namespace=desk.reader.layout.root, config=desk.config)


_CANCELLED = {
    "cancelled": "It is cancelled.",
    "absent": "There was no such message. If it was enqueued alone, there never will be.",
    "over": "It had ended before.",
    "done": "It ended well meanwhile, so it is done.",
    "dead": "It died meanwhile.",
}
_RUN_NOW = {
    "ready": "It starts as soon as a host has room.",
    "running": "A host has it already.",
    "over": "It had ended before.",
    "absent": "There is no such message.",
    "grouped": "It is scheduled in a group, whose other messages cannot be overtaken.",
}


def _cancel(desk: Desk, values: Mapping[str, str]) -> str:
    answer = _handle(desk, values).cancel(reason=values.get("reason", ""), timeout=_WAIT_S)
    return _CANCELLED.get(answer, f"Answer: {answer}.")


def _run_now(desk: Desk, values: Mapping[str, str]) -> str:
    answer = _handle(desk, values).run_now(timeout=_WAIT_S)
    return _RUN_NOW.get(answer, f"Answer: {answer}.")


# ---- the store -------------------------------------------------------------------------------------------------------


def _doctor(desk: Desk, values: Mapping[str, str], work: Work) -> str:
    import secrets

    from s3queue.probe import USUAL, probe
    from s3queue.runtime.drive import Driver

    report: Any = probe(Driver(desk.store), f"doctor-{secrets.token_hex(4)}/", effort=USUAL)
    work.result = report
    bad = sum(row.verdict == "bad" for row in report.rows)
    return "All checks passed." if report.safe else f"{bad} checks failed. Do not keep a queue here."


register(
    Action(
        "pause",
        "Pause",
        "Nothing more of this queue is started. Enqueuing goes on; what hosts hold already runs to its end.",
        _pause,
        lambda values: line("s3queue", "pause", values["queue"], *_option("--for", values.get("for"))),
        "queue",
        (Field("for", "Resume by itself after", "seconds", "seconds; empty: when somebody resumes it"),),
    )
)
register(
    Action(
        "resume",
        "Resume",
        "Messages of this queue are started again.",
        _resume,
        lambda values: line("s3queue", "resume", values["queue"]),
        "queue",
    )
)
register(
    Action(
        "cancel",
        "Cancel",
        "This message is not started any more. If it runs, it runs to its end: done if it ends well, cancelled otherwise.",
        _cancel,
        lambda values: line("s3queue", "cancel", values["message"], *_option("--reason", values.get("reason"))),
        "message",
        (Field("reason", "Reason", hint="for people; kept with a message that had begun"),),
        is_grave=True,
    )
)
register(
    Action(
        "run_now",
        "Run now",
        "This message starts as soon as a host has room, though it is scheduled, or waits after a failure.",
        _run_now,
        lambda values: line("s3queue", "run-now", values["message"]),
        "message",
    )
)
register(
    Action(
        "doctor",
        "Run the doctor",
        "Checks that the store keeps the promises that a queue needs. Some thousand requests below a prefix of its own, "
        "which is removed.",
        _doctor,
        lambda values: line("s3queue", "doctor"),
        is_work=True,
    )
)


def _option(name: str, value: str | None) -> tuple[str, ...]:
    return (name, value) if value else ()
