"""What a task may declare, and what is stored of it."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from s3queue import decorators
from s3queue.core.records import decode_batch, decode_message
from s3queue.errors import ConfigError
from s3queue.options.timing import Timing, declared, schedule_name
from s3queue.registry import Registry


def registry_of(*made: Any) -> Registry:
    registry = Registry()
    for one in made:
        registry.add(one)
    return registry


@pytest.mark.parametrize(
    ("given", "timing"),
    [
        ({"cron": "30 2 * * *"}, Timing("30 2 * * *")),
        ({"cron": "@daily", "tz": "Europe/Berlin", "catch_up": "all"}, Timing("@daily", 0, "Europe/Berlin", "all")),
        ({"every": 60}, Timing(every_s=60)),
        ({"every": timedelta(hours=2), "catch_up": "none"}, Timing(every_s=7200, catch_up="none")),
    ],
)
def test_task_says_when_it_is_enqueued(given: dict[str, Any], timing: Timing) -> None:
    def it() -> None: ...

    decorate: Any = decorators.task("timing", **given)
    assert decorate(it).timing == timing


@pytest.mark.parametrize(
    "wrong",
    [
        {"cron": "* * * * *", "every": 5},
        {"cron": "nonsense"},
        {"cron": "* * * * *", "tz": "Mars/Olympus"},
        {"every": 0},
        {"every": 0.5},
        {"every": 1.5},
        {"every": True},
        {"every": timedelta(days=400)},
        {"every": 60, "tz": "UTC"},
        {"every": 60, "catch_up": "some"},
        {"tz": "UTC"},
        {"catch_up": "all"},
    ],
)
def test_what_cannot_be_meant_is_refused_where_it_is_declared(wrong: dict[str, Any]) -> None:
    with pytest.raises(ConfigError):
        decorators.task("timing", **wrong)


def test_declared_schedule_calls_its_task_without_arguments_and_is_the_same_in_every_process() -> None:
    @decorators.task("timing", "daily", every=60)
    def it(days: int = 1) -> None: ...

    (one,) = declared(registry_of(it), ["timing"])
    again = declared(registry_of(it), ["timing"])[0]
    assert (one.name, one.schedule.queue, one.schedule.task) == ("timing.daily", "timing", "daily")
    assert one.schedule.digest == again.schedule.digest != ""
    (message,) = decode_batch("key", one.body).messages
    assert it.decode(decode_message("key", message).payload) == ((1,), {})
    assert declared(registry_of(it), ["other"]) == ()


def test_task_with_a_schedule_that_needs_arguments_is_refused_when_a_host_starts() -> None:
    @decorators.task("timing", "needs", every=60)
    def it(user: int) -> None: ...

    with pytest.raises(ConfigError, match="without arguments"):
        declared(registry_of(it), ["timing"])


def test_names_of_schedules_may_stand_in_a_key_and_differ_where_tasks_do() -> None:
    names = [schedule_name("q", name) for name in ("f", "f.<locals>.g", "f._locals_.g", "x" * 200, "x" * 201)]
    assert names[0] == "q.f"
    assert len(set(names)) == len(names)
    assert all(len(name) <= 100 for name in names)
