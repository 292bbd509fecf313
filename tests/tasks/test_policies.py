"""What a task may say of its failures, and what a message may."""

from __future__ import annotations

from typing import Any

import pytest
from s3queue_backends.memory import MemoryStore

import s3queue
from s3queue import Backoff, Config, ConfigError, Queue, Supervisor, task
from s3queue.core.records import Message, encode_message
from s3queue.options.policies import own_headers, own_limits, policy
from tests.tasks.stored import batches


def made(**given: Any) -> Any:
    names = ("max_attempts", "backoff", "time_limit", "soft_time_limit", "retry_on", "give_up_on")
    arguments: dict[str, Any] = dict.fromkeys(names)
    return policy(**arguments | given)


@pytest.mark.parametrize(
    ("growth", "waits"), [("exponential", [2, 4, 8, 9]), ("linear", [2, 4, 6, 8]), ("fixed", [2, 2, 2, 2])]
)
def test_backoff_grows_as_it_is_told(growth: Any, waits: list[float]) -> None:
    backoff = Backoff(base=2, cap=9, jitter=False, growth=growth)
    assert [backoff.delay(attempt, 0.5) for attempt in range(1, 5)] == waits


@pytest.mark.parametrize(
    "wrong",
    [
        {"soft_time_limit": 0},
        {"soft_time_limit": "1"},
        {"time_limit": 5, "soft_time_limit": 5},
        {"backoff": 3},
        {"backoff": Backoff},
        {"retry_on": "OSError"},
        {"give_up_on": [int]},
    ],
)
def test_policy_that_cannot_be_meant_is_refused_where_it_is_written(wrong: dict[str, Any]) -> None:
    def declare() -> None:
        decorate: Any = s3queue.task("q", **wrong)
        decorate(declare)

    with pytest.raises(ConfigError, match=next(reversed(wrong))):
        declare()


def test_growth_that_is_none_is_refused() -> None:
    with pytest.raises(ConfigError, match="exponential, linear or fixed"):
        Backoff(growth="cubic")  # type: ignore[arg-type]


def test_give_up_on_outweighs_retry_on_and_a_group_is_judged_by_all_that_is_in_it() -> None:
    it = made(retry_on=OSError, give_up_on=(PermissionError, lambda raised: "never" in str(raised)))
    assert [it.gives_up(one) for one in (OSError("x"), PermissionError("x"), OSError("never"), KeyError())] == [
        False,
        True,
        True,
        True,
    ]
    assert not it.gives_up(ExceptionGroup("g", [OSError(), ExceptionGroup("h", [TimeoutError()])]))
    assert it.gives_up(ExceptionGroup("g", [OSError(), PermissionError()]))
    assert it.gives_up(ExceptionGroup("g", [OSError(), KeyError()]))


def test_message_carries_its_own_limits_and_one_without_any_carries_no_byte_more(store: MemoryStore) -> None:
    @s3queue.task("q", max_attempts=4)
    def send(n: int) -> None: ...

    send.enqueue(1)
    send.options(max_attempts=2, time_limit=1.5, headers={"trace": "t"}).enqueue(2)
    plain, own = [bytes(raw) for raw in raws(store)]
    assert plain == bytes(encode_message(Message(send.name, send.encode((1,), {}))))
    assert b"max-attempts" in own
    assert own_limits(decoded(own)) == (2, 1.5, {"trace": "t"})


def raws(store: MemoryStore) -> list[Any]:
    from s3queue.core.keys import Layout
    from s3queue.core.records import decode_batch

    found: list[Any] = []
    for item in store.list(Layout().inbox):
        found += decode_batch(item.key, store.get(item.key).body).messages  # type: ignore[union-attr]
    return found


def decoded(raw: bytes) -> dict[str, str]:
    from msgspec import Raw

    from s3queue.core.records import decode_message

    return decode_message("key", Raw(raw)).headers


@pytest.mark.parametrize(
    "options", [{"max_attempts": 5}, {"max_attempts": 0}, {"max_attempts": True}, {"time_limit": 0}]
)
def test_limits_that_hosts_cannot_keep_are_refused(store: MemoryStore, options: dict[str, Any]) -> None:
    @s3queue.task("q", max_attempts=4)
    def send() -> None: ...

    with pytest.raises(ConfigError, match="of a message"):
        send.options(**options)
    assert batches(store) == []


def test_headers_of_a_producer_cannot_pass_for_ours(store: MemoryStore) -> None:
    with pytest.raises(ConfigError, match="kept for this library"):
        Queue("q", store).enqueue(1, headers={"s3queue-max-attempts": "1"})


def test_limits_that_a_later_release_writes_otherwise_are_as_if_there_were_none() -> None:
    assert own_limits({"s3queue-max-attempts": "many"}) == (None, None, {})
    assert own_limits({"trace": "t"}) is None
    assert own_headers("task", 3, None, None) == {}


def test_results_are_not_kept_longer_than_what_says_that_they_do_not_count(store: MemoryStore) -> None:
    @task("q", result_ttl=7200)
    def kept() -> int:
        return 1

    Supervisor(store, config=Config(dead_retention=7200))
    with pytest.raises(ConfigError, match="dead_retention is 3600"):
        Supervisor(store, config=Config(dead_retention=3600))
