"""What a task may do to the process that runs it, and what becomes of its message."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from msgspec import Raw

from s3queue.core.records import Failed, Message, Part, decode_message, encode_message
from s3queue.runtime.local.journal import OK, RUNNING, state_of
from s3queue.runtime.local.wire import FailedNote, Finished
from s3queue.runtime.worker.outcomes import FAULT_DELAY_S
from s3queue.store import ObjectStore
from tests.runtime import jobs
from tests.runtime.desk import Desk, desk


def outcome(it: Desk) -> Failed:
    """Of a row with one message."""
    note = it.expect(FailedNote)
    assert it.expect(Finished).row == note.row
    assert it.states(note.row) == [state_of(note.outcome)]
    return note.outcome


# ---- processes that a task forks


@pytest.mark.parametrize(
    ("task", "how", "status"),
    [
        ("fork", "exit", 0),
        ("fork", "status", 7),
        ("fork", "error", 1),
        ("fork", "return", 0),
        ("fork_async", "return", 0),
        ("fork_async", "exit", 7),
        ("fork_async", "awaits", 0),
    ],
)
def test_process_that_a_task_forked_ends_where_the_code_of_the_task_ends(
    store: ObjectStore, tmp_path: Path, task: str, how: str, status: int
) -> None:
    out = tmp_path / "out"
    with desk(store) as it:
        it.deal_new(0, it.message(task, how, str(out)), it.message("append", str(out), "next"))
        it.expect(Finished)
        assert it.states(0) == [OK, OK]
        assert it.stop() == 0
    # A child that went on would have run the next one, too.
    assert out.read_text() == f"{how} {status}\nnext\n"


# ---- context variables


@pytest.mark.parametrize("task", ["remember", "remember_async"])
def test_message_does_not_see_context_variables_that_the_one_before_it_set(
    store: ObjectStore, tmp_path: Path, task: str
) -> None:
    out = tmp_path / "out"
    with desk(store) as it:
        it.deal_new(0, *[it.message(task, str(out))] * 3)
        it.expect(Finished)
    assert out.read_text() == "nothing\n" * 3


# ---- results that are nothing yet


@pytest.mark.parametrize("task", ["lazy", "lazy_async"])
@pytest.mark.parametrize("how", ["generator", "coroutine", "async_generator", "context_manager", "map", "future"])
def test_task_that_returns_something_lazy_has_failed_and_is_told_so(store: ObjectStore, task: str, how: str) -> None:
    with desk(store) as it:
        it.deal_new(0, it.message(task, how))
        failed = outcome(it)
        assert failed.kind == "retry"
        assert failed.failure is not None
        assert failed.failure.cause == "error"
        assert "so what it stands for has not run" in failed.failure.text


@pytest.mark.parametrize("how", ["list", "file", "none"])
def test_task_may_return_what_is_not_lazy(store: ObjectStore, how: str) -> None:
    with desk(store) as it:
        it.deal_new(0, it.message("lazy", how))
        it.expect(Finished)
        assert it.states(0) == [OK]


# ---- groups of exceptions


@pytest.mark.parametrize(
    ("how", "kind", "delay_s"), [("reject", "dead", 0.0), ("snooze", "snooze", 11.0), ("retry", "retry", 7.0)]
)
def test_steering_out_of_a_task_group_counts_as_if_there_were_no_group(
    store: ObjectStore, how: str, kind: str, delay_s: float
) -> None:
    with desk(store) as it:
        it.deal_new(0, it.message("in_group", how))
        failed = outcome(it)
        assert (failed.kind, failed.delay_s) == (kind, delay_s)


def test_group_of_more_than_one_exception_is_an_error_that_shows_them_all(store: ObjectStore) -> None:
    with desk(store) as it:
        it.deal_new(0, it.message("in_group", "reject", "error"))
        failed = outcome(it)
        assert failed.kind == "retry"
        assert failed.failure is not None
        assert "Reject" in failed.failure.text
        assert "no such thing" in failed.failure.text


# ---- the event loop


@pytest.mark.parametrize("how", ["stop", "break"])
def test_worker_whose_event_loop_was_ended_by_a_task_dies_and_its_journal_says_what_ran(
    store: ObjectStore, how: str
) -> None:
    with desk(store) as it:
        it.deal_new(0, it.message("breaks_loop", how), it.message("noop"))
        assert it.exit_status() == 1
        assert it.states(0)[0] == RUNNING
        assert [(one.row, one.message) for one in it.journal.running()] == [(0, 0)]


# ---- want of memory


def test_memory_error_while_a_payload_is_decoded_is_an_error_of_this_attempt_and_not_corrupt(
    store: ObjectStore,
) -> None:
    with desk(store) as it:
        it.deal_new(0, encode_message(Message("hungry", Raw(b"\x81\xa4what\x81\xa4size\x01"), {})))
        failed = outcome(it)
        assert (failed.kind, failed.delay_s) == ("retry", 2.0)
        assert failed.failure is not None
        assert failed.failure.cause == "error"
        assert "MemoryError: no room" in failed.failure.text


def test_slot_goes_on_after_a_fault_of_ours_and_the_message_is_tried_again(
    store: ObjectStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[int] = []

    def no_memory_once(key: str, raw: Raw) -> Message:
        calls.append(1)
        if len(calls) == 1:
            raise MemoryError("no room for a message")
        return decode_message(key, raw)

    monkeypatch.setattr("s3queue.runtime.worker.attempt.decode_message", no_memory_once)
    with desk(store) as it:
        it.deal_new(0, it.message("noop"))
        failed = outcome(it)
        assert (failed.kind, failed.delay_s) == ("retry", FAULT_DELAY_S)
        assert failed.failure is not None
        assert "MemoryError: no room for a message" in failed.failure.text
        it.deal_new(1, it.message("noop"))
        assert it.expect(Finished).row == 1
        assert it.states(1) == [OK]


# ---- what is told


def told(folder: Path) -> list[dict[str, object]]:
    (file,) = folder.glob("worker-*.jsonl")
    lines = map(json.loads, file.read_text().splitlines())
    return [line for line in lines if line["kind"] in ("retrying", "dead", "snoozed", "unfit")]


def test_each_failed_attempt_is_told_once_with_task_message_attempt_next_try_and_traceback(
    store: ObjectStore, tmp_path: Path
) -> None:
    with desk(store, history=str(tmp_path / "history")) as it:
        path = it.deal_new(0, it.message("fails", "error"), attempt=2)
        assert outcome(it).kind == "retry"
        dead = it.deal_new(1, it.message("fails", "error"), attempt=3)
        assert outcome(it).kind == "dead"
        it.deal_new(2, it.message("noop"))
        it.expect(Finished)
        assert it.stop() == 0
        first, second = told(tmp_path / "history")
        ids = [it.layout.message_id(one, 0) for one in (path, dead)]
    assert [first["kind"], second["kind"]] == ["retrying", "dead"]
    assert [first["message"], second["message"]] == ids
    assert [(one["task"], one["queue"], one["attempt"], one["of"]) for one in (first, second)] == [
        ("fails", jobs.QUEUE, 2, 3),
        ("fails", jobs.QUEUE, 3, 3),
    ]
    assert first["next_s"] == 4.0
    assert "next_s" not in second
    for one in (first, second):
        assert "Traceback" in str(one["text"])
        assert "ValueError: no such thing" in str(one["text"])


def test_message_whose_last_attempt_ended_with_its_process_is_told_to_be_dead(
    store: ObjectStore, tmp_path: Path
) -> None:
    with desk(store, history=str(tmp_path / "history")) as it:
        it.deal_new(0, it.message("noop"), attempt=4)
        assert outcome(it).kind == "dead"
        assert it.stop() == 0
        (line,) = told(tmp_path / "history")
    assert (line["kind"], line["task"], line["attempt"], line["of"]) == ("dead", "noop", 3, 3)
    assert line["text"] == "its last attempt ended with its process"


def test_failed_attempts_are_warnings_of_the_workers_logger_and_dead_ones_errors(
    store: ObjectStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = tmp_path / "log"
    with desk(store) as it:
        it.deal_new(0, it.message("logs_to", str(log)))
        it.expect(Finished)
        it.deal_new(1, it.message("fails", "error"))
        outcome(it)
        it.deal_new(2, it.message("fails", "reject"))
        outcome(it)
        it.deal_new(3, it.message("fails", "snooze"))
        outcome(it)
    lines = [line for line in log.read_text().splitlines() if line.startswith(("WARNING", "ERROR", "INFO"))]
    assert [line.split()[:3] for line in lines] == [
        ["WARNING", "s3queue.worker", "retrying"],
        ["ERROR", "s3queue.worker", "dead"],
    ]


def test_message_of_an_ended_session_is_not_told_as_failed(store: ObjectStore, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "started")
    fd = os.open(tmp_path / "started", os.O_RDWR)
    try:
        with desk(store, history=str(tmp_path / "history")) as it:
            it.deal_new(0, it.message("wait_async", str(tmp_path / "started"), str(tmp_path / "report")))
            os.read(fd, 100)
            it.cancel()
            it.deal_new(1, it.message("noop"))
            it.expect(Finished)
            assert it.stop() == 0
            assert told(tmp_path / "history") == []
    finally:
        os.close(fd)


def test_message_that_cannot_be_decoded_is_told_as_dead(store: ObjectStore, tmp_path: Path) -> None:
    with desk(store, history=str(tmp_path / "history")) as it:
        path = it.put_body(b"nonsense", 1)
        it.deal(0, Part(path, 0, 1, 1))
        assert outcome(it).kind == "dead"
        assert it.stop() == 0
        (line,) = told(tmp_path / "history")
        assert (line["kind"], line["cause"], line["message"]) == ("dead", "corrupt", it.layout.message_id(path, 0))


def test_unfit_messages_are_told_once_per_task(store: ObjectStore, tmp_path: Path) -> None:
    log = tmp_path / "log"
    with desk(store) as it:
        it.deal_new(0, it.message("logs_to", str(log)))
        it.expect(Finished)
        it.deal_new(1, *[it.message("not here")] * 3)
        for _ in range(3):
            assert it.expect(FailedNote).outcome.kind == "unfit"
    assert log.read_text().count("no task 'not here'") == 1
