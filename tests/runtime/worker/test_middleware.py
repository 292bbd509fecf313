"""What a worker does around attempts, and what it hands to them."""

from __future__ import annotations

from pathlib import Path

import pytest

from s3queue.decorators import use
from s3queue.registry import registry
from s3queue.runtime.local.journal import OK
from s3queue.runtime.local.wire import FailedNote, Finished
from s3queue.store import ObjectStore
from tests.runtime import jobs
from tests.runtime.desk import desk
from tests.runtime.worker.test_attempt import outcome


def told(store: ObjectStore, out: Path, task: str, how: str) -> list[str]:
    """What went on around one attempt."""
    with desk(store) as it:
        it.deal_new(0, it.message(task, how), it.message("tells_around", str(out)))
        note = it.next()
        if isinstance(note, FailedNote):
            it.expect(Finished)
    return out.read_text().splitlines()


def test_hooks_run_in_order_around_a_task_and_share_its_context_variables(store: ObjectStore, tmp_path: Path) -> None:
    assert told(store, tmp_path / "out", "hooked", "well") == [
        "outer.before hooked 1",
        "around.in",
        "inner.before hooked 1",
        "task sees inner",
        "inner.after result",
        "around.out",
        "outer.after result",
    ]


def test_async_and_sync_hooks_run_in_order_around_an_async_task(store: ObjectStore, tmp_path: Path) -> None:
    assert told(store, tmp_path / "out", "hooked_async", "error") == [
        "async.before",
        "around.in",
        "inner.before hooked_async 1",
        "task sees inner",
        "inner.failed ValueError",
        "around.out",
        "async.failed ValueError",
    ]


def test_steering_passes_through_middleware(store: ObjectStore) -> None:
    with desk(store) as it:
        it.deal_new(0, it.message("hooked", "snooze"))
        assert (failed := outcome(it)).kind == "snooze"
        assert failed.delay_s == 3.0


@pytest.mark.parametrize(("task", "hook"), [("breaks_before", "before"), ("breaks_after", "after")])
def test_middleware_that_raises_fails_the_attempt_and_is_named(store: ObjectStore, task: str, hook: str) -> None:
    with desk(store) as it:
        it.deal_new(0, it.message(task, "well"))
        failed = outcome(it)
    assert failed.kind == "retry"
    assert failed.failure is not None
    assert (
        f"LookupError: 'broken {hook}'" in failed.failure.text or f"LookupError: broken {hook}" in failed.failure.text
    )
    assert f"raised by the middleware Hooks.{hook}" in failed.failure.text


def test_records_that_a_task_logs_carry_task_message_and_attempt(store: ObjectStore, tmp_path: Path) -> None:
    out = tmp_path / "out"
    with desk(store) as it:
        path = it.deal_new(0, it.message("logs_inside", str(out)), attempt=2)
        it.expect(Finished)
        assert it.stop() == 0
    assert out.read_text() == f"logs_inside 2 {it.layout.message_id(path, 0)} hello\n"


def test_reporter_hears_of_failures_only_and_may_itself_fail(store: ObjectStore, tmp_path: Path) -> None:
    with desk(store) as it:
        it.deal_new(0, it.message("reported", "snooze"), it.message("reported", "error"))
        kinds = [it.expect(FailedNote).outcome for _ in range(2)]
        it.expect(Finished)
        it.deal_new(1, it.message("tells_around", str(tmp_path / "out")))
        it.expect(Finished)
    assert [one.kind for one in kinds] == ["snooze", "retry"]
    assert kinds[1].failure is not None
    assert "ValueError: no such thing" in kinds[1].failure.text
    assert "captured no such thing" in (tmp_path / "out").read_text()
    assert "captured snoozed" not in (tmp_path / "out").read_text()


def test_resource_is_made_once_for_all_tasks_of_a_worker_and_closed_at_its_end(
    store: ObjectStore, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    with desk(store, concurrency=3) as it:
        messages = [it.message(task, str(out)) for task in ("uses_tool", "uses_tool_async") * 5]
        it.deal_new(0, *messages)
        it.expect(Finished)
        assert it.states(0) == [OK] * 10
        assert not out.exists()
        assert it.stop() == 0
    assert out.read_text() == "closed after 10\n"


def test_resource_that_cannot_be_made_is_a_failure_of_the_attempt(store: ObjectStore) -> None:
    with desk(store) as it:
        it.deal_new(0, it.message("lacks_tool"))
        failed = outcome(it)
    assert failed.kind == "retry"
    assert failed.failure is not None
    assert "the other side is down" in failed.failure.text


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_middleware_of_the_program_reaches_its_workers_and_is_outermost(
    store: ObjectStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, method: str
) -> None:
    monkeypatch.setattr(registry, "middleware", ())
    use(jobs.around.Hooks("used"))
    with desk(store, method=method) as it:
        it.deal_new(0, it.message("hooked", "well"), it.message("tells_around", str(tmp_path / "out")))
        it.expect(Finished)
    told = (tmp_path / "out").read_text().splitlines()
    assert told[:2] == ["used.before hooked 1", "outer.before hooked 1"]
    assert told[-3:] == ["outer.after result", "used.after result", "used.before tells_around 1"]
