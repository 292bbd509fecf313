from __future__ import annotations

import os
from multiprocessing import connection
from pathlib import Path
from typing import Any

import pytest

from s3queue.observe import ears
from s3queue.observe.ears import Ear, Listener, open_ear
from s3queue.observe.events import Events


def hear(listener: Listener, most: int = 1) -> list[dict[str, Any]]:
    """Wait until so many records have come."""
    records: list[dict[str, Any]] = []
    while len(records) < most:
        connection.wait(listener.watched())
        records += listener.heard()
    return records


def test_records_of_several_processes_arrive_whole_and_each_in_order(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ears, "_WAIT_S", 600.0)  # a busy machine takes none of them away
    listener = Listener(open_ear(str(tmp_path / "sock")))
    ear = Ear(listener.path)
    ear.hear({"n": -1})  # a connection that a fork must not share
    children = []
    for child in range(2):
        pid = os.fork()
        if not pid:
            for number in range(200):
                ear.hear({"child": child, "n": number, "text": "x" * 3000})
            os._exit(0)
        children.append(pid)
    records = hear(listener, 401)
    for pid in children:
        os.waitpid(pid, 0)
    ear.close()
    for child in range(2):
        assert [it["n"] for it in records if it.get("child") == child] == list(range(200))
    listener.close()


def test_listener_that_is_replaced_is_heard_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ears, "_AWAY_S", 0.0)
    first = Listener(open_ear(str(tmp_path / "sock")))
    ear = Ear(first.path)
    assert ear.hear({"n": 1})
    first.close()
    while ear.hear({"n": 2}):  # until the end of the connection is noticed
        pass
    second = Listener(open_ear(first.path))
    assert ear.hear({"n": 3})
    assert hear(second) == [{"n": 3}]
    ear.close()
    second.close()


def test_listener_that_takes_nothing_costs_the_event_and_not_the_sender(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ears, "_WAIT_S", 0.01)
    listener = Listener(open_ear(str(tmp_path / "sock")))
    sink = Events("worker", ears=[Ear(listener.path, frozenset({"dead"}))])
    while "was lost" not in caplog.text:
        sink.emit("dead", message="m", attempt=1, text="x" * 100_000)
    sink.close()
    listener.close()


def test_only_what_a_listener_asked_for_is_sent(tmp_path: Path) -> None:
    listener = Listener(open_ear(str(tmp_path / "sock")))
    sink = Events("worker", ears=[Ear(listener.path, frozenset({"dead"}))])
    assert sink.wants("dead")
    assert not sink.wants("succeeded")
    sink.emit("snoozed", message="m", attempt=1)
    sink.emit("dead", message="m", attempt=1)
    (record,) = hear(listener)
    sink.close()
    assert (record["kind"], record["role"], record["message"]) == ("dead", "worker", "m")
    listener.close()
