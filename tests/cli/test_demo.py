"""The demo is the whole system at once: real processes, a real kill, an audit by two witnesses."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
from s3queue_backends.sqlite import SqliteStore

from s3queue import open_store
from s3queue.cli.demo import work
from s3queue.registry import registry
from s3queue.store import Conflict, Stored
from tests.cli.conftest import Invoke

KEYS = {
    "store",
    "messages",
    "done",
    "dead",
    "lost",
    "committed_twice",
    "ran_twice",
    "killed",
    "seconds",
    "messages_per_s",
    "requests",
}


@pytest.fixture(autouse=True)
def known_task(clean_process: None) -> None:
    registry.add(work)


def demo(s3queue: Invoke, capsys: pytest.CaptureFixture[str], *args: object) -> dict[str, Any]:
    status = s3queue("demo", "--json", *args)
    printed = capsys.readouterr()
    assert status == 0, printed.out + printed.err
    report: dict[str, Any] = json.loads(printed.out)
    assert set(report) == KEYS
    assert set(report["requests"]) == {"put", "get", "list", "delete"}
    assert (report["lost"], report["committed_twice"], report["dead"]) == (0, 0, 0)
    assert report["done"] == report["messages"]
    return report


@pytest.mark.parametrize(
    "args",
    [
        ["--messages", 300],
        ["--messages", 300, "--kill", 0],
        ["--messages", 300, "--start-method", "spawn"],
        ["--messages", 300, "--start-method", "forkserver"],
        ["--messages", 300, "--store", "memory://"],
        ["--messages", 100, "--store", "memory://", "--start-method", "spawn"],
        ["--messages", 300, "--workers", 3, "--kill", 3],
        ["--messages", 100, "--workers", 1, "--concurrency", 4, "--kill", 3],
        ["--messages", 1, "--workers", 1, "--kill", 1],
    ],
    ids=lambda args: " ".join(map(str, args)),
)
def test_every_kill_hits_a_running_message_and_costs_no_more_than_that(
    args: list[object], s3queue: Invoke, capsys: pytest.CaptureFixture[str]
) -> None:
    report = demo(s3queue, capsys, *args)
    kills = args[args.index("--kill") + 1] if "--kill" in args else 1
    concurrency = args[args.index("--concurrency") + 1] if "--concurrency" in args else 1
    assert report["killed"] == kills
    assert isinstance(kills, int)
    assert isinstance(concurrency, int)
    assert kills <= report["ran_twice"] <= kills * concurrency


def test_a_store_of_ones_own_is_left_as_it_was(
    s3queue: Invoke, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    report = demo(s3queue, capsys, "--messages", 50, "--store", f"sqlite:///{tmp_path}/own.db")
    assert report["store"].endswith("own.db")
    store = open_store(report["store"])
    assert store.list("") == []
    store.close()


def test_people_are_told_in_words(s3queue: Invoke, capsys: pytest.CaptureFixture[str]) -> None:
    assert s3queue("demo", "--messages", 50) == 0
    printed = capsys.readouterr()
    assert "lost: 0, committed twice: 0" in printed.out
    assert "1 workers" not in printed.out
    assert printed.err == ""


def test_nothing_of_it_stays_behind(
    s3queue: Invoke, capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    demo(s3queue, capsys, "--messages", 20)
    assert [name for name in os.listdir(tmp_path) if name.startswith("s3queue-demo-")] == []


class Forgetful(SqliteStore):
    """Accepts every put, and forgets the third batch."""

    accepted = 0

    def put(self, key: str, body: bytes, *, if_version: str | None) -> Stored | Conflict:
        if "/in/" in key:
            self.accepted += 1
            if self.accepted == 3:
                return Stored("forgotten")
        return super().put(key, body, if_version=if_version)


def test_a_store_that_forgets_what_it_accepted_is_found_out(
    s3queue: Invoke, capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    forgetful = Forgetful(str(tmp_path / "forgetful.db"))
    monkeypatch.setattr("s3queue.cli.demo.open_store", lambda url: forgetful)
    assert s3queue("demo", "--json", "--messages", 20, "--kill", 0) == 1
    report = json.loads(capsys.readouterr().out)
    assert (report["lost"], report["done"], report["committed_twice"]) == (1, 19, 0)


def test_without_a_temporary_directory_it_says_what_it_needs(
    s3queue: Invoke, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def none() -> str:
        raise FileNotFoundError("No usable temporary directory found")

    monkeypatch.setattr("tempfile.gettempdir", none)
    assert s3queue("demo") == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "no temporary directory can be written" in line
