"""Options that several commands have, and the types of options: lengths of time, whole numbers, rates."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

import click

from s3queue.errors import ConfigError

F = TypeVar("F", bound=Callable[..., Any])


#: Seconds of each unit of a length of time.
_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86_400.0}
_PART = re.compile(r"(\d+(?:\.\d+)?)(ms|[smhd])")
#: Seconds of the longest accepted length of time: beyond every time that a store can hold, and within the range of a clock.
_LONGEST_S = 100 * 366 * 86_400.0


def seconds(text: str) -> float:
    """A length of time in seconds: a number, or numbers with units, such as 5m or 1h30m. The type of an option."""
    try:
        length = float(text)
    except ValueError:
        parts = _PART.findall(text)
        length = sum(float(number) * _UNITS[unit] for number, unit in parts)
        if not parts or "".join(map("".join, parts)) != text:
            raise click.BadParameter(f"{text!r} is not a length of time; write 90, 5m, 1h30m or 2d") from None
    if not 0 <= length <= _LONGEST_S:
        raise click.BadParameter(f"{text!r} is no length of time from 0 to 100 years")
    return length


def at_least(least: float) -> Callable[[str], float]:
    """The type of an option for a length of time that is at least this many seconds."""

    def length(text: str) -> float:
        given = seconds(text)
        if given < least:
            raise click.BadParameter(f"{text!r} is less than {least:g} s")
        return given

    return length


def whole(least: int) -> Callable[[str], int]:
    """The type of an option for a whole number that is at least this."""

    def number(text: str) -> int:
        try:
            given = int(text)
        except ValueError:
            raise click.BadParameter(f"{text!r} is not a whole number") from None
        if given < least:
            raise click.BadParameter(f"{text!r} is less than {least}")
        return given

    return number


def rate(text: str) -> float:
    """A number per second, more than 0. The type of an option."""
    try:
        given = float(text)
    except ValueError:
        given = math.nan
    if not 0 < given < math.inf:
        raise click.BadParameter(f"{text!r} is not a number a second; write 50, or 0.5")
    return given


def timeout_option(default: float = 60.0, text: str = "Time to wait.") -> Callable[[F], F]:
    """``--timeout``, in seconds."""
    text = f"{text} [default: {default:g} s]"
    return click.option("--timeout", type=seconds, default=default, metavar="TIME", help=text)


def interval_option(text: str) -> Callable[[F], F]:
    """``--interval``, in seconds: between two updates of a screen."""
    text = f"{text} [default: 2]"
    return click.option("--interval", type=at_least(0.1), default=2.0, metavar="SECONDS", help=text)


def no_wait_option(text: str = "Do not wait for the coordinator to confirm.") -> Callable[[F], F]:
    """``--no-wait``."""
    return click.option("--no-wait", is_flag=True, help=text)


def pause_options(function: F) -> F:
    """``--until`` and ``--for``: when a pause ends by itself."""
    length = "Resume automatically after this time: seconds, or 5m, 1h, 2d."
    for option in (
        click.option("--for", "length", type=seconds, metavar="TIME", help=length),
        click.option(
            "--until", "at", metavar="TIME", help="Resume automatically at this time, for example 2030-01-31T08:00:00Z."
        ),
    ):
        function = option(function)
    return function


def task_option(text: str) -> Callable[[F], F]:
    """``--task``, of a command that is about a queue or a task of it."""
    return click.option("--task", metavar="NAME", help=text)


def ending_options(function: F) -> F:
    """``--reason`` and ``--force-after``, for commands that end messages."""
    for option in (
        click.option(
            "--force-after",
            type=seconds,
            metavar="TIME",
            help="Kill the worker process of a task that still runs after this time.",
        ),
        click.option(
            "--reason", default="", metavar="TEXT", help="A note for people; kept with messages that had begun."
        ),
    ):
        function = option(function)
    return function


def moment(text: str) -> datetime:
    """A time in ISO 8601; in the time zone of this machine if it names none.

    Raises:
        ConfigError: it is no such time.
    """
    try:
        return datetime.fromisoformat(text).astimezone()
    except (ValueError, OverflowError):
        raise ConfigError(f"not a time: {text!r}", "for example 2030-01-31T08:00:00Z") from None


def after(length: float) -> datetime:
    """The time this many seconds from now.

    Raises:
        ConfigError: the length is 0, or the time is after the year 9999.
    """
    if not length:
        raise ConfigError("the length of time is 0", "give more than 0 s")
    return datetime.now(UTC) + timedelta(seconds=length)


def store_options(function: F) -> F:
    """``--store``, ``--namespace`` and ``--config``, for commands that look at a queue."""
    for option in (
        click.option("--config", "config_file", metavar="FILE", help="Settings file. [default: s3queue.toml]"),
        click.option("--namespace", metavar="NAME", help="Prefix of all keys."),
        click.option(
            "--store", "store_url", metavar="URL", help="For example sqlite:///jobs.db or s3://bucket/prefix."
        ),
    ):
        function = option(function)
    return function


json_lines_option = click.option("--json", "as_json", is_flag=True, help="One JSON object a line, for programs.")
json_option = click.option("--json", "as_json", is_flag=True, help="Print one JSON object, for programs.")
yes_option = click.option("--yes", is_flag=True, help="Do not ask.")
