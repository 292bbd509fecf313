"""Tasks for the worker tests. They talk through files and pipes, since they run in other processes."""

from __future__ import annotations

import asyncio
import contextvars
import logging
import os
import signal
import time

from s3queue import Context, task

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


@task(queue=QUEUE, name="context")
def context(ctx: Context, path: str) -> None:
    append.function(
        path, f"{ctx.message_id}|{ctx.attempt}|{ctx.fencing_token}|{ctx.session}|{ctx.headers}|{ctx.deadline}"
    )


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


@task(queue=QUEUE, name="logs_to")
def logs_to(path: str) -> None:
    """From here on what this process logs is in the file."""
    logging.basicConfig(filename=path, level=logging.WARNING, format="%(levelname)s %(name)s %(message)s", force=True)


@task(queue=QUEUE, name="shows_headers")
def shows_headers(ctx: Context, path: str) -> None:
    append.function(path, f"{ctx.headers} {round(ctx.remaining() or 0)}")
