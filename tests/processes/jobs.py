"""Tasks for the process tests. Each tells what it does through files and fifos whose names it is given."""

from __future__ import annotations

import asyncio
import ctypes
import faulthandler
import os
import signal
import subprocess
import time
from pathlib import Path

from s3queue import Context, Reject, Retry, task
from s3queue.options.policies import Backoff

QUEUE = "work"
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


@task(queue=QUEUE, name="timed")
def timed(ctx: Context, started: str) -> None:
    """Says for which time it was enqueued."""
    say(started, f"{ctx.tick.timestamp() if ctx.tick is not None else 0.0} {ctx.session}")


@task(queue=QUEUE, name="moody", max_attempts=1)
def moody(runs: str, mood: str) -> None:
    """Fails in a bad mood."""
    say(runs, mood[:10])
    if mood.startswith("bad"):
        raise ValueError("not today")


@task(queue=QUEUE, name="nap")
def nap(runs: str, number: int) -> None:
    """Takes so long that it is dealt one by one."""
    time.sleep(0.1)
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


@task(queue=QUEUE, name="brittle", max_attempts=3, backoff=AT_ONCE)
def brittle(ctx: Context, runs: str, number: int) -> None:
    """Every tenth one kills its process the first time."""
    if number % 10 == 0 and ctx.attempt == 1:
        os._exit(3)
    say(runs, f"{number} {os.getpid()}")


def is_alive(pid: str) -> bool:
    """And no zombie."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2][0] not in "ZX"
    except OSError:
        return False


@task(queue=QUEUE, name="program", time_limit=0.3, max_attempts=3, backoff=AT_ONCE)
def program(told: str, how: str) -> None:
    """Runs a program for longer than it may, and says which; before that, who of the former ones is still alive."""
    former = Path(told).read_text().split() if Path(told).exists() else []
    say(f"{told}-alive", " ".join(pid for pid in former if is_alive(pid)))
    command = ["sh", "-c", f"echo $$ >> {told}; exec sleep 600"]
    if how == "shell":
        command = ["sh", "-c", '"$@"; true', "sh", *command]
    subprocess.run(command, check=False, start_new_session=how == "session")


@task(queue=QUEUE, name="twin")
def twin(told: str) -> None:
    """Leaves a copy of its process behind, which goes on for ever."""
    if not os.fork():
        say(told, str(os.getpid()))
        while True:
            signal.pause()


@task(queue=QUEUE, name="background")
def background(told: str) -> None:
    """Leaves a program behind that ends by itself."""
    subprocess.run(["sh", "-c", f"(sleep 0.1; echo done > {told}) & exit"], check=True)


@task(queue=QUEUE, name="hog")
def hog(seconds: int) -> None:
    """One call into C that holds the interpreter's lock."""
    ctypes.PyDLL(None).sleep(seconds)


@task(queue=QUEUE, name="chatter", max_attempts=1)
def chatter(number: int) -> None:
    print(number, flush=True)
    os.system("echo and a program that it starts")


@task(queue=QUEUE, name="meet", max_attempts=1, time_limit=40)
async def meet(runs: str, many: int) -> None:
    """Ends when so many are running at once."""
    say(runs, "here")
    while Path(runs).read_text().count("here") < many:
        await asyncio.sleep(0.02)


@task(queue=QUEUE, name="reject")
def reject() -> None:
    raise Reject("never")


@task(queue=QUEUE, name="idle_async")
async def idle_async(started: str) -> None:
    """Says that it runs, and waits until it is cancelled."""
    say(started, f"{os.getpid()}")
    await asyncio.Event().wait()


@task(queue=QUEUE, name="stop_loop", max_attempts=2, backoff=AT_ONCE)
async def stop_loop(runs: str) -> None:
    say(runs, "stops it")
    asyncio.get_running_loop().stop()
    await asyncio.sleep(3600)


@task(queue=QUEUE, name="not_now")
def not_now(runs: str) -> None:
    say(runs, "not now")
    raise Retry(after=3600)


@task(queue=QUEUE, name="add", result_ttl=60)
def add(a: int, b: int) -> int:
    return a + b


@task(queue=QUEUE, name="add_later", result_ttl=60)
async def add_later(a: int, b: int) -> int:
    await asyncio.sleep(0)
    return a + b


@task(queue=QUEUE, name="refuse", result_ttl=60, max_attempts=1)
def refuse(why: str) -> None:
    raise RuntimeError(why)


@task(queue=QUEUE, name="give", result_ttl=60, max_attempts=1)
def give(size: int) -> bytes:
    return b"x" * size if size >= 0 else size  # type: ignore[return-value]


@task(queue=QUEUE, name="by_steps", backoff=AT_ONCE)
def by_steps(ctx: Context, started: str, release: str) -> None:
    """Says how far the attempt before it was, goes one step on, and fails after the first two."""
    step = ctx.state.get("step", 0)
    ctx.state["step"] = step + 1
    ctx.progress(step + 1, 3, "by steps")
    say(started, f"{ctx.attempt} {step}")
    hang(release)
    if step < 2:
        os.kill(os.getpid(), signal.SIGKILL) if step else None
        raise ValueError(f"step {step}")


#: Of its own: a queue with batches deals as many at a time, and others here count on one.
BATCHES = "batches"


@task(queue=BATCHES, name="batched", batch=4, wait=60, max_attempts=2, time_limit=1.0, backoff=AT_ONCE)
def batched(words: list[str]) -> None:
    """Says how many there are; a word may end the process, or take longer than it may."""
    for word in words:
        path, _, how = word.partition(" ")
        say(path, f"{len(words)}")
        if how == "exit":
            os._exit(7)
        if how == "hang":
            time.sleep(600)


@task(queue=BATCHES, name="summed", batch=3, wait=60, max_attempts=1, result_ttl=60)
def summed(pairs: list[tuple[int, int]]) -> list[int | ValueError]:
    return [sum(pair) if all(pair) else ValueError("a number is 0") for pair in pairs]


@task(queue=BATCHES, name="held", batch=2, wait=60, max_attempts=1)
def held(ctx: Context, words: list[str]) -> None:
    """Says how many there are, where, and which attempts they are; then waits for its release, whatever it is told."""
    started, release = words[0].split()
    say(started, f"{len(words)} {os.getpid()} {','.join(sorted(str(one.attempt) for one in ctx.batch))}")
    hang(release)


@task(queue=QUEUE, name="alone", unique=True)
def alone(runs: str, number: int) -> None:
    say(runs, f"{number} {os.getpid()}")


@task(queue=QUEUE, name="queued", unique="waiting")
def queued(started: str, release: str) -> None:
    say(started, "x")
    hang(release)


@task(queue=QUEUE, name="last_call")
def last_call(runs: str, number: int) -> None:
    say(runs, f"{number} {os.getpid()}")


@task(queue=QUEUE, name="of_no_interest", max_attempts=2, backoff=AT_ONCE, on_failure="drop")
def of_no_interest(runs: str) -> None:
    say(runs, "x")
    raise RuntimeError("who cares")
