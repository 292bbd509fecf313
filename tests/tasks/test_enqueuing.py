"""Middleware in the producer: order, headers, errors, event loops, and context variables on their way to an attempt."""

from __future__ import annotations

import asyncio
import contextvars
import logging
from typing import Any

import pytest
from s3queue_backends.memory import MemoryStore

import s3queue
from s3queue import ConfigError, Producer, Queue, StoreUnavailable
from s3queue.context import Context
from s3queue.core.keys import Layout
from s3queue.core.records import decode_batch, decode_message
from s3queue.errors import EnqueueUncertain
from s3queue.middleware import Enqueue, Middleware
from s3queue.middleware.ready import CarryContext
from s3queue.registry import registry
from s3queue.store import Found
from s3queue.tasks import Task
from tests.tasks.stored import batches

tenant: contextvars.ContextVar[str] = contextvars.ContextVar("tenant")
LOG: list[str] = []


@pytest.fixture(autouse=True)
def nothing_used(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "middleware", ())
    LOG.clear()


class Noting:
    def __init__(self, name: str, fails: str = "") -> None:
        self.name, self.fails = name, fails

    def _note(self, what: str) -> None:
        LOG.append(f"{self.name} {what}")
        if what == self.fails:
            raise ValueError(f"{self.name} cannot {what}")

    def before_enqueue(self, call: Enqueue) -> None:
        call.headers[self.name] = f"{call.queue} {call.task} {call.count}"
        self._note("before")

    def after_enqueue(self, call: Enqueue, ids: list[str]) -> None:
        self._note(f"after {len(ids)}")

    def enqueue_failed(self, call: Enqueue, error: BaseException) -> None:
        self._note(f"failed {type(error).__name__}")


class NotingAsync(Noting):
    async def before_enqueue(self, call: Enqueue) -> None:  # type: ignore[override]
        await asyncio.sleep(0)
        assert asyncio.get_running_loop() is not None
        call.headers[self.name] = tenant.get("nobody")
        self._note("before")

    async def after_enqueue(self, call: Enqueue, ids: list[str]) -> None:  # type: ignore[override]
        self._note(f"after {len(ids)}")


def declared(*middleware: Middleware) -> Task[[int], None]:
    def send(n: int) -> None: ...

    made: Any = s3queue.task("enqueued", f"send {id(middleware)}", middleware=middleware)
    return made(send)  # type: ignore[no-any-return]


def headers(store: MemoryStore) -> list[dict[str, str]]:
    found = []
    for item in store.list(Layout().inbox):
        got = store.get(item.key)
        assert isinstance(got, Found)
        found += [decode_message(item.key, raw).headers for raw in decode_batch(item.key, got.body).messages]
    return found


def test_those_of_the_program_come_first_and_those_of_the_task_are_inside_of_them() -> None:
    store = MemoryStore()
    s3queue.use(Noting("a"))
    send = declared(Noting("b"))
    send.options(store=store, headers={"own": "x"}).enqueue_many([(1,), (2,)])
    assert LOG == ["a before", "b before", "b after 2", "a after 2"]
    told = f"enqueued {send.name} 2"
    assert headers(store) == [{"own": "x", "a": told, "b": told}] * 2


@pytest.mark.parametrize("how", ["queue", "many", "stream", "producer", "raw producer"])
def test_every_way_to_enqueue_is_told(how: str) -> None:
    store = MemoryStore()
    s3queue.use(Noting("a"))
    queue, send = Queue("enqueued", store), declared()
    match how:
        case "queue":
            queue.enqueue(1)
        case "many":
            queue.enqueue_many([1])
        case "stream":
            send.options(store=store).enqueue_stream([(1,)])
        case "producer":
            Producer(store).enqueue(send, 1)
        case _:
            Producer(store).send(queue, 1)
    assert LOG == ["a before", "a after 1"]
    assert [one["a"].split()[0] for one in headers(store)] == ["enqueued"]


def test_what_is_raised_before_an_enqueue_is_the_callers_and_nothing_is_sent() -> None:
    store = MemoryStore()
    send = declared(Noting("a"), Noting("b", fails="before"), Noting("c"))
    with pytest.raises(ValueError, match="b cannot before") as caught:
        send.options(store=store).enqueue(1)
    assert caught.value.__notes__ == ["raised by the middleware Noting.before_enqueue"]
    assert LOG == ["a before", "b before", "a failed ValueError"]
    assert batches(store) == []


def test_what_is_raised_after_it_is_logged_and_the_message_is_stored(caplog: pytest.LogCaptureFixture) -> None:
    store = MemoryStore()
    with caplog.at_level(logging.ERROR, "s3queue.producer"):
        assert declared(Noting("a"), Noting("b", fails="after 1")).options(store=store).enqueue(1)
    assert LOG == ["a before", "b before", "b after 1", "a after 1"]
    assert "Noting.after_enqueue failed" in caplog.text


def test_header_that_is_no_text_is_refused_before_any_request() -> None:
    class Wrong:
        def before_enqueue(self, call: Enqueue) -> None:
            call.headers["n"] = 7  # type: ignore[assignment]

    store = MemoryStore()
    with pytest.raises(ConfigError):
        declared(Wrong()).options(store=store).enqueue(1)
    assert batches(store) == []


def test_enqueue_that_fails_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    store = MemoryStore()
    sender = declared(Noting("a")).options(store=store)
    sender.enqueue(1)
    LOG.clear()

    def refuse(*given: Any, **more: Any) -> Any:
        raise StoreUnavailable("put", "key")

    monkeypatch.setattr("s3queue.core.produce.enqueue", refuse)
    with pytest.raises((StoreUnavailable, EnqueueUncertain)):
        sender.enqueue(2)
    assert LOG == ["a before", "a failed StoreUnavailable"]


def test_async_ones_run_on_the_loop_of_the_caller_with_his_context_variables() -> None:
    store = MemoryStore()
    sender = declared(NotingAsync("a"), Noting("b")).options(store=store)

    async def caller() -> None:
        tenant.set("acme")
        await sender.aenqueue(1)
        await sender.aenqueue_many([(1,), (2,)])

    asyncio.run(caller())
    assert LOG == ["a before", "b before", "b after 1", "a after 1", "a before", "b before", "b after 2", "a after 2"]
    assert [one["a"] for one in headers(store)] == ["acme"] * 3


def test_async_ones_are_refused_where_nobody_awaits() -> None:
    store = MemoryStore()
    with pytest.raises(ConfigError, match="use aenqueue"):
        declared(NotingAsync("a")).options(store=store).enqueue(1)
    assert batches(store) == []


def test_context_variables_of_the_caller_reach_the_attempt() -> None:
    store, carry = MemoryStore(), CarryContext(tenant)
    send = declared(carry).options(store=store)
    contextvars.copy_context().run(lambda: (tenant.set("acme"), send.enqueue(1)))
    contextvars.Context().run(send.enqueue, 2)
    first, second = headers(store)
    assert (first, second) == ({"context-tenant": "acme"}, {})
    seen = []
    for carried in (first, second):
        ctx = Context("m", "q", "t", 1, 0, "s", headers=carried)
        for _ in carry.around(ctx):
            seen.append(tenant.get("nobody"))
    assert seen == ["acme", "nobody"]
    assert tenant.get("nobody") == "nobody"


def test_context_variable_that_holds_no_text_is_refused() -> None:
    number: contextvars.ContextVar[Any] = contextvars.ContextVar("number")
    sender = declared(CarryContext(number)).options(store=MemoryStore())
    number.set(7)
    with pytest.raises(ConfigError, match="only strings"):
        sender.enqueue(1)
    with pytest.raises(ConfigError, match="same name"):
        CarryContext(tenant, contextvars.ContextVar("tenant"))
