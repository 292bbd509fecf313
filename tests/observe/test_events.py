from __future__ import annotations

import json
import logging
import os
from pathlib import Path

import pytest

from s3queue.observe import events
from s3queue.observe.events import Events


def read(directory: Path, role: str) -> list[dict[str, object]]:
    lines = (directory / f"{role}-{os.getpid()}.jsonl").read_text("utf-8").splitlines()
    return [json.loads(line) for line in lines]


def test_history_has_one_line_per_event_with_time_role_and_process(tmp_path: Path) -> None:
    sink = Events("worker", str(tmp_path / "made" / "here"))
    sink.emit("run", message="m", attempt=1, ticket="1-2", pid=3)
    sink.emit("odd", what=Path("a"))
    first, second = read(tmp_path / "made" / "here", "worker")
    assert first.pop("at")
    assert first == {"role": "worker", "pid": 3, "kind": "run", "message": "m", "attempt": 1, "ticket": "1-2"}
    assert second["what"] == "a"
    sink.close()


def test_history_of_a_forked_process_goes_to_a_file_of_its_own(tmp_path: Path) -> None:
    sink = Events("worker", str(tmp_path))
    sink.emit("run", message="parent")
    pid = os.fork()
    if not pid:
        sink.emit("run", message="child")
        os._exit(0)
    os.waitpid(pid, 0)
    assert [line["message"] for line in read(tmp_path, "worker")] == ["parent"]
    assert json.loads((tmp_path / f"worker-{pid}.jsonl").read_text("utf-8"))["message"] == "child"
    sink.close()


def test_nothing_is_wanted_without_a_history_and_a_listener(caplog: pytest.LogCaptureFixture, tmp_path: Path) -> None:
    with caplog.at_level(logging.INFO, "s3queue.agent"):
        sink = Events("agent")
        assert not sink.wants("run")
        assert sink.wants("died")
        assert Events("agent", str(tmp_path)).wants("run")
        sink.emit("run", message="m")
        sink.emit("died", worker=1, cause="killed")
    assert [record.message for record in caplog.records] == ["died worker=1 cause=killed"]
    assert caplog.records[0].levelno == logging.WARNING


def test_same_warning_is_said_once_in_a_while_and_counted(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 1000.0
    monkeypatch.setattr("s3queue.observe.events.time.monotonic", lambda: now)
    sink = Events("agent")
    for _ in range(3):
        sink.warn("store", "the store is away")
    sink.warn("other", "something else")
    now += events.QUIET_S
    sink.warn("store", "the store is away")
    sink.warn("store", "the store is away")
    assert [record.message for record in caplog.records] == [
        "the store is away",
        "something else",
        "the store is away (and 2 more like it)",
    ]
