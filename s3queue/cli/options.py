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


#: Units of a length of time, in seconds.
_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86_400.0}
_PART = re.compile(r"(\d+(?:\.\d+)?)(ms|[smhd])")
#: The longest that an option may name: later than any time that a store can tell, and within what a clock can.
_LONGEST_S = 100 * 366 * 86_400.0


def seconds(text: str) -> float:
    """A length of time: seconds, or numbers with units, such as 5m or 1h30m. For options, as their type."""
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
    """The type of an option that is a length of time, no shorter than this."""

    def length(text: str) -> float:
        given = seconds(text)
        if given < least:
            raise click.BadParameter(f"{text!r} is less than {least:g} s")
        return given

    return length


def whole(least: int) -> Callable[[str], int]:
    """The type of an option that is a whole number, no smaller than this."""

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
    """A number a second, more than 0. For options, as their type."""
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
    """A time, as ISO 8601; of this machine's time zone if it says none.

    Raises:
        ConfigError: it is none.
    """
    try:
        return datetime.fromisoformat(text).astimezone()
    except (ValueError, OverflowError):
        raise ConfigError(f"not a time: {text!r}", "for example 2030-01-31T08:00:00Z") from None


def after(length: float) -> datetime:
    """The time after so many seconds from now.

    Raises:
        ConfigError: that is now, or after the year 9999.
    """
    if not length:
        raise ConfigError("a length of 0 s was given", "more than 0")
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
