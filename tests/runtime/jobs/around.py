"""Middleware, and tasks that tell what was done around them."""

from __future__ import annotations

import asyncio
import contextvars
import logging
from collections.abc import Iterator
from typing import Any

from s3queue import Context, Snooze, task
from s3queue.middleware.ready import Report
from tests.runtime.jobs.plain import QUEUE, append

#: What went on around an attempt of this process, until `tells_around` writes it down.
AROUND: list[str] = []
_seen: contextvars.ContextVar[str] = contextvars.ContextVar("seen", default="nothing")


class Hooks:
    def __init__(self, name: str, breaks: str = "") -> None:
        self.name, self.breaks = name, breaks

    def before(self, ctx: Context) -> None:
        AROUND.append(f"{self.name}.before {ctx.task} {ctx.attempt}")
        _seen.set(self.name)
        self._break("before")

    def after(self, ctx: Context, result: Any) -> None:
        AROUND.append(f"{self.name}.after {result}")
        self._break("after")

    def failed(self, ctx: Context, raised: BaseException) -> None:
        AROUND.append(f"{self.name}.failed {type(raised).__name__}")
        self._break("failed")

    def _break(self, hook: str) -> None:
        if self.breaks == hook:
            raise LookupError(f"broken {hook}")


class AsyncHooks:
    async def before(self, ctx: Context) -> None:
        await asyncio.sleep(0)
        AROUND.append("async.before")

    async def after(self, ctx: Context, result: Any) -> None:
        AROUND.append(f"async.after {result}")

    async def failed(self, ctx: Context, raised: BaseException) -> None:
        AROUND.append(f"async.failed {type(raised).__name__}")


class Around:
    def around(self, ctx: Context) -> Iterator[None]:
        AROUND.append("around.in")
        try:
            yield
        finally:
            AROUND.append("around.out")


def _maybe(how: str) -> str:
    AROUND.append(f"task sees {_seen.get()}")
    if how == "error":
        raise ValueError("no such thing")
    if how == "snooze":
        raise Snooze(3)
    return "result"


@task(queue=QUEUE, name="hooked", middleware=[Hooks("outer"), Around(), Hooks("inner")])
def hooked(how: str) -> str:
    return _maybe(how)


@task(queue=QUEUE, name="hooked_async", middleware=[AsyncHooks(), Around(), Hooks("inner")])
async def hooked_async(how: str) -> str:
    await asyncio.sleep(0)
    return _maybe(how)


@task(queue=QUEUE, name="breaks_before", max_attempts=3, middleware=[Hooks("outer"), Hooks("inner", "before")])
def breaks_before(how: str) -> str:
    return _maybe(how)


@task(queue=QUEUE, name="breaks_after", max_attempts=3, middleware=[Hooks("inner", "after")])
async def breaks_after(how: str) -> str:
    return _maybe(how)


@task(queue=QUEUE, name="tells_around")
def tells_around(path: str) -> None:
    append.function(path, "\n".join(AROUND))


@task(queue=QUEUE, name="logs_inside")
def logs_inside(path: str) -> None:
    logging.basicConfig(filename=path, format="%(task)s %(attempt)s %(message_id)s %(message)s", force=True)
    logging.getLogger("mine").warning("hello")


def _capture(raised: BaseException) -> None:
    AROUND.append(f"captured {raised}")
    raise RuntimeError("the reporter is down")


@task(queue=QUEUE, name="reported", middleware=[Report(_capture)])
def reported(how: str) -> str:
    return _maybe(how)
