"""Lengths of time and times, as options of every command; and a stdin that is closed."""

from __future__ import annotations

import sys

import click
import pytest

from s3queue.cli import cli
from s3queue.cli.options import seconds
from s3queue.store import open_store
from tests.cli.conftest import Invoke

NO_LENGTHS = ["nan", "inf", "-inf", "-1", "1e400", "99999999999999999999", "abc", "5x", ""]
TIMED = {
    "--timeout": [
        "pause q", "resume q", "limit set q --running 1", "limit rm q", "cancel --queue q --yes", "run-now --queue q --yes",
        "purge q --yes", "delete q --yes", "cron run c", "dead redrive q --all --yes", "dead purge q --all --yes",
    ],
    "--for": ["pause q --no-wait", "cron pause c"],
    "--delay": ["enqueue --queue q 1"],
    "--expires-in": ["enqueue --queue q 1"],
    "--every": ["cron set c --queue q 1"],
}  # fmt: skip


def _leaves(command: click.Command, path: str = "") -> dict[str, click.Command]:
    if isinstance(command, click.Group):
        found: dict[str, click.Command] = {}
        for name, one in command.commands.items():
            found |= _leaves(one, f"{path} {name}".strip())
        return found
    return {path: command}


@pytest.mark.parametrize("wrong", NO_LENGTHS)
@pytest.mark.parametrize(("option", "line"), [(option, line) for option, lines in TIMED.items() for line in lines])
def test_what_is_no_length_of_time_is_one_clear_line(
    s3queue: Invoke, url: str, option: str, line: str, wrong: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert s3queue(*line.split(), option, wrong, "--store", url) == 2
    told = capsys.readouterr().err.strip()
    assert told.startswith("s3queue: ")
    assert option in told
    assert "\n" not in told
    assert list(open_store(url).list("")) == []


@pytest.mark.parametrize("wrong", [*NO_LENGTHS, "0", "50ms"])
@pytest.mark.parametrize("line", ["stats --watch --interval", "top --interval", "dashboard --every"])
def test_pause_between_looks_that_is_none_is_one_clear_line(
    s3queue: Invoke, url: str, line: str, wrong: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert s3queue(*line.split(), wrong, "--store", url) == 2
    assert "\n" not in capsys.readouterr().err.strip()


@pytest.mark.parametrize("wrong", ["", "a/b", "é"])
def test_exporter_of_what_is_no_queue_is_a_mistake(s3queue: Invoke, url: str, wrong: str) -> None:
    assert s3queue("exporter", "--bind", "127.0.0.1:0", "--queue", wrong, "--store", url) == 2


def test_every_command_that_waits_takes_a_length_of_time() -> None:
    for name, command in _leaves(cli).items():
        for option in command.params:
            if option.name == "timeout":
                assert getattr(option.type, "func", None) is seconds, name


@pytest.mark.parametrize(
    "line", ["pause q --no-wait --until", "cron pause c --until", "cron set c --queue q 1 --every 5 --since"]
)
@pytest.mark.parametrize("wrong", ["", "nan", "tomorrow", "0001-01-01T00:00:00Z", "99999-01-01"])
def test_time_that_nobody_can_keep_is_refused_and_stores_nothing(
    s3queue: Invoke, url: str, line: str, wrong: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert s3queue(*line.split(), wrong, "--store", url) == 2
    assert "\n" not in capsys.readouterr().err.strip()
    assert list(open_store(url).list("")) == []


def test_time_of_a_message_says_its_zone(s3queue: Invoke, url: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert s3queue("enqueue", "--queue", "q", "1", "--at", "2030-01-31T08:00", "--store", url) == 2
    assert "a time without a time zone: '2030-01-31T08:00'" in capsys.readouterr().err


@pytest.mark.parametrize("line", ["enqueue --queue q -", "purge q", "delete q"])
def test_closed_stdin_is_one_clear_line(
    s3queue: Invoke, url: str, line: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert s3queue("enqueue", "--queue", "q", "1", "--store", url) == 0
    capsys.readouterr()
    monkeypatch.setattr(sys, "stdin", None)
    assert s3queue(*line.split(), "--store", url) == 2
    assert "\n" not in capsys.readouterr().err.strip()
