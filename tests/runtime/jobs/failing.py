"""Tasks that fail, each in a way of its own, and policies about that."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

from msgspec import Struct

from s3queue import Context, Reject, Retry, Snooze, task
from s3queue.options.policies import Backoff
from tests.runtime.jobs.plain import QUEUE


@task(queue=QUEUE, name="slow_async", time_limit=0.05)
async def slow_async() -> None:
    await asyncio.Event().wait()


@task(queue=QUEUE, name="own_timeout", time_limit=60)
async def own_timeout() -> None:
    raise TimeoutError("from inside")


@task(queue=QUEUE, name="fails", max_attempts=3, backoff=Backoff(base=2, cap=100, jitter=False))
def fails(how: str) -> None:
    match how:
        case "error":
            raise ValueError("no such thing")
        case "long":
            raise ValueError("x" * 10_000)
        case "unprintable":
            raise Unprintable
        case "exit":
            raise SystemExit(3)
        case "interrupt":
            raise KeyboardInterrupt
        case "retry":
            raise Retry("not yet", after=7.0)
        case "retry_own":
            raise Retry("not yet")
        case "snooze":
            raise Snooze(11.0)
        case "reject":
            raise Reject("never")
        case "reject_odd":
            raise Reject(KeyError("never"))
        case "retry_odd":
            raise Retry(after=timedelta(seconds=7))  # type: ignore[arg-type]
        case "half_made":
            raise HalfMade


@task(queue=QUEUE, name="exit_async")
async def exit_async() -> None:
    raise SystemExit(3)


class HalfMade(Snooze):
    def __init__(self) -> None: ...


class Unprintable(Exception):
    def __str__(self) -> str:
        raise RuntimeError("not even this")


@task(queue=QUEUE, name="die")
def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


@task(queue=QUEUE, name="lazy")
def lazy(how: str) -> object:
    async def later() -> None: ...

    async def one_by_one() -> AsyncIterator[int]:
        yield 1

    @contextmanager
    def between() -> Iterator[int]:
        yield 1

    match how:
        case "generator":
            return (n for n in range(3))
        case "coroutine":
            return later()
        case "async_generator":
            return one_by_one()
        case "context_manager":
            return between()
        case "map":
            return map(print, range(3))
        case "future":
            return Future()
        case "list":
            return [1, 2, 3]
        case "file":
            return open(os.devnull)
    return None


@task(queue=QUEUE, name="lazy_async")
async def lazy_async(how: str) -> object:
    return lazy.function(how)


@task(queue=QUEUE, name="in_group", max_attempts=3, backoff=Backoff(base=2, cap=100, jitter=False))
async def in_group(*how: str) -> None:
    async def one(how: str) -> None:
        fails.function(how)

    async with asyncio.TaskGroup() as outer, asyncio.TaskGroup() as inner:
        for each in how:
            inner.create_task(one(each))
        outer.create_task(asyncio.sleep(0))


@task(queue=QUEUE, name="breaks_loop")
async def breaks_loop(how: str) -> None:
    loop: Any = asyncio.get_running_loop()
    if how == "stop":
        loop.stop()
    else:
        os.close(loop._selector.fileno())
    await asyncio.sleep(3600)


class Hungry(Struct):
    size: int

    def __post_init__(self) -> None:
        raise MemoryError("no room")


@task(queue=QUEUE, name="hungry", max_attempts=3, backoff=Backoff(base=2, cap=100, jitter=False))
def hungry(what: Hungry) -> None: ...


def _is_fatal(raised: BaseException) -> bool:
    if isinstance(raised, BlockingIOError):
        raise RuntimeError("the predicate itself failed")
    return getattr(raised, "fatal", False)


class Fatal(OSError):
    fatal = True


KINDS = {"os": OSError, "value": ValueError, "fatal": Fatal, "key": KeyError, "broken": BlockingIOError}


@task(
    queue=QUEUE,
    name="picky",
    max_attempts=3,
    backoff=lambda attempt, raised: float("nan") if isinstance(raised, ConnectionError) else attempt * 10,
    retry_on=(OSError, KeyError),
    give_up_on=_is_fatal,
)
def picky(*how: str) -> None:
    raised: list[Exception] = [KINDS[each]("no") if each in KINDS else ConnectionError("no") for each in how]
    if len(raised) > 1:
        raise ExceptionGroup("several", raised)
    raise raised[0]


@task(queue=QUEUE, name="soft_async", max_attempts=3, soft_time_limit=0.01, time_limit=600)
async def soft_async(how: str) -> None:
    try:
        await asyncio.Event().wait()
    except asyncio.CancelledError:
        if how != "returns":
            raise


@task(queue=QUEUE, name="soft_sync", max_attempts=3, soft_time_limit=0.01)
def soft_sync(ctx: Context) -> None:
    while True:
        ctx.check()


@task(queue=QUEUE, name="endless", max_attempts=3, time_limit=600)
async def endless() -> None:
    await asyncio.Event().wait()
