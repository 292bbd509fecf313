"""The backend of Django's Tasks framework, with tasks that run in this process."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest

import s3queue
from s3queue.core.keys import parse_message_id, parse_source
from tests.contrib.conftest import framework, shop

if TYPE_CHECKING:
    from s3queue.testing.plugin.desk import TaskQueue

READY, RUNNING, SUCCESSFUL, FAILED = "READY", "RUNNING", "SUCCESSFUL", "FAILED"


# ---- what comes of a call


def test_a_call_runs_and_its_result_says_all_of_it(queue: TaskQueue) -> None:
    result = shop().add.enqueue(2, b=3)
    assert (result.status, result.args, result.kwargs, result.attempts) == (READY, [2], {"b": 3}, 0)
    assert isinstance(result.enqueued_at, datetime)
    with pytest.raises(ValueError, match="not finished"):
        _ = result.return_value
    queue.drain().check()
    result.refresh()
    assert (result.status, result.return_value, result.attempts, result.errors) == (SUCCESSFUL, 5, 1, [])
    assert result.enqueued_at <= result.started_at == result.last_attempted_at <= result.finished_at
    found = shop().add.get_result(result.id)
    assert (found.args, found.kwargs, found.task.func, found.backend) == ([2], {"b": 3}, shop().add.func, "default")


def test_an_async_task_is_enqueued_and_asked_for_on_a_loop(queue: TaskQueue) -> None:
    async def call() -> Any:
        result = await shop().mail.aenqueue("ada")
        await queue.adrain()
        await result.arefresh()
        return result, await shop().mail.aget_result(result.id)

    result, found = asyncio.run(call())
    assert result.return_value == found.return_value == "to ada"
    assert shop().done == ["ada"]


def test_a_failed_attempt_is_ready_again_with_its_error(queue: TaskQueue) -> None:
    result = shop().flaky.enqueue(3)
    queue.run_ready()
    result.refresh()
    assert (result.status, result.attempts, len(result.worker_ids)) == (READY, 1, 1)
    assert result.started_at <= result.last_attempted_at
    assert [error.exception_class for error in result.errors] == [LookupError]
    assert "attempt 1" in result.errors[0].traceback
    queue.drain().check()
    result.refresh()
    assert (result.status, result.return_value, result.attempts) == (SUCCESSFUL, 3, 3)
    assert shop().done == [1, 2, 3], "the context tells the attempt"
    assert all(result.worker_ids)
    assert result.started_at < result.last_attempted_at


def test_a_process_that_died_has_cost_an_attempt_whose_worker_nobody_knows(queue: TaskQueue) -> None:
    result = shop().add.enqueue(1)
    assert queue.drain(crash="end").check().crashed == (result.id,)
    result.refresh()
    assert (result.status, result.attempts, result.worker_ids[0], shop().done) == (SUCCESSFUL, 2, "", [(1, 1)] * 2)


def test_a_message_whose_process_always_dies_has_failed_of_no_exception_of_its_own(queue: TaskQueue) -> None:
    result = shop().mended.enqueue()
    shop().done.append("not broken")
    assert [letter.cause for letter in queue.drain(crash="end").dead] == ["killed"]
    result.refresh()
    assert (result.status, result.attempts) == (FAILED, 1)
    assert result.errors[0].exception_class is s3queue.TaskFailed
    assert result.errors[0].traceback


def test_a_message_out_of_attempts_has_failed_with_all_errors(queue: TaskQueue) -> None:
    result = shop().flaky.enqueue(4)
    queue.drain()
    result.refresh()
    assert (result.status, result.attempts, len(result.errors)) == (FAILED, 3, 3)
    assert result.finished_at >= result.enqueued_at
    with pytest.raises(ValueError, match="failed"):
        _ = result.return_value
    assert shop().flaky.get_result(result.id).args == [4]


def test_a_policy_says_that_there_is_no_second_attempt(queue: TaskQueue) -> None:
    results = [shop().hopeless.enqueue(), shop().refused.enqueue()]
    queue.drain()
    for result, kind in zip(results, (KeyError, s3queue.Reject), strict=True):
        result.refresh()
        assert (result.status, result.attempts) == (FAILED, 1)
        assert result.errors[0].exception_class is kind


def test_what_json_cannot_hold_fails_the_call_and_a_result_like_that_the_attempt(queue: TaskQueue) -> None:
    with pytest.raises(TypeError, match="Unsupported"):
        shop().add.enqueue({1})
    assert queue.enqueued() == []
    result = shop().returns_a_set.enqueue()
    queue.drain()
    result.refresh()
    assert (result.status, result.errors[0].exception_class) == (FAILED, TypeError)


def test_a_redriven_message_has_the_result_of_its_last_life(queue: TaskQueue) -> None:
    result = shop().mended.enqueue()
    queue.drain()
    result.refresh()
    assert result.status == FAILED
    assert s3queue.message(result.id).redrive() == "redriven"
    queue.drain().check()
    result.refresh()
    assert (result.status, result.return_value) == (SUCCESSFUL, RUNNING)


def test_a_task_that_asks_about_itself_is_running(queue: TaskQueue) -> None:
    result = shop().looks_at_itself.enqueue()
    queue.drain().check()
    result.refresh()
    status, attempts, token = result.return_value
    assert (status, attempts) == (RUNNING, 1)
    assert token > 0, "and has the token by which others refuse an older writer"


def test_a_message_that_was_moved_off_the_board_is_ready(options: Any, task_queue: TaskQueue) -> None:
    from s3queue.contrib.django import discover
    from s3queue.testing.plugin.desk import TaskQueue as Desk

    options(max_parked=1)
    s3queue.configure(store=task_queue.store, max_parked=1)
    desk = Desk(s3queue.Config(max_parked=1))
    desk.store = task_queue.store
    discover()
    results = [shop().fails_for_an_hour.enqueue(number) for number in range(3)]
    desk.advance(timedelta(seconds=30))
    assert any(parse_source(parse_message_id(one.place).path).moved for one in desk.enqueued()), "one was moved"
    for number, result in enumerate(results):
        result.refresh()
        assert (result.status, result.args, len(result.errors)) == (READY, [number], 1)


# ---- when, in what order, and where


def test_messages_start_by_priority(queue: TaskQueue) -> None:
    for number, priority in enumerate((-100, 0, 100, 50, -10)):
        shop().add.using(priority=priority).enqueue(number)
    queue.drain().check()
    assert [a for a, _ in shop().done] == [2, 3, 1, 4, 0]


def test_every_priority_has_a_level_and_none_overtakes_a_higher_one(django_set_up: None) -> None:
    from s3queue.contrib.django.backend import level

    levels = [level(priority) for priority in range(-100, 101)]
    assert set(levels) == set(range(10))
    assert levels == sorted(levels, reverse=True)
    assert level(0) == 5, "as of tasks that say nothing"


def test_nothing_runs_before_run_after(queue: TaskQueue) -> None:
    due = queue.clock.now() + timedelta(hours=2)
    result = shop().add.using(run_after=due, priority=7).enqueue(1)
    queue.run_ready()
    result.refresh()
    assert (result.status, shop().done) == (READY, [])
    assert shop().add.get_result(result.id).task.run_after == due
    assert shop().add.get_result(result.id).task.priority == 7
    queue.advance(timedelta(hours=2, seconds=1)).check()
    result.refresh()
    assert result.status == SUCCESSFUL


def test_a_task_goes_to_any_queue_of_its_backend_and_to_no_other(queue: TaskQueue) -> None:
    result = shop().add.using(queue_name="mail").enqueue(1)
    queue.drain().check()
    found = shop().add.get_result(result.id)
    assert (found.status, found.task.queue_name) == (SUCCESSFUL, "mail")
    with pytest.raises(Exception, match="'other' is not valid"):
        shop().add.using(queue_name="other")


# ---- what there is no result of


@pytest.mark.parametrize("id", ["nonsense", "", "p00~in~default~5~1795657485305-000ad7b9b2f360c7-1~0"])
def test_there_is_no_result_of_what_is_no_message(queue: TaskQueue, id: str) -> None:
    with pytest.raises(framework().TaskResultDoesNotExist):
        shop().add.get_result(id)


def test_a_message_that_is_no_call_has_no_result(queue: TaskQueue) -> None:
    @s3queue.task("default")
    def native() -> None: ...

    message = native.enqueue()
    with pytest.raises(framework().TaskResultDoesNotExist):
        shop().add.get_result(message)
    queue.drain().check()
    with pytest.raises(framework().TaskResultDoesNotExist):
        shop().add.get_result(message)


def test_a_result_of_another_task_is_a_mismatch(queue: TaskQueue) -> None:
    result = shop().add.enqueue(1)
    with pytest.raises(Exception, match="does not match"):
        shop().mail.get_result(result.id)


def test_a_cancelled_message_has_no_result(queue: TaskQueue) -> None:
    result = shop().add.enqueue(1)
    assert s3queue.message(result.id).cancel() == "cancelled"
    with pytest.raises(framework().TaskResultDoesNotExist):
        result.refresh()


def test_without_result_ttl_only_what_goes_on_or_failed_is_known(queue: TaskQueue, options: Any) -> None:
    from s3queue.contrib.django import discover
    from s3queue.registry import registry

    options(result_ttl=None)
    registry._tasks.clear()
    discover()
    assert not shop().add.get_backend().supports_get_result
    result = shop().add.enqueue(1)
    result.refresh()
    assert result.status == READY
    queue.drain().check()
    with pytest.raises(framework().TaskResultDoesNotExist):
        result.refresh()


# ---- transactions


def test_on_commit_a_message_is_stored_under_the_id_that_the_call_returned(queue: TaskQueue, options: Any) -> None:
    from django.db import transaction

    options(enqueue_on_commit=True)
    result: Any = None
    with transaction.atomic():
        result = shop().add.enqueue(1)
        told = result.id
        assert (bool(told), result.enqueued_at, queue.enqueued()) == (True, None, [])
    assert [one.id for one in queue.enqueued()] == [result.id] == [told]
    assert isinstance(result.enqueued_at, datetime)
    queue.drain().check()
    result.refresh()
    assert result.return_value == 2


def test_a_transaction_that_rolls_back_enqueues_nothing(queue: TaskQueue, options: Any) -> None:
    from django.db import transaction

    options(enqueue_on_commit="default")
    with transaction.atomic():
        shop().add.enqueue(1)
        transaction.set_rollback(True)
    assert queue.enqueued() == []
    shop().add.enqueue(1)
    assert len(queue.enqueued()) == 1, "without a transaction it is stored at once"


def test_a_call_with_one_name_is_enqueued_once(queue: TaskQueue) -> None:
    backend = shop().add.get_backend()
    first, second = (backend.enqueue_once(shop().add, [1], {}, dedup_id="row-7") for _ in range(2))
    assert first.id == second.id
    queue.drain().check()
    assert shop().done == [(1, 1)]


# ---- around attempts


def test_signals_are_sent_where_a_task_begins_and_ends(queue: TaskQueue) -> None:
    heard: list[tuple[str, str, int]] = []

    def hear(name: str) -> Callable[..., None]:
        def receive(sender: type, task_result: Any, **_: Any) -> None:
            assert sender is type(shop().add.get_backend())
            heard.append((name, str(task_result.status), task_result.attempts))

        return receive

    signals = framework().task_enqueued, framework().task_started, framework().task_finished
    receivers = [hear(name) for name in ("enqueued", "started", "finished")]
    for signal, receiver in zip(signals, receivers, strict=True):
        signal.connect(receiver)
    try:
        shop().flaky.enqueue(2)
        queue.drain().check()
        shop().hopeless.enqueue()
        shop().mail.enqueue("ada")
        queue.drain()
    finally:
        for signal, receiver in zip(signals, receivers, strict=True):
            signal.disconnect(receiver)
    assert heard[:4] == [
        ("enqueued", READY, 0),
        ("started", RUNNING, 1),
        ("started", RUNNING, 2),
        ("finished", SUCCESSFUL, 2),
    ], "an attempt that is followed by another one does not finish the task"
    assert sorted(heard[6:]) == [
        ("finished", FAILED, 1),
        ("finished", SUCCESSFUL, 1),
        ("started", RUNNING, 1),
        ("started", RUNNING, 1),
    ]


@pytest.mark.parametrize("name", ["add", "mail"])
def test_an_attempt_leaves_no_connection_open(
    queue: TaskQueue, name: str, monkeypatch: pytest.MonkeyPatch, options: Any
) -> None:
    from django import db

    closed: list[str] = []
    monkeypatch.setattr(db, "close_old_connections", lambda **_: closed.append(name))
    getattr(shop(), name).enqueue(1)
    queue.drain().check()
    assert closed == [name, name], "before and after"


# ---- settings
