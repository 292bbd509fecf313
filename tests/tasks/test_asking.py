"""What callers say of how long they wait, and how much they want to see."""

from __future__ import annotations

import asyncio
import math
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from s3queue_backends.memory import MemoryStore

from s3queue import decorators, messages
from s3queue.errors import ConfigError
from s3queue.operate import operation
from s3queue.operate.schedules import Schedules
from s3queue.queue import Queue

WRONG = [-1, math.nan, math.inf, "5", None, True, timedelta(seconds=5)]


@decorators.task("asked", result_ttl=60)
def asked() -> int:
    return 1


@pytest.fixture
def store() -> MemoryStore:
    return MemoryStore()


@pytest.mark.parametrize("wrong", WRONG)
def test_wait_that_is_no_number_of_seconds_is_refused_and_changes_nothing(store: MemoryStore, wrong: Any) -> None:
    of, schedules = Queue("asked", store), Schedules(store)
    one = messages.message(of.enqueue(1), store)
    before = {item.key for item in store.list("")}
    for call in (
        one.result,
        lambda timeout: asyncio.run(one.aresult(timeout)),
        lambda timeout: one.cancel(timeout=timeout),
        lambda timeout: one.run_now(timeout=timeout),
        lambda timeout: one.redrive(timeout=timeout),
        lambda timeout: of.pause(timeout=timeout),
        lambda timeout: of.resume(timeout=timeout),
        lambda timeout: of.limit(max_running=1, timeout=timeout),
        lambda timeout: of.unlimit(timeout=timeout),
        lambda timeout: of.cancel(timeout=timeout),
        lambda timeout: of.run_now(timeout=timeout),
        lambda timeout: of.purge(timeout=timeout),
        lambda timeout: of.delete(timeout=timeout),
        lambda timeout: of.redrive(timeout=timeout),
        lambda timeout: of.purge_letters(timeout=timeout),
        lambda timeout: schedules.run("nightly", timeout=timeout),
    ):
        with pytest.raises(ConfigError, match="timeout is"):
            call(wrong)
    assert {item.key for item in store.list("")} == before


@pytest.mark.parametrize("wrong", [0, -1, 1.5, "5", True, math.nan])
def test_number_of_rows_that_is_none_is_refused(store: MemoryStore, wrong: Any) -> None:
    of = Queue("asked", store)
    with pytest.raises(ConfigError, match="limit is"):
        list(of.messages(limit=wrong))
    with pytest.raises(ConfigError, match="limit is"):
        list(of.dead_letters(limit=wrong))


@pytest.mark.parametrize("wrong", ["5", [], timedelta(seconds=1), math.nan, 0, -1])
def test_rate_that_is_no_number_is_refused(store: MemoryStore, wrong: Any) -> None:
    with pytest.raises(ConfigError, match="rate is"):
        Queue("asked", store).redrive(rate=wrong)


@pytest.mark.parametrize("wrong", [5, None, b"id", 1.5])
def test_what_is_no_text_is_no_id_of_a_message(store: MemoryStore, wrong: Any) -> None:
    with pytest.raises(ConfigError, match="not the id of a message"):
        messages.message(wrong, store)


@pytest.mark.parametrize("year", [1, 1900, 1969, 9999])
def test_schedule_of_a_time_that_no_record_holds_is_refused(store: MemoryStore, year: int) -> None:
    at = datetime(year, 1, 1, 12, tzinfo=UTC)
    schedules = Schedules(store)
    with pytest.raises(ConfigError, match="since is"):
        schedules.set("nightly", "asked", every=60, since=at)
    schedules.set("nightly", "asked", every=60)
    with pytest.raises(ConfigError, match="until is"):
        schedules.pause("nightly", until=at)
    assert [one.name for one in schedules.all()] == ["nightly"]


def test_request_that_nobody_answers_says_so_while_it_waits(
    store: MemoryStore, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Whoever ends the last host to delete its queue would wait for minutes, and not know for what."""
    monkeypatch.setattr(operation, "_SILENCE_S", 0.0)
    with pytest.raises(TimeoutError, match="no coordinator has answered"):
        Queue("asked", store).delete(timeout=0.2)
    (told,) = [record.getMessage() for record in caplog.records if record.name == "s3queue.operator"]
    assert told == "no coordinator has answered yet; waiting. Does a host run in s3queue?"
