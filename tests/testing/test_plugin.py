"""What the fixture does for users, each with the production path in this process."""

from __future__ import annotations

import asyncio
import math
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any

import pytest

import s3queue
from s3queue import Queue
from s3queue.testing.plugin.desk import TaskQueue
from tests.testing import shop


def test_patches_reach_the_task(task_queue: TaskQueue, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shop, "smtp", shop.sent.append)
    shop.welcome.enqueue("ada")
    task_queue.assert_enqueued(shop.welcome, "ada")
    assert task_queue.drain().check().done == 1
    assert shop.sent == ["ada"]
    task_queue.assert_not_enqueued()


def test_delays_and_retries_pass_at_once(task_queue: TaskQueue, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[datetime] = []

    def flaky(user: str) -> None:
        calls.append(task_queue.clock.now())
        if len(calls) < 3:
            raise OSError("away")

    monkeypatch.setattr(shop, "smtp", flaky)
    began, real = task_queue.clock.now(), time.monotonic()
    shop.welcome.options(delay=timedelta(days=2)).enqueue("ada")
    assert task_queue.run_ready().done == 0
    assert [one.state for one in task_queue.enqueued(shop.welcome)] == ["scheduled"]
    assert task_queue.drain().check().done == 1
    assert timedelta(days=2) <= calls[0] - began < timedelta(days=2, minutes=1)
    assert [round((after - before) / timedelta(minutes=1)) for before, after in pairwise(calls)] == [10, 20]
    assert time.monotonic() - real < 3600, "as far as the real clock is concerned, nothing has passed"


def test_time_passes_as_far_as_the_test_says(task_queue: TaskQueue) -> None:
    shop.later.options(delay=90).enqueue(0)
    task_queue.advance(89)
    assert shop.sent == []
    task_queue.advance(timedelta(seconds=2))
    assert shop.sent == [0]


def test_async_tasks_run_and_may_enqueue_others(task_queue: TaskQueue) -> None:
    shop.later.enqueue(3)
    assert task_queue.drain().check().done == 4
    assert shop.sent == [3, 2, 1, 0]


async def _on_a_loop(task_queue: TaskQueue) -> None:
    await shop.later.aenqueue(1)
    assert (await task_queue.adrain()).check().done == 2


def test_tests_on_an_event_loop_drain_beside_it(task_queue: TaskQueue) -> None:
    import asyncio

    asyncio.run(_on_a_loop(task_queue))
    assert shop.sent == [1, 0]


def test_schedules_tick_as_the_clock_is_moved(task_queue: TaskQueue) -> None:
    task_queue.drain()
    assert shop.ticks == []
    first = task_queue.clock.now().replace(minute=0, second=0, microsecond=0) + timedelta(hours=1)
    task_queue.advance(timedelta(hours=24))
    assert shop.ticks == [first + timedelta(hours=n) for n in range(24)]
    assert all(isinstance(tick, datetime) and tick.tzinfo is UTC for tick in shop.ticks)


def test_what_expires_does_so_by_the_clock_of_the_test(task_queue: TaskQueue) -> None:
    Queue("shop").pause(wait=False)
    shop.pay.options(expires_in=60).enqueue("o1")
    task_queue.advance(61)
    Queue("shop").resume(wait=False)
    assert task_queue.drain().done == 0
    assert shop.charged == {}


def test_paused_task_is_not_run_and_others_of_its_queue_are(task_queue: TaskQueue) -> None:
    Queue("shop").pause(task="pay", wait=False)
    shop.pay.enqueue("o1")
    shop.pay_once.enqueue("o2")
    assert task_queue.drain().done == 1
    assert "o1" not in shop.charged
    Queue("shop").resume(task="pay", wait=False)
    assert task_queue.drain().done == 1
    assert shop.charged["o1"] == 1


def test_failures_are_shown_with_what_the_task_raised(task_queue: TaskQueue) -> None:
    shop.fails.enqueue(7)
    drained = task_queue.drain()
    assert (drained.done, [one.task for one in drained.dead]) == (0, ["fails"])
    assert len(drained.dead[0].failures) == 3
    with pytest.raises(AssertionError, match=r"(?s)1 message is dead.*shop:fails.*ValueError: no 7"):
        drained.check()
    with pytest.raises(AssertionError, match="no 7"):
        task_queue.assert_no_dead()


def test_assertions_say_what_is_there_instead(task_queue: TaskQueue) -> None:
    with pytest.raises(AssertionError, match=r"no message of task 'pay' is enqueued; nothing is"):
        task_queue.assert_enqueued(shop.pay)
    shop.pay.enqueue("o1")
    with pytest.raises(
        AssertionError, match=r"(?s)no message of task 'pay' with .*'o2'.*there are:\n  shop:pay .*'o1'.*ready"
    ):
        task_queue.assert_enqueued(shop.pay, "o2")
    with pytest.raises(AssertionError, match=r"messages of task 'pay' are enqueued"):
        task_queue.assert_not_enqueued(shop.pay)
    task_queue.assert_not_enqueued(shop.welcome)
    assert task_queue.assert_enqueued(shop.pay, order="o1").task == "pay"


def test_crash_at_the_end_shows_what_is_not_idempotent(task_queue: TaskQueue) -> None:
    shop.pay.enqueue("o1")
    once = shop.pay_once.enqueue("o2")
    drained = task_queue.drain(crash="end").check()
    assert (drained.done, len(drained.crashed)) == (2, 2)
    assert shop.charged == {"o1": 2, once: 1}


def test_crash_in_the_middle_is_where_a_function_has_returned(task_queue: TaskQueue) -> None:
    shop.pay.enqueue("o1")
    drained = task_queue.drain(crash="tests.testing.shop.charge").check()
    assert (drained.done, shop.charged) == (1, {"o1": 2})
    shop.pay.enqueue("o2")
    assert task_queue.drain().crashed == ()
    assert shop.charged["o2"] == 1


def test_crash_counts_as_an_attempt_as_the_death_of_a_process_does(task_queue: TaskQueue) -> None:
    shop.fails.enqueue(1)
    (letter,) = task_queue.drain(crash="end").dead
    assert [one.cause for one in letter.failures] == ["killed", "error", "error"]


def test_operators_are_answered_without_a_process(task_queue: TaskQueue) -> None:
    message = s3queue.message(shop.pay.options(delay=60).enqueue("o1"))
    assert message.status() == "scheduled"
    assert message.cancel() == "cancelled"
    assert task_queue.drain().done == 0


def test_nothing_of_one_test_is_left_in_the_next(task_queue: TaskQueue) -> None:
    assert task_queue.enqueued() == []
    assert task_queue.dead() == []


def test_task_cannot_drain_its_own_queue(task_queue: TaskQueue, monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[str] = []

    def drains(user: str) -> None:
        try:
            task_queue.drain()
        except s3queue.ConfigError as wrong:
            told.append(str(wrong))

    monkeypatch.setattr(shop, "smtp", drains)
    shop.welcome.enqueue("ada")
    task_queue.drain().check()
    assert "draining already" in told[0]


def test_result_of_what_was_delayed_for_longer_than_it_is_kept(task_queue: TaskQueue) -> None:
    """It expires so long after the task has returned, by the clock of the test."""
    message = shop.total.options(delay=timedelta(hours=2)).enqueue(1, 2)
    task_queue.drain().check()
    assert message.result(timeout=0) == 3
    task_queue.advance(61)
    with pytest.raises(s3queue.ResultGone):
        message.result(timeout=0)


def test_waiting_for_a_result_runs_the_message(task_queue: TaskQueue) -> None:
    assert shop.total.enqueue(1, 2).result(timeout=5) == 3
    assert shop.total.options(delay=30).enqueue(3, 4).result(timeout=60) == 7
    began = time.monotonic()
    with pytest.raises(TimeoutError):
        shop.total.options(delay=3600).enqueue(5, 6).result(timeout=1800)
    assert time.monotonic() - began < 1800, "as far as the real clock is concerned, nothing has passed"


async def _gathered(task_queue: TaskQueue) -> list[int]:
    messages = [await shop.total.aenqueue(n, 1) for n in range(5)]
    return list(await asyncio.gather(*[message.aresult(timeout=60) for message in messages]))


def test_coroutines_await_results_that_nobody_drains(task_queue: TaskQueue) -> None:
    assert asyncio.run(_gathered(task_queue)) == [1, 2, 3, 4, 5]


def test_thread_waits_for_what_another_one_drains(task_queue: TaskQueue) -> None:
    message = shop.total.options(delay=7200).enqueue(1, 2)
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(message.result, 10_000)
        assert waiting.result() == 3


@pytest.mark.parametrize("wrong", [-1, math.nan, math.inf, "5", None, timedelta(seconds=-1)])
def test_time_that_cannot_pass_is_refused(task_queue: TaskQueue, wrong: Any) -> None:
    with pytest.raises(s3queue.ConfigError, match="time is"):
        task_queue.advance(wrong)


def test_attempt_whose_process_a_test_ends_is_logged_as_killed(
    task_queue: TaskQueue, caplog: pytest.LogCaptureFixture
) -> None:
    message = shop.pay.enqueue("o1")
    task_queue.drain(crash="tests.testing.shop.charge").check()
    told = [it.s3queue for it in caplog.records if hasattr(it, "s3queue")]
    assert [(it["kind"], it["cause"]) for it in told if it.get("message") == message] == [("recovered", "killed")]


def test_schedule_that_has_not_ticked_yet_says_so(task_queue: TaskQueue) -> None:
    schedules = s3queue.Schedules()

    def last() -> object:
        return next(one.last for one in schedules.all() if one.name == "shop.hourly")

    task_queue.advance(0)
    assert last() is None
    task_queue.advance(timedelta(hours=1))
    assert last() == shop.ticks[-1]


def test_details_of_a_message_tell_what_is_due_by_the_clock_of_the_test(task_queue: TaskQueue) -> None:
    message = s3queue.message(shop.pay.options(delay=60).enqueue("o1"))
    Queue(message.queue).pause()
    assert (message.status(), message.details().status) == ("scheduled", "scheduled")
    task_queue.advance(61)
    assert (message.status(), message.details().status) == ("ready", "ready")


def test_message_with_a_result_is_known_to_be_done_as_long_as_that_is_kept(task_queue: TaskQueue) -> None:
    one = shop.total.enqueue(1, 2)
    other = shop.pay.enqueue("o1")
    task_queue.drain().check()
    assert shop.pay.options(delay=60).enqueue("o2").cancel() == "cancelled"
    assert (one.status(), other.status()) == ("done", "unknown"), "it may be that one which was cancelled"
    task_queue.advance(61)
    assert one.status() == "unknown"


def test_id_that_enqueue_returned_starts_its_message_now_and_tells_all_of_it(task_queue: TaskQueue) -> None:
    message = shop.pay.options(delay=3600).enqueue("o1")
    assert (message.details().status, message.details().task) == ("scheduled", "pay")
    assert message.run_now() in ("ready", "running")
    task_queue.drain().check()
    assert shop.charged == {"o1": 1}
