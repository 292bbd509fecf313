"""Runs the programs of `s3queue.core.agent` in one event loop: requests in threads, everything else here."""

from __future__ import annotations

import asyncio
import math
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from s3queue.core.ops import Program, Wait
from s3queue.io.clock import clock
from s3queue.io.drive import Driver

T = TypeVar("T")


async def run(program: Program[T], driver: Driver, threads: ThreadPoolExecutor) -> T:
    """Run a program to its end, with each operation in one of the threads, and the program itself in this task."""
    loop = asyncio.get_running_loop()
    try:
        op = next(program)
        while True:
            if isinstance(op, Wait):
                op = program.send(await _heard(op))
                continue
            try:
                outcome = await loop.run_in_executor(threads, driver.perform, op)
            except Exception as fault:  # noqa: BLE001 - whatever it is, it is the program's
                op = program.throw(fault)
            else:
                op = program.send(outcome)
    except StopIteration as end:
        result: T = end.value
        return result
    finally:
        program.close()


async def _heard(wait: Wait) -> bool:
    signal, within_s = wait.wake_on, wait.until - clock()
    if not signal.is_set and within_s > 0:
        event = asyncio.Event()
        signal.notify = event.set
        try:
            async with asyncio.timeout(None if math.isinf(within_s) else within_s):
                await event.wait()
        except TimeoutError:
            pass
        finally:
            signal.notify = None
    return signal.take()
