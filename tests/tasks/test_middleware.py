"""How middleware and resources are declared, and what they cost who has none."""

from __future__ import annotations

import os
import sys
import types
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
from s3queue_backends.memory import MemoryStore

import s3queue
from s3queue import ConfigError, Context, Supervisor, configure
from s3queue.middleware import Middleware
from s3queue.middleware.ready import DjangoConnections, Report
from s3queue.registry import registry
from s3queue.runtime.worker.outcomes import Terms
from s3queue.runtime.worker.plans import Plan
from tests.tasks.stored import batches


@pytest.fixture(autouse=True)
def nothing_used(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "middleware", ())


class Nothing: ...


class Both:
    def before(self, ctx: Context) -> None: ...
    def around(self, ctx: Context) -> Iterator[None]:
        yield


class NoGenerator:
    def around(self, ctx: Context) -> None: ...


class Waits:
    async def before(self, ctx: Context) -> None: ...


class WaitsAround:
    async def around(self, ctx: Context) -> AsyncIterator[None]:
        yield


@pytest.mark.parametrize("wrong", [Nothing(), Both(), NoGenerator(), DjangoConnections, None])
def test_what_is_no_middleware_is_refused(wrong: Any) -> None:
    with pytest.raises(ConfigError):
        s3queue.use(wrong)
    with pytest.raises(ConfigError):

        @s3queue.task("q", middleware=[wrong])
        def send() -> None: ...


@pytest.mark.parametrize("one", [Waits(), WaitsAround()])
def test_async_middleware_is_refused_for_a_sync_task_before_anything_runs(one: Middleware) -> None:
    @s3queue.task("q")
    def send() -> None: ...

    configure(store="memory://")
    with pytest.raises(ConfigError, match=r"is async, and task .* is not"):
        Supervisor(middleware=[one])
    with pytest.raises(ConfigError, match="is async"):
        s3queue.task("q", "other", middleware=[one])(lambda: None)


def test_task_without_middleware_is_called_as_if_there_were_no_such_thing() -> None:
    @s3queue.task("q")
    def plain() -> None: ...

    plan = Plan(plain, Terms(3, None, plain.policy), ())
    assert plan.call.__qualname__ == "_calling.<locals>.call"
    assert not plan.wants_ctx
    calls: list[str] = []
    sys.setprofile(lambda frame, event, _: calls.append(frame.f_code.co_qualname) if event == "call" else None)
    plan.call((), {}, None)
    sys.setprofile(None)
    assert len(calls) == 2, calls  # that, and the function


def test_supervisor_adds_to_what_the_program_uses() -> None:
    @s3queue.task("q")
    def send() -> None: ...

    configure(store="memory://")
    first, second = DjangoConnections(), Report(print)
    s3queue.use(first)
    assert Supervisor(middleware=[second]).tasks.middleware == (first, second)
    assert Supervisor().tasks.middleware == (first,)


def test_django_connections_are_closed_before_and_after(monkeypatch: pytest.MonkeyPatch) -> None:
    closed: list[str] = []
    django, db = types.ModuleType("django"), types.ModuleType("django.db")
    db.close_old_connections = lambda: closed.append("closed")  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "django", django)
    monkeypatch.setitem(sys.modules, "django.db", db)

    @s3queue.task("q", middleware=[DjangoConnections()])
    def send() -> None:
        closed.append("task")

    plan = Plan(send, Terms(3, None, send.policy), ())
    plan.call((), {}, Context.local("q", "send"))
    assert closed == ["closed", "task", "closed"]


# ---- resources


def test_resource_is_no_part_of_a_message_and_is_handed_to_a_direct_call(store: MemoryStore) -> None:
    made: list[int] = []

    @s3queue.resource
    def number() -> Iterator[int]:
        made.append(7)
        yield 7

    @s3queue.task("q")
    def send(user: int, *, n: int = s3queue.given(number)) -> int:
        return user + n

    send.enqueue(1)
    assert [payloads for _, payloads in batches(store)] == [[{"user": 1}]]
    with pytest.raises(ConfigError, match="takes no argument 'n'"):
        send.enqueue(1, n=3)
    assert made == []
    assert (send(1), send(1), send(1, n=2)) == (8, 8, 3)
    assert made == [7]
    number.close()


def test_child_of_a_fork_makes_its_own_resource_and_leaves_that_of_its_parent_open() -> None:
    read, write = os.pipe()

    @s3queue.resource
    def pid() -> Iterator[int]:
        own = os.getpid()
        try:
            yield own
        finally:  # runs when the generator is collected, too
            os.write(write, f"{os.getpid()} closed that of {own}\n".encode())

    parent = pid.get()
    child = os.fork()
    if child == 0:
        status = 1
        try:
            status = 0 if pid.get() == os.getpid() else 1
            s3queue.options.resources.close_resources()
        finally:
            os._exit(status)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    pid.close()
    os.close(write)
    with os.fdopen(read) as lines:
        assert lines.read() == f"{child} closed that of {child}\n{parent} closed that of {parent}\n"


def test_resource_that_may_be_given_by_place_is_refused() -> None:
    @s3queue.resource
    def number() -> int:
        return 7

    with pytest.raises(ConfigError, match="keyword-only"):

        @s3queue.task("q")
        def send(user: int, n: int = s3queue.given(number)) -> None: ...


async def _waits() -> int:
    return 7


@pytest.mark.parametrize("wrong", [7, _waits])
def test_what_makes_no_resource_is_refused(wrong: Any) -> None:
    with pytest.raises(ConfigError, match="cannot make a resource"):
        s3queue.resource(wrong)
    with pytest.raises(ConfigError, match="is not a resource"):
        s3queue.given(wrong)
