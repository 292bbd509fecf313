"""Tasks for the worker tests. They talk through files and pipes, since they run in other processes."""

from __future__ import annotations

import asyncio
import contextvars
import logging
import os
import signal
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import Future
from datetime import timedelta
from typing import Any

from msgspec import Struct

from s3queue import Context, Reject, Retry, Snooze, given, resource, task
from s3queue.context import Backoff
from s3queue.middleware import Report

QUEUE = "jobs"


@task(queue=QUEUE, name="noop")
def noop() -> None: ...


@task(queue=QUEUE, name="append")
def append(path: str, text: str) -> None:
    fd = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    os.write(fd, f"{text}\n".encode())
    os.close(fd)


@task(queue=QUEUE, name="wait")
def wait(started: str, release: str) -> None:
    """Says into one fifo that it runs, and waits until there is something in the other."""
    append.function(started, f"{os.getpid()}")
    fd = os.open(release, os.O_RDONLY)
    os.read(fd, 1)
    os.close(fd)


@task(queue=QUEUE, name="wait_async")
async def wait_async(started: str, report: str) -> None:
    """Says that it runs, and waits until it is cancelled; then says that."""
    append.function(started, "running")
    try:
        await asyncio.Event().wait()
    except asyncio.CancelledError:
        append.function(report, "cancelled")
        raise


@task(queue=QUEUE, name="finish_when_cancelled")
async def finish_when_cancelled(started: str) -> None:
    append.function(started, "running")
    try:
        await asyncio.Event().wait()
    except asyncio.CancelledError:
        await asyncio.sleep(0)


@task(queue=QUEUE, name="check_cancelled")
def check_cancelled(ctx: Context, started: str) -> None:
    append.function(started, "running")
    while True:
        ctx.check()
        time.sleep(0.001)


@task(queue=QUEUE, name="until_cancelled")
def until_cancelled(ctx: Context, started: str, report: str) -> None:
    append.function(started, "running")
    while not ctx.cancelled:
        time.sleep(0.001)
    append.function(report, "cancelled")


@task(queue=QUEUE, name="add_async")
async def add_async(path: str, text: str) -> None:
    await asyncio.sleep(0)
    append.function(path, f"{text} {id(asyncio.get_running_loop())}")


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


@task(queue=QUEUE, name="context")
def context(ctx: Context, path: str) -> None:
    append.function(
        path, f"{ctx.message_id}|{ctx.attempt}|{ctx.fencing_token}|{ctx.session}|{ctx.headers}|{ctx.deadline}"
    )


@task(queue=QUEUE, name="die")
def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


@task(queue=QUEUE, name="signals")
def signals(path: str) -> None:
    """What a program that a task starts would inherit."""
    blocked = signal.pthread_sigmask(signal.SIG_BLOCK, ())
    ignored = [s.name for s in (signal.SIGINT, signal.SIGTERM) if signal.getsignal(s) == signal.SIG_IGN]
    append.function(path, f"blocked={sorted(blocked)} ignored={ignored}")


@task(queue=QUEUE, name="fork")
def fork(how: str, path: str) -> None:
    """Forks; the child gives control back in one of several ways."""
    child = os.fork()
    if child:
        _, status = os.waitpid(child, 0)
        append.function(path, f"{how} {os.waitstatus_to_exitcode(status)}")
        return
    match how:
        case "exit":
            raise SystemExit(0)
        case "status":
            raise SystemExit(7)
        case "error":
            raise ValueError("in the child")


@task(queue=QUEUE, name="fork_async")
async def fork_async(how: str, path: str) -> None:
    child = os.fork()
    if child:
        _, status = os.waitpid(child, 0)
        append.function(path, f"{how} {os.waitstatus_to_exitcode(status)}")
        return
    match how:
        case "awaits":
            await asyncio.sleep(0)
            append.function(path, "went on in the child")
        case "exit":
            raise SystemExit(7)


remembered: contextvars.ContextVar[str] = contextvars.ContextVar("remembered", default="nothing")


@task(queue=QUEUE, name="remember")
def remember(path: str) -> None:
    append.function(path, remembered.get())
    remembered.set("the message before")


@task(queue=QUEUE, name="remember_async")
async def remember_async(path: str) -> None:
    remember.function(path)


@task(queue=QUEUE, name="lazy")
def lazy(how: str) -> object:
    async def later() -> None: ...

    async def one_by_one() -> AsyncIterator[int]:
        yield 1

    match how:
        case "generator":
            return (n for n in range(3))
        case "coroutine":
            return later()
        case "async_generator":
            return one_by_one()
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


@task(queue=QUEUE, name="logs_to")
def logs_to(path: str) -> None:
    """From here on what this process logs is in the file."""
    logging.basicConfig(filename=path, level=logging.WARNING, format="%(levelname)s %(name)s %(message)s", force=True)


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


@task(queue=QUEUE, name="shows_headers")
def shows_headers(ctx: Context, path: str) -> None:
    append.function(path, f"{ctx.headers} {round(ctx.remaining() or 0)}")


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


@resource
def tool() -> Iterator[list[str]]:
    made: list[str] = []
    yield made
    append.function(made[0], f"closed after {len(made)}")


@task(queue=QUEUE, name="uses_tool")
def uses_tool(path: str, *, it: list[str] = given(tool)) -> None:
    it.append(path)


@task(queue=QUEUE, name="uses_tool_async")
async def uses_tool_async(path: str, *, it: list[str] = given(tool)) -> None:
    it.append(path)


@resource
def broken_tool() -> int:
    raise OSError("the other side is down")


@task(queue=QUEUE, name="lacks_tool", max_attempts=3)
def lacks_tool(*, it: int = given(broken_tool)) -> None: ...


# ---- what attempts note


@task(queue=QUEUE, name="pages")
def pages(ctx: Context, until: int) -> None:
    """One page more with each attempt; tells where it began, and fails."""
    began = ctx.state.get("page", 0)
    for page in range(began, until):
        ctx.progress(page + 1, 10, f"from {began}")
        ctx.state["page"] = page + 1
    raise ValueError(f"began at {began}")


@task(queue=QUEUE, name="notes_then_waits")
def notes_then_waits(ctx: Context, started: str, release: str) -> None:
    for number in range(3):
        ctx.progress(number)
    wait.function(started, release)


@task(queue=QUEUE, name="notes_late")
def notes_late(ctx: Context) -> None:
    """Leaves a thread behind that goes on noting."""
    ctx.progress(1)
    left.append(ctx)


left: list[Context] = []


@task(queue=QUEUE, name="notes_for_another")
def notes_for_another() -> None:
    left[0].progress(99)


# ---- what a task says itself of its message


@task(
    queue=QUEUE,
    name="by_hand",
    max_attempts=3,
    give_up_on=KeyError,
    backoff=Backoff(base=20, jitter=False),
    ack="manual",
)
def by_hand(ctx: Context, *words: str) -> None:
    said: dict[str, Callable[[], object]] = {
        "ack": ctx.ack,
        "nack": lambda: ctx.nack("not today"),
        "soon": lambda: ctx.nack("not now", after=7.0),
        "key": lambda: ctx.nack(KeyError("gone")),
        "reject": lambda: ctx.nack(Reject("never")),
        "raise": lambda: (_ for _ in ()).throw(ValueError("after all")),
        "exit": lambda: sys.exit(3),
    }
    for word in words:
        said[word]()


@task(queue=QUEUE, name="by_hand_async", max_attempts=3, soft_time_limit=0.05, ack="manual")
async def by_hand_async(ctx: Context, *words: str) -> None:
    for word in words:
        match word:
            case "ack":
                ctx.ack()
            case "nack":
                ctx.nack("not today")
            case "hang":
                await asyncio.Event().wait()


@task(queue=QUEUE, name="acks_by_itself")
def acks_by_itself(ctx: Context) -> None:
    ctx.ack()


# ---- several at once


@task(
    queue=QUEUE,
    name="together",
    batch=4,
    wait=30,
    max_attempts=3,
    time_limit=600,
    backoff=Backoff(base=20, jitter=False),
)
def together(words: list[str]) -> list[BaseException | None] | None:
    """What each word says becomes of it; the last one may speak for all. Paths are told how many there were."""
    outcomes: list[BaseException | None] = []
    for word in words:
        match word:
            case "retry":
                outcomes.append(Retry("again", after=7))
            case "error":
                outcomes.append(ValueError("wrong"))
            case "reject":
                outcomes.append(Reject("never"))
            case "raise":
                raise KeyError("all of them")
            case "few":
                return outcomes[:-1]
            case "exit":
                os._exit(7)
            case _:
                append.function(word, f"{len(words)}") if "/" in word else None
                outcomes.append(None)
    return outcomes


@task(queue=QUEUE, name="at_once", batch=1000, wait=0, max_attempts=3)
async def at_once(ctx: Context, words: list[str]) -> None:
    for one, word in zip(ctx.batch, words, strict=True):
        one.progress(len(words), text=word)
        append.function(word, f"{one.message_id} {one.attempt}")
    if ctx.attempt == 1:
        raise ValueError("once more")


@task(queue=QUEUE, name="until_first_is_cancelled", batch=2, wait=30, max_attempts=3)
async def until_first_is_cancelled(ctx: Context, reports: list[str]) -> None:
    append.function(reports[0], f"running {len(reports)}")
    while not ctx.batch[0].cancelled:
        await asyncio.sleep(0.001)
    append.function(reports[0], f"cancelled {ctx.cancelled}")
    if ctx.cancelled:
        await asyncio.Event().wait()
