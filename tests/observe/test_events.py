from __future__ import annotations

import json
import logging
import os
import resource
import signal
from pathlib import Path
from typing import Any

import pytest

from s3queue.observe import events
from s3queue.observe.events import Events


def read(directory: Path, role: str) -> list[dict[str, object]]:
    lines = (directory / f"{role}-{os.getpid()}.jsonl").read_text("utf-8").splitlines()
    return [json.loads(line) for line in lines]


def test_history_has_one_line_per_event_with_time_role_and_process(tmp_path: Path) -> None:
    sink = Events("worker", str(tmp_path / "made" / "here"))
    sink.emit("started", message="m", attempt=1, ticket="1-2", pid=3)
    sink.emit("odd", what=Path("a"))
    first, second = read(tmp_path / "made" / "here", "worker")
    assert first.pop("at")
    assert first == {"role": "worker", "pid": 3, "kind": "started", "message": "m", "attempt": 1, "ticket": "1-2"}
    assert second["what"] == "a"
    sink.close()


def test_history_of_a_forked_process_goes_to_a_file_of_its_own(tmp_path: Path) -> None:
    sink = Events("worker", str(tmp_path))
    sink.emit("started", message="parent")
    pid = os.fork()
    if not pid:
        sink.emit("started", message="child")
        os._exit(0)
    os.waitpid(pid, 0)
    assert [line["message"] for line in read(tmp_path, "worker")] == ["parent"]
    assert json.loads((tmp_path / f"worker-{pid}.jsonl").read_text("utf-8"))["message"] == "child"
    sink.close()


def test_nothing_is_wanted_without_a_history_and_a_listener(caplog: pytest.LogCaptureFixture, tmp_path: Path) -> None:
    with caplog.at_level(logging.INFO, "s3queue.agent"):
        sink = Events("agent")
        assert not sink.wants("started")
        assert sink.wants("worker_died")
        assert Events("agent", str(tmp_path)).wants("started")
        sink.emit("started", message="m")
        sink.emit("worker_died", worker=1, cause="killed")
    assert [record.message for record in caplog.records] == ["worker_died worker=1 cause=killed"]
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


def test_records_of_failures_carry_task_message_and_attempt(caplog: pytest.LogCaptureFixture) -> None:
    sink = Events("worker")
    text = "Traceback (most recent call last):\n  …\nValueError: no such user"
    sink.emit("retrying", task="send", message="m-1", attempt=2, of=5, cause="error", next_s=4.0, text=text)
    sink.emit("dead", task="send", message="m-1", attempt=5, of=5, cause="error", text="out of patience")
    sink.emit("snoozed", task="send", message="m-2", attempt=1, next_s=60.0)
    retrying, dead = caplog.records
    assert (retrying.levelno, dead.levelno) == (logging.WARNING, logging.ERROR)
    assert retrying.getMessage().splitlines()[0] == (
        "retrying task=send message=m-1 attempt=2 of=5 cause=error next_s=4.0"
    )
    assert retrying.getMessage().endswith(text)
    assert dead.getMessage() == "dead task=send message=m-1 attempt=5 of=5 cause=error: out of patience"
    carried: Any = dead
    assert (carried.task, carried.message_id, carried.attempt) == ("send", "m-1", 5)
    assert carried.s3queue["cause"] == "error"


def test_log_record_names_the_first_of_many_messages_and_counts_the_others(caplog: pytest.LogCaptureFixture) -> None:
    """A purge of a long queue would log a line of megabytes."""
    caplog.set_level(logging.INFO)
    ids = [f"m-{number}" for number in range(1000)]
    Events("agent").emit("purged", queue="q", ids=ids)
    (record,) = caplog.records
    assert record.getMessage() == f"purged queue=q ids={','.join(ids[:10])} ids_more=990"
    carried: Any = record
    assert (carried.s3queue["ids"], carried.s3queue["ids_more"]) == (ids[:10], 990)


def test_history_names_all_of_many_messages(tmp_path: Path) -> None:
    ids = [f"m-{number}" for number in range(1000)]
    sink = Events("agent", str(tmp_path))
    sink.emit("purged", queue="q", ids=ids)
    sink.close()
    (line,) = (tmp_path / f"agent-{os.getpid()}.jsonl").read_bytes().splitlines()
    assert json.loads(line)["ids"] == ids


@pytest.mark.parametrize(
    ("until_ms", "told"),
    [(0, 'until="it is resumed"'), (1_900_000_000_000, "until=2030-03-17T17:46:40+00:00")],
)
def test_end_of_a_pause_is_logged_as_a_time(caplog: pytest.LogCaptureFixture, until_ms: int, told: str) -> None:
    caplog.set_level(logging.INFO)
    Events("agent").emit("paused", queue="q", until_ms=until_ms)
    assert [record.getMessage() for record in caplog.records] == [f"paused queue=q {told}"]


class TestNothingRaises:
    def test_full_disk_costs_the_line_and_is_warned_of_once(
        self, tmp_path: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        (tmp_path / f"producer-{os.getpid()}.jsonl").symlink_to("/dev/full")
        sink = Events("producer", str(tmp_path))
        for _ in range(3):
            sink.emit("enqueued", ids=["m"])
        assert [record.message for record in caplog.records] == [
            f"cannot write the history in {tmp_path}: [Errno 28] No space left on device"
        ]
        sink.close()

    def test_line_cut_short_by_a_full_disk_does_not_spoil_the_next(self, tmp_path: Path) -> None:
        pid = os.fork()
        if not pid:
            signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
            _, most = resource.getrlimit(resource.RLIMIT_FSIZE)
            sink = Events("worker", str(tmp_path))
            resource.setrlimit(resource.RLIMIT_FSIZE, (200, most))
            for number in range(5):
                sink.emit("started", message=str(number))
            resource.setrlimit(resource.RLIMIT_FSIZE, (most, most))
            sink.emit("started", message="after")
            os._exit(0)
        os.waitpid(pid, 0)
        lines = (tmp_path / f"worker-{pid}.jsonl").read_bytes().splitlines()
        assert json.loads(lines[0])["message"] == "0"
        assert json.loads(lines[-1])["message"] == "after"

    def test_directory_that_cannot_be_made(self, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
        (tmp_path / "file").write_text("")
        Events("producer", str(tmp_path / "file" / "below")).emit("enqueued", ids=["m"])
        assert "cannot write the history" in caplog.text

    @pytest.mark.parametrize("fault", [RuntimeError, SystemExit])
    def test_handler_that_raises(self, tmp_path: Path, fault: type[BaseException]) -> None:
        class Broken(logging.Handler):
            def emit(self, record: logging.LogRecord) -> None:
                raise fault("the log server is away")

        logger = logging.getLogger("s3queue.producer")
        broken = Broken()
        logger.addHandler(broken)
        try:
            sink = Events("producer", str(tmp_path))
            sink.emit("worker_died", worker=1)
            sink.warn("store", "the store is away")
        finally:
            logger.removeHandler(broken)
        assert [line["kind"] for line in read(tmp_path, "producer")] == ["worker_died"]
        sink.close()

    def test_value_that_cannot_be_printed(self, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
        class Shy:
            def __str__(self) -> str:
                raise RuntimeError("no")

        sink = Events("worker", str(tmp_path))
        sink.emit("dead", message="m", text=Shy())
        sink.emit("dead", message="m")
        assert [record.message for record in caplog.records if record.levelno == logging.ERROR] == ["dead message=m"]
        sink.close()
