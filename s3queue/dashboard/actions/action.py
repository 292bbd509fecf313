"""The definition of an action, and what all kinds of actions share."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, NamedTuple

from s3queue.errors import ConfigError

if TYPE_CHECKING:
    from s3queue.dashboard.desk import Desk

__all__ = ["WAIT_S", "Action", "Field", "flag", "line", "number", "option", "seconds", "whole"]

#: Seconds that a page waits for the coordinator.
WAIT_S = 15.0


class Field(NamedTuple):
    """A field that a person may fill in.

    Attributes:
        kind: ``text``, ``number``, ``json`` (several lines) or ``flag``.
        unless: name of a value; the field is left out if that value is given.
    """

    name: str
    label: str
    kind: str = "text"
    hint: str = ""
    default: str = ""
    unless: str = ""


class Action(NamedTuple):
    """An action of the dashboard.

    Attributes:
        name: as a role names it.
        title: text of the button.
        text: what the action does, for the person who confirms it.
        perform: performs it, in a thread, and returns the outcome as text for people. If ``is_work``, it gets the work,
            too.
        command: the equivalent command line.
        target: the kind of its target: ``queue``, ``message``, ``schedule`` or empty.
        fields: fields that a person may fill in.
        is_grave: whether it cannot be undone.
        is_work: whether it may take longer than a page waits.
        given: further values that a link may set.
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


def seconds(values: Mapping[str, str], name: str) -> float | None:
    """Seconds from a field; None: it was left empty. Raises `ConfigError`: it is no number of seconds."""
    return _above_0(values, name, "a number of seconds", "for example 600")


def number(values: Mapping[str, str], name: str) -> float | None:
    """A number above 0 from a field; None: it was left empty. Raises `ConfigError`: it is no such number."""
    return _above_0(values, name, "a number above 0", "for example 20")


def _above_0(values: Mapping[str, str], name: str, what: str, example: str) -> float | None:
    text = values.get(name, "").strip()
    if not text:
        return None
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 < value < 1e9:
        raise ConfigError(f"not {what}: {text!r}", example)
    return value


def whole(values: Mapping[str, str], name: str) -> int | None:
    """A whole number from a field; None: it was left empty. Raises `ConfigError`: it is no whole number."""
    text = values.get(name, "").strip()
    if not text:
        return None
    if not text.isdecimal() or len(text) > 9:
        raise ConfigError(f"not a number: {text!r}", "for example 50")
    return int(text)


def flag(values: Mapping[str, str], name: str) -> bool:
    """Whether a checkbox is set."""
    return values.get(name) == "yes"


def line(*words: object) -> str:
    """A command as a shell reads it, without empty words."""
    return shlex.join(str(word) for word in words if word not in (None, ""))


def option(name: str, value: str | None) -> tuple[str, ...]:
    """An option of a command with its value; nothing if the value is empty."""
    return (name, value) if value else ()
