"""What a type checker is told of a decorated function. Checked by mypy; running it checks that nothing of it fails."""

from __future__ import annotations

import inspect
from collections.abc import Coroutine
from typing import TYPE_CHECKING, Any, assert_type

import pytest

import s3queue
from s3queue import Context, MessageId, Task
from s3queue.options.batching import Options, TaskOptions
from s3queue.options.limits import DECLARED
from s3queue.options.policies import policy


@s3queue.task("typed")
def plain(n: int, text: str = "") -> str:
    return text * n


@s3queue.task("typed")
def with_context(ctx: Context, n: int) -> float:
    return n / ctx.attempt


@s3queue.task("typed")
async def coroutine(n: int) -> int:
    return n


@s3queue.task("typed", batch=10, wait=0.5)
def several(numbers: list[int]) -> list[Exception | None]:
    return [None for _ in numbers]


@s3queue.task("typed", batch=10)
def several_with_context(ctx: Context, numbers: list[int]) -> None: ...


@s3queue.handler("typed-raw")
def take(payload: bytes) -> None: ...


def test_a_call_has_the_type_of_the_function() -> None:
    assert_type(plain(2, "x"), str)
    assert_type(with_context(2), float)
    assert_type(several([1, 2]), list[Exception | None])
    running = coroutine(1)
    _ = assert_type(running, Coroutine[Any, Any, int])
    running.close()


def test_type_checkers_know_every_option() -> None:
    taken = {*inspect.signature(policy).parameters, *DECLARED, "middleware", "expires_in"}
    assert Options.__annotations__.keys() == taken
    timed = inspect.signature(s3queue.task).parameters.keys() - {"queue", "name", "batch", "wait", "options"}
    assert TaskOptions.__annotations__.keys() - taken == timed
    with pytest.raises(TypeError, match=r"handler\(\) got an unexpected keyword argument 'cron'"):
        s3queue.handler("q", cron="* * * * *")  # type: ignore[call-overload]


if TYPE_CHECKING:
    handler: Task[[bytes], None] = take
    assert_type(plain.enqueue(1, text="x"), MessageId[str])
    assert_type(plain.enqueue(1).result(), str)
    assert_type(with_context.enqueue(1), MessageId[float])
    assert_type(coroutine.enqueue(1).result(), int)

    async def waits() -> None:
        assert_type(await coroutine.enqueue(1), int)
        assert_type(await plain.enqueue(1).aresult(), str)

    assert_type(plain.options(delay=1).enqueue(1), MessageId[str])
    plain.enqueue("x")  # type: ignore[arg-type]
    plain.enqueue()  # type: ignore[call-arg]
    with_context.enqueue(1, 2)  # type: ignore[call-arg]
    plain.options(delay=1).enqueue(1, txt="x")  # type: ignore[call-arg]
    several.enqueue(1)
    several.enqueue([1])  # type: ignore[arg-type]
    several(1)  # type: ignore[arg-type]
    several_with_context.enqueue(1)
