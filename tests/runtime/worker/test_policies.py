"""What becomes of failed attempts in a worker process, as task and message say."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from s3queue.runtime.local.wire import Finished
from s3queue.store import ObjectStore
from tests.runtime.desk import desk
from tests.runtime.worker.test_attempt import outcome


@pytest.mark.parametrize(
    ("how", "kind", "delay_s"),
    [
        (["os"], "retry", 20.0),
        (["key"], "retry", 20.0),
        (["value"], "dead", 0.0),
        (["fatal"], "dead", 0.0),
        (["os", "key"], "retry", 20.0),
        (["os", "value"], "dead", 0.0),
    ],
)
def test_exceptions_are_tried_again_or_given_up_as_the_task_says(
    store: ObjectStore, how: list[str], kind: str, delay_s: float
) -> None:
    with desk(store) as it:
        it.deal_new(0, it.message("picky", *how), attempt=2)
        failed = outcome(it)
    assert (failed.kind, failed.delay_s) == (kind, delay_s)
    assert failed.failure is not None
    assert failed.failure.cause == "error"
    assert "Error" in failed.failure.text or "Fatal" in failed.failure.text


@pytest.mark.parametrize(("how", "words"), [("broken", "the predicate itself failed"), ("connection", "returned nan")])
def test_function_of_the_task_that_fails_costs_a_wait_by_default_and_is_told(
    store: ObjectStore, how: str, words: str
) -> None:
    with desk(store) as it:
        it.deal_new(0, it.message("picky", how))
        failed = outcome(it)
    assert failed.kind == "retry"
    assert 0 <= failed.delay_s <= 1
    assert failed.failure is not None
    assert words in failed.failure.text


@pytest.mark.parametrize(("task", "args"), [("soft_async", ["raises"]), ("soft_sync", [])])
def test_task_at_its_soft_time_limit_is_told_and_has_failed(store: ObjectStore, task: str, args: list[str]) -> None:
    with desk(store) as it:
        it.deal_new(0, it.message(task, *args))
        failed = outcome(it)
    assert failed.kind == "retry"
    assert failed.failure is not None
    assert failed.failure.cause == "error"
    assert "SoftTimeLimit" in failed.failure.text


def test_soft_time_limit_of_an_async_task_tells_where_it_was_and_nothing_else(store: ObjectStore) -> None:
    with desk(store) as it:
        it.deal_new(0, it.message("soft_async", "raises"))
        failed = outcome(it)
    assert failed.failure is not None
    lines = failed.failure.text.splitlines()
    assert lines[-1].endswith("SoftTimeLimit: the task was cancelled at its soft time limit of 0.01 s")
    assert [line for line in lines if line.lstrip().startswith("File ") and "failing.py" in line]
    assert failed.failure.text.count("Traceback") == 1
    assert "CancelledError" not in failed.failure.text


def test_async_task_that_ends_well_after_its_soft_time_limit_is_done(store: ObjectStore) -> None:
    with desk(store) as it:
        it.deal_new(0, it.message("soft_async", "returns"))
        it.expect(Finished)


@pytest.mark.parametrize(
    ("headers", "attempt", "kind"),
    [
        ({}, 2, "retry"),
        ({"s3queue-max-attempts": "2"}, 1, "retry"),
        ({"s3queue-max-attempts": "2"}, 2, "dead"),
        ({"s3queue-max-attempts": "9"}, 3, "dead"),
    ],
)
def test_message_with_attempts_of_its_own_is_dead_after_them(
    store: ObjectStore, headers: dict[str, str], attempt: int, kind: str
) -> None:
    with desk(store) as it:
        it.deal_new(0, it.message("fails", "error", headers=headers), attempt=attempt)
        assert outcome(it).kind == kind


def test_message_whose_process_died_in_its_last_own_attempt_never_starts_again(
    store: ObjectStore, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    own: dict[str, Any] = {"headers": {"s3queue-max-attempts": "1"}}
    with desk(store) as it:
        # Attempt 2: the first one ended with its process, of which the coordinator alone knows.
        it.deal_new(0, it.message("append", str(out), "again", **own), attempt=2)
        assert outcome(it).kind == "dead"
    assert not out.exists()


def test_time_limit_of_a_message_ends_it(store: ObjectStore) -> None:
    with desk(store) as it:
        it.deal_new(0, it.message("endless", headers={"s3queue-time-limit": "0.01"}))
        failed = outcome(it)
    assert failed.failure is not None
    assert (failed.failure.cause, failed.failure.text) == ("time_limit", "cancelled at its time limit of 0.01 s")


def test_task_sees_the_headers_of_the_producer_only(store: ObjectStore, tmp_path: Path) -> None:
    out = tmp_path / "out"
    with desk(store) as it:
        it.deal_new(0, it.message("shows_headers", str(out), headers={"s3queue-time-limit": "600.0", "trace": "t"}))
        it.expect(Finished)
    assert out.read_text() == "{'trace': 't'} 600\n"
