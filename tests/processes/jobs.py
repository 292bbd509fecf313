"""Tasks for the process tests. Each tells what it does through files and fifos whose names it is given."""

from __future__ import annotations

import ctypes
import faulthandler
import os
import signal
from pathlib import Path

from s3queue import Context, task
from s3queue.context import Backoff

QUEUE = "jobs"
AT_ONCE = Backoff(base=0)


def say(path: str, text: str) -> None:
    """One line, in one write, to a file or a fifo."""
    fd = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    os.write(fd, f"{text}\n".encode())
    os.close(fd)


def hang(release: str) -> None:
    """Until there is a byte in the fifo."""
    fd = os.open(release, os.O_RDONLY)
    os.read(fd, 1)
    os.close(fd)


@task(queue=QUEUE, name="quick")
def quick(runs: str, number: int) -> None:
    say(runs, f"{number} {os.getpid()}")


@task(queue=QUEUE, name="hold")
def hold(ctx: Context, started: str, release: str) -> None:
    """Says that it runs, and hangs until it is released."""
    say(started, f"{ctx.attempt} {os.getpid()} {ctx.session}")
    hang(release)


@task(queue=QUEUE, name="hold_first")
def hold_first(ctx: Context, started: str, never: str) -> None:
    """Hangs the first time."""
    say(started, f"{ctx.attempt} {os.getpid()} {ctx.session}")
    if ctx.attempt == 1:
        hang(never)


@task(queue=QUEUE, name="overrun", time_limit=0.2, max_attempts=2, backoff=AT_ONCE)
def overrun(ctx: Context, started: str, never: str) -> None:
    say(started, f"{ctx.attempt} {os.getpid()}")
    hang(never)


@task(queue=QUEUE, name="poison", max_attempts=3, backoff=AT_ONCE)
def poison(ctx: Context, runs: str, how: str) -> None:
    say(runs, f"{ctx.attempt} {os.getpid()}")
    if how == "exit":
        os._exit(3)
    if how == "crash":
        faulthandler.disable()
        ctypes.string_at(0)
    os.kill(os.getpid(), signal.SIGKILL)


@task(queue="elsewhere", name="other")
def other(path: str) -> None:
    Path(path).touch()


@task(queue=QUEUE, name="chatter", max_attempts=1)
def chatter(number: int) -> None:
    print(number, flush=True)
    os.system("echo and a program that it starts")
