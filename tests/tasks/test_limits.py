"""Limits as a program declares them, and messages with a key or a time to live."""

from __future__ import annotations

from datetime import timedelta
from itertools import count

import pytest

import s3queue
from s3queue import Breaker, Limit, Queue
from s3queue.core import records
from s3queue.core.keys import key_name, parse_message_id, parse_source
from s3queue.errors import ConfigError
from s3queue.options.limits import declare, rate_of
from s3queue.registry import Registry
from s3queue.store import ObjectStore, open_store
from s3queue.tasks import Task


@pytest.fixture
def store() -> ObjectStore:
    return open_store("memory://limits")


_names = count()


def declared(**said: object) -> Task[..., None]:
    def work() -> None: ...

    return s3queue.task("limits", f"work{next(_names)}", **said)(work)  # type: ignore[call-overload, no-any-return]


class TestKeys:
    def test_a_key_is_in_the_name_of_the_batch(self, store: ObjectStore) -> None:
        message = Queue("keys", store).enqueue(1, key="acme/eu")
        assert parse_source(parse_message_id(message).path).key == "acme/eu"

    @pytest.mark.parametrize("key", ["", "x" * 301, "\ud800"])
    def test_what_cannot_name_a_key_is_refused(self, store: ObjectStore, key: str) -> None:
        with pytest.raises(ConfigError, match="not a key"):
            Queue("keys", store).enqueue(1, key=key)

    def test_a_key_and_a_group_are_refused(self, store: ObjectStore) -> None:
        with pytest.raises(ConfigError, match="a group and a key"):
            Queue("keys", store).enqueue(1, key="a", group="g")

    @pytest.mark.parametrize("key", ["a", "a-b.c", "é" * 200, "x" * 300, "k" * 120 + "é" * 80])
    def test_its_name_is_the_same_wherever_it_is_asked(self, store: ObjectStore, key: str) -> None:
        message = Queue("keys", store).enqueue(1, key=key)
        assert parse_source(parse_message_id(message).path).key == key_name(key) == key_name(key_name(key))


class TestExpiry:
    def test_it_counts_from_the_enqueue(self, store: ObjectStore) -> None:
        one = parse_source(parse_message_id(Queue("q", store).enqueue(1, expires_in=60)).path)
        other = parse_source(parse_message_id(Queue("q", store).enqueue(1, expires_in=timedelta(minutes=1))).path)
        for batch in (one, other):
            assert batch.expires_ms is not None
            assert 55_000 < batch.expires_ms - batch.order <= 60_100

    @pytest.mark.parametrize("wrong", [0, -1, "60", True, float("nan")])
    def test_what_is_no_length_of_time_is_refused(self, store: ObjectStore, wrong: object) -> None:
        with pytest.raises(ConfigError, match="expires_in"):
            Queue("q", store).enqueue(1, expires_in=wrong)  # type: ignore[arg-type]

    def test_a_message_that_expires_before_it_is_due_is_refused(self, store: ObjectStore) -> None:
        with pytest.raises(ConfigError, match="before it is due"):
            Queue("q", store).enqueue(1, delay=60, expires_in=30)

    def test_that_of_a_task_holds_where_a_message_has_none(self, store: ObjectStore) -> None:
        task = declared(expires_in=timedelta(hours=1))
        assert task.expires_in == 3600.0
        message = task.options(store=store).enqueue()
        assert parse_source(parse_message_id(message).path).expires_ms is not None


class TestDeclared:
    def test_what_a_task_says_is_of_its_queue(self) -> None:
        task = declared(max_running=5, rate="60/min", fair=True, per_key=Limit(2), breaker=Breaker(3))
        assert task.limits == records.Limits(
            records.Limit(5, 1.0), records.Limit(2), fair=True, breaker=records.Breaker(3, 60.0, 30.0)
        )
        assert declared().limits is None

    def test_tasks_that_declare_different_limits_of_one_queue_are_refused(self) -> None:
        known = Registry()
        for most in (5, 6):
            known.add(declared(max_running=most))
        with pytest.raises(ConfigError, match="different limits"):
            known.limits("limits")

    @pytest.mark.parametrize(
        ("rate", "a_second"), [("100/s", 100.0), ("30/min", 0.5), (" 3600 / hour", 1.0), (2, 2.0), (0, 0.0)]
    )
    def test_rates(self, rate: str | float, a_second: float) -> None:
        assert rate_of(rate) == a_second

    @pytest.mark.parametrize("said", [
        {"rate": "fast"}, {"rate": -1}, {"rate": True}, {"max_running": -1}, {"max_running": 1.5},
        {"weights": {"a": 0}}, {"fair": 1}, {"ageing": -1}, {"breaker": Breaker(0)}, {"breaker": Breaker(1, pause=0)},
    ])  # fmt: skip
    def test_what_cannot_be_meant_is_refused(self, said: dict[str, object]) -> None:
        with pytest.raises(ConfigError):
            declare("it", **said)  # type: ignore[arg-type]


class TestSet:
    def read(self, queue: Queue) -> dict[str, records.Limits]:
        body = queue.store.get(queue.layout.control).body  # type: ignore[union-attr]
        return records.decode(records.Control, queue.layout.control, body).limits

    def test_what_is_set_adds_to_what_was_set(self, store: ObjectStore) -> None:
        queue = Queue("set", store)
        queue.limit(max_running=5, wait=False)
        queue.limit(rate="10/s", wait=False)
        queue.limit(key="a", max_running=1, wait=False)
        assert self.read(queue)["set"] == records.Limits(records.Limit(5, 10.0), keys={"a": records.Limit(1)})

    def test_what_is_removed_holds_no_more(self, store: ObjectStore) -> None:
        queue = Queue("set", store)
        queue.limit(key="a", max_running=1, wait=False)
        queue.unlimit("a", wait=False)
        assert self.read(queue) == {}
