"""Calls of tasks that are enqueued."""

from __future__ import annotations

import asyncio
import dataclasses
from typing import Any

import pytest
from s3queue_backends.memory import MemoryStore

import s3queue
from s3queue import ConfigError, configure
from tests.tasks.stored import calls_in


@dataclasses.dataclass
class Mail:
    to: str
    tries: int = 1


class TestEnqueuing:
    def test_one_call_is_one_message(self, store: MemoryStore) -> None:
        @s3queue.task("mail")
        def send(mail: Mail, urgent: bool = False) -> None: ...

        message = send.enqueue(Mail("a"), urgent=True)
        assert calls_in(store) == [(send.name, {"mail": {"to": "a", "tries": 1}, "urgent": True})]
        assert message.startswith("p00~in~mail~5~")
        assert message.endswith("-1~0")

    def test_many_calls_share_a_put(self, store: MemoryStore) -> None:
        @s3queue.task("q")
        def it(a: int, b: int = 0) -> None: ...

        ids = it.enqueue_many([(1,), (2, 3), {"a": 4}, {"b": 5, "a": 6}])
        assert len(set(ids)) == 4
        assert [payload for _, payload in calls_in(store)] == [{"a": 1}, {"a": 2, "b": 3}, {"a": 4}, {"b": 5, "a": 6}]
        assert len(store.list("s3queue/p00/")) == 1
        assert it.enqueue_many([]) == []

    @pytest.mark.parametrize("wrong", ["ab", 5, [1]])
    def test_a_bare_value_is_no_call(self, store: MemoryStore, wrong: Any) -> None:
        @s3queue.task("q")
        def it(a: int) -> None: ...

        with pytest.raises(ConfigError, match="tuple"):
            it.enqueue_many([(1,), wrong])
        assert store.list("") == []

    def test_nothing_is_sent_if_one_call_does_not_fit(self, store: MemoryStore) -> None:
        @s3queue.task("q")
        def it(a: int) -> None: ...

        with pytest.raises(ConfigError, match="expected `int`"):
            it.enqueue_many([(1,)] * 1500 + [("x",)])
        with pytest.raises(ConfigError, match="expected `int`"):
            it.enqueue("x")  # type: ignore[arg-type]
        assert store.list("") == []

    def test_options_do_not_collide_with_parameters(self, store: MemoryStore) -> None:
        @s3queue.task("q")
        def it(delay: int, priority: str, store: str) -> None: ...

        message = it.options(priority=0, headers={"h": "v"}).enqueue(1, priority="p", store="s")
        assert message.startswith("p00~in~q~0~")
        assert calls_in(store)[0][1] == {"delay": 1, "priority": "p", "store": "s"}

    def test_a_store_may_be_named_per_call(self, store: MemoryStore) -> None:
        @s3queue.task("q")
        def it() -> None: ...

        other = MemoryStore()
        it.options(store=other).enqueue()
        it.enqueue()
        assert len(calls_in(store)) == len(calls_in(other)) == 1

    def test_reconfiguring_moves_what_is_enqueued_later(self, store: MemoryStore) -> None:
        @s3queue.task("q")
        def it() -> None: ...

        it.enqueue()
        other = MemoryStore()
        configure(store=other, namespace="elsewhere")
        it.enqueue()
        assert len(other.list("elsewhere/p00/")) == 1

    def test_the_settings_of_a_queue_are_asked_for_once(self, store: MemoryStore) -> None:
        @s3queue.task("q")
        def it() -> None: ...

        for _ in range(3):
            it.enqueue()
        assert it.queue_on(store).meter.as_dict() == {"put": 4, "get": 1, "list": 0, "delete": 0}

    def test_without_a_store_it_is_an_error(self) -> None:
        @s3queue.task("q")
        def it() -> None: ...

        with pytest.raises(ConfigError, match="no store"):
            it.enqueue()

    def test_from_an_event_loop(self, store: MemoryStore) -> None:
        @s3queue.task("q")
        def it(n: int) -> None: ...

        async def main() -> list[str]:
            return [await it.aenqueue(1), *(await it.aenqueue_many([(2,)])), await it.options(priority=1).aenqueue(3)]

        assert len(asyncio.run(main())) == len(calls_in(store)) == 3

    def test_a_handler_is_sent_its_payload(self, store: MemoryStore) -> None:
        @s3queue.handler("raw")
        def take(mail: Mail) -> None: ...

        take.enqueue(Mail("b"))
        assert calls_in(store) == [("", {"to": "b", "tries": 1})]
        with pytest.raises(ConfigError, match="missing required field"):
            take.enqueue({"tries": 2})  # type: ignore[arg-type]
