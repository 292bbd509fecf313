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
    """What a person may fill in.

    Attributes:
        kind: ``text``, ``number``, ``json`` (several lines) or ``flag``.
        unless: it is left out where this value is given.
    """

    name: str
    label: str
    kind: str = "text"
    hint: str = ""
    default: str = ""
    unless: str = ""


class Action(NamedTuple):
    """One thing that can be done.

    Attributes:
        name: as a role names it.
        title: on a button.
        text: what it does, for who is about to do it.
        perform: does it, in a thread. Returns what came of it, for people. Where ``is_work``, it is given the work, too.
        command: the same on the command line.
        target: what it is done to: ``queue``, ``message``, ``schedule`` or empty.
        fields: what may be filled in.
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


def seconds(values: Mapping[str, str], name: str) -> float | None:
    """A number of seconds that was filled in; None: it was left empty. Raises `ConfigError`."""
    return _above_0(values, name, "a number of seconds", "for example 600")


def number(values: Mapping[str, str], name: str) -> float | None:
    """A number above 0 that was filled in; None: it was left empty. Raises `ConfigError`."""
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
    """A number that was filled in; None: it was left empty. Raises `ConfigError`."""
    text = values.get(name, "").strip()
    if not text:
        return None
    if not text.isdecimal() or len(text) > 9:
        raise ConfigError(f"not a number: {text!r}", "for example 50")
    return int(text)


def flag(values: Mapping[str, str], name: str) -> bool:
    return values.get(name) == "yes"


def line(*words: object) -> str:
    """A command, as a shell reads it; without words that are empty."""
    return shlex.join(str(word) for word in words if word not in (None, ""))


def option(name: str, value: str | None) -> tuple[str, ...]:
    """An option of a command with its value; nothing where that is empty."""
    return (name, value) if value else ()
