"""Actions on dead letters."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import msgspec

from s3queue.dashboard.actions.action import Action, Field, flag, line, number, option
from s3queue.dashboard.works import Stopped
from s3queue.errors import ConfigError
from s3queue.operate.asking import parse_since
from s3queue.operate.letters import DeadLetter, queue_of
from s3queue.operate.redriving import Decided
from s3queue.registry import registry
from s3queue.words import plural

if TYPE_CHECKING:
    from s3queue.dashboard.desk import Desk
    from s3queue.dashboard.works import Work

#: Characters of the longest payload that can be edited in a page.
_LONGEST = 200_000


def _chosen(values: Mapping[str, str]) -> dict[str, Any]:
    """The letters that a form selects: one by its message, or those that the filter takes."""
    if values.get("message"):
        return {"messages": values["message"]}
    since = values.get("since", "").strip()
    return {
        "task": values.get("task", "").strip() or None,
        "cause": values.get("cause", "").strip() or None,
        "since": parse_since(since) if since else None,
    }


def _watch(work: Work, what: str) -> Callable[[Decided], None]:
    def progress(decided: Decided) -> None:
        work.done, work.of = decided.done, decided.found
        if work.is_cancelled:
            raise Stopped(f"Stopped: {plural(decided.done, 'letter')} {what}, the rest are as they were.")

    return progress


def _told(decided: Decided, what: str) -> str:
    told = f"{decided.done:,} of {decided.found:,} letters were {what}"
    if decided.refused:
        told += f"; {decided.refused:,} had been decided before"
    if decided.unreadable:
        told += f"; {decided.unreadable:,} cannot be read"
    return told + "."


def _redrive(desk: Desk, values: Mapping[str, str], work: Work) -> str:
    is_dry = flag(values, "dry")
    decided = desk.queue(values["queue"]).redrive(
        **_chosen(values), rate=number(values, "rate"), dry_run=is_dry, progress=_watch(work, "redriven")
    )
    work.done, work.of = decided.done, decided.found
    if is_dry:
        unreadable = f", {decided.unreadable:,} of them unreadable" if decided.unreadable else ""
        return f"Dry run: {plural(decided.found - decided.refused, 'letter')} would be redriven{unreadable}."
    return _told(decided, "redriven")


def _purge(desk: Desk, values: Mapping[str, str], work: Work) -> str:
    is_dry = flag(values, "dry")
    decided = desk.queue(values["queue"]).purge_letters(
        **_chosen(values), dry_run=is_dry, progress=_watch(work, "purged")
    )
    work.done, work.of = decided.done, decided.found
    if is_dry:
        return f"Dry run: {plural(decided.found - decided.refused, 'letter')} would be purged."
    return _told(decided, "purged")


# ---- edit ------------------------------------------------------------------------------------------------------------


def _prepare(desk: Desk, values: Mapping[str, str]) -> dict[str, str]:
    """The payload of the letter as JSON."""
    if values.get("payload"):
        return {}
    letter = desk.queue(queue_of(values["message"])).dead_letter(values["message"])
    if letter is None:
        raise ConfigError("this message is not dead", "load its page again")
    return {"payload": _as_json(letter)}


def _as_json(letter: DeadLetter) -> str:
    """The payload as JSON. Raises `ConfigError`: JSON cannot hold it without loss."""
    hint = "edit it from Python: Queue.redrive(id, edit=…)"
    if letter.raw:
        raise ConfigError("the payload of this message cannot be read", "purge the letter, or inspect its object")
    payload = letter.payload
    try:
        text = msgspec.json.encode(payload).decode()
        same = msgspec.json.decode(text) == payload
    except (TypeError, ValueError, msgspec.MsgspecError) as wrong:
        raise ConfigError("the payload has no form in JSON", hint) from wrong
    if not same:
        raise ConfigError("the payload holds values that JSON cannot hold, such as bytes or times", hint)
    if len(text) > _LONGEST:
        raise ConfigError(f"the payload has {len(text):,} characters", hint)
    return msgspec.json.format(text, indent=2)


def _edit(desk: Desk, values: Mapping[str, str], work: Work) -> str:
    try:
        payload = msgspec.json.decode(values.get("payload", ""))
    except msgspec.DecodeError as wrong:
        raise ConfigError(f"the payload is not JSON: {wrong}", "correct it; nothing was done") from wrong
    unchecked: list[str] = []

    def edit(letter: DeadLetter) -> Any:
        if registry.find(letter.queue, letter.task) is None:
            unchecked.append(
                " Whether the payload fits was not checked: the dashboard does not know the task (--tasks)."
            )
        return payload

    decided = desk.queue(queue_of(values["message"])).redrive(
        values["message"], edit=edit, progress=_watch(work, "redriven")
    )
    work.done, work.of = decided.done, decided.found
    return _told(decided, "redriven") + "".join(unchecked)


# ---- rows ------------------------------------------------------------------------------------------------------------

_FILTER = (
    Field("task", "Only of this task", hint="empty: all", unless="message"),
    Field(
        "cause", "Only those that died of", hint="for example error, killed, time_limit; empty: all", unless="message"
    ),
    Field("since", "Only those that died since", hint="30m, 2h, 1d, or an ISO 8601 time; empty: all", unless="message"),
)
_DRY = Field("dry", "Dry run: only count them", "flag", unless="message")


def _command(name: str, values: Mapping[str, str]) -> str:
    if values.get("message"):
        return line("s3queue", "dead", name, values["message"])
    is_all = not any(values.get(name) for name in ("task", "cause", "since"))
    return line(
        "s3queue", "dead", name, values["queue"], "--all" if is_all else "",
        *option("--task", values.get("task")),
        *option("--cause", values.get("cause")),
        *option("--since", values.get("since")),
        *option("--rate", values.get("rate")),
        "--dry-run" if flag(values, "dry") else "",
    )  # fmt: skip


ACTIONS = (
    Action(
        "redrive",
        "Redrive",
        "The dead messages begin again, with their ids, at attempt 1. What dies meanwhile is not taken. Doing it "
        "twice runs none twice.",
        _redrive,
        lambda values: _command("redrive", values),
        "queue",
        (
            *_FILTER,
            Field("rate", "Letters per second, at most", "number", "empty: as fast as it goes", unless="message"),
            _DRY,
        ),
        is_work=True,
        given=("message",),
    ),
    Action(
        "edit",
        "Edit and redrive",
        "The message begins again, with its id and this payload, at attempt 1. The arguments of a task are by name.",
        _edit,
        lambda values: line("s3queue", "dead", "redrive", values["message"], "--edit"),
        "message",
        (Field("payload", "Payload", "json"),),
        is_work=True,
        prepare=_prepare,
    ),
    Action(
        "purge_letters",
        "Purge",
        "The dead letters are removed: their payloads and histories are gone. A tombstone of each is left.",
        _purge,
        lambda values: _command("purge", values),
        "queue",
        (*_FILTER, _DRY),
        is_grave=True,
        is_work=True,
        given=("message",),
    ),
)
