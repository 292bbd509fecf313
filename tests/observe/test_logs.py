from __future__ import annotations

import json
import logging
import pickle
import sys
from collections.abc import Iterator
from typing import Any

import pytest

from s3queue.observe import logs
from s3queue.observe.events import Events
from s3queue.observe.logs import JsonFormatter, TextFormatter, name_the_running

RUNNING = {"task": "send", "message_id": "m-1", "attempt": 2, "queue": "mail"}


@pytest.fixture
def runs(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A task runs here."""
    before = logging.getLogRecordFactory()
    monkeypatch.setattr(logs, "_find", None)
    name_the_running(lambda: RUNNING)
    yield
    logging.setLogRecordFactory(before)


def line(record: logging.LogRecord) -> dict[str, Any]:
    told: dict[str, Any] = json.loads(JsonFormatter().format(record))
    return told


@pytest.mark.usefixtures("runs")
def test_record_inside_a_task_carries_its_message_and_survives_a_queue(caplog: pytest.LogCaptureFixture) -> None:
    logging.getLogger("mine").warning("hello %s", "you")
    (record,) = caplog.records
    carried: Any = pickle.loads(pickle.dumps(record))
    assert (carried.task, carried.message_id, carried.attempt, carried.queue) == ("send", "m-1", 2, "mail")
    assert logging.Formatter("%(task)s %(attempt)s %(message)s").format(record) == "send 2 hello you"


@pytest.mark.usefixtures("runs")
def test_own_field_of_the_same_name_is_no_error_and_comes_first(caplog: pytest.LogCaptureFixture) -> None:
    logging.getLogger("mine").warning("hello", extra={"task": "mine"})
    Events("worker").emit("dead", message="other", attempt=9, task="that")
    mine, dead = caplog.records
    assert (line(mine)["task"], line(mine)["message_id"]) == ("mine", "m-1")
    assert (line(dead)["task"], line(dead)["message_id"], line(dead)["attempt"]) == ("that", "other", 9)


def test_record_outside_of_tasks_has_none_of_the_fields(monkeypatch: pytest.MonkeyPatch) -> None:
    before = logging.getLogRecordFactory()
    monkeypatch.setattr(logs, "_find", None)
    name_the_running(lambda: None)
    try:
        record = logging.getLogger("mine").makeRecord("mine", logging.INFO, "f", 1, "hello", (), None)
    finally:
        logging.setLogRecordFactory(before)
    assert not hasattr(record, "task")


def test_line_of_json_tells_an_event_with_its_fields_and_an_error_with_its_traceback(
    caplog: pytest.LogCaptureFixture,
) -> None:
    Events("worker").emit("retrying", task="send", message="m-1", attempt=1, next_s=4.0, text="Traceback …\nValueError")
    try:
        raise ValueError("no such user")
    except ValueError:
        logging.getLogger("mine").exception("failed", extra={"user": 7})
    retrying, failed = map(line, caplog.records)
    assert retrying.pop("at").endswith("Z")
    assert retrying == {
        "level": "WARNING",
        "logger": "s3queue.worker",
        "text": "Traceback …\nValueError",
        "task": "send",
        "message_id": "m-1",
        "attempt": 1,
        "kind": "retrying",
        "next_s": 4.0,
    }
    assert failed["user"] == 7
    assert failed["traceback"].endswith("ValueError: no such user")


def test_text_of_a_task_cannot_control_the_terminal_that_shows_it() -> None:
    form = TextFormatter("%(levelname)s %(message)s")
    try:
        raise ValueError("\x1b[31mred\x1b]0;title\x07\r\nnul\x00 \u202e \ud83d fine é")
    except ValueError:
        record = logging.LogRecord("mine", logging.ERROR, __file__, 1, "\x1b[2J of %s", ("\x9bA",), sys.exc_info())
    lines = form.format(record).split("\n")
    assert lines[0] == "ERROR \\x1b[2J of \\x9bA"
    assert lines[-2:] == ["ValueError: \\x1b[31mred\\x1b]0;title\\x07\\r", "nul\\x00 \\u202e \\ud83d fine é"]
    assert all(map(str.isprintable, lines))
