"""Programs in an event loop: operations in threads, waits on signals."""

from __future__ import annotations

import asyncio
import math
import threading
from collections.abc import Generator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from s3queue_backends.memory import MemoryStore

from s3queue.core.ops import Get, Signal, Wait
from s3queue.io.clock import clock
from s3queue.io.drive import Driver
from s3queue.runtime.agent.programs import run
from s3queue.store import Missing


def go(*programs: Generator[Any, Any, Any]) -> list[Any]:
    async def all_of_them() -> list[Any]:
        with ThreadPoolExecutor(2) as threads:
            driver = Driver(MemoryStore())
            return await asyncio.gather(*(run(program, driver, threads) for program in programs))

    return asyncio.run(all_of_them())


def test_signal_wakes_a_program_that_waits_for_ever() -> None:
    signal = Signal()

    def waits() -> Generator[Any, Any, bool]:
        return (yield Wait(math.inf, signal))

    def rings() -> Generator[Any, Any, None]:
        yield Get("k")
        signal.set()

    assert go(waits(), rings()) == [True, None]
    assert signal.notify is None


def test_what_was_rung_before_is_not_lost_and_is_taken_once() -> None:
    signal = Signal()
    signal.set()

    def waits() -> Generator[Any, Any, list[bool]]:
        return [(yield Wait(math.inf, signal)), (yield Wait(clock(), signal))]

    assert go(waits()) == [[True, False]]


def test_wait_is_over_at_its_time() -> None:
    def waits() -> Generator[Any, Any, bool]:
        return (yield Wait(clock() + 0.01, Signal()))

    assert go(waits()) == [False]


def test_request_runs_in_a_thread_and_the_program_in_the_loops() -> None:
    threads: list[threading.Thread] = []

    def asks() -> Generator[Any, Any, Any]:
        threads.append(threading.current_thread())
        found = yield Get("k")
        threads.append(threading.current_thread())
        return found

    assert go(asks()) == [Missing()]
    assert set(threads) == {threading.main_thread()}


def test_program_that_is_cancelled_is_closed() -> None:
    closed: list[bool] = []

    def waits() -> Generator[Any, Any, None]:
        try:
            yield Wait(math.inf, Signal())
        finally:
            closed.append(True)

    async def cancelled() -> None:
        with ThreadPoolExecutor(1) as threads:
            task = asyncio.create_task(run(waits(), Driver(MemoryStore()), threads))
            await asyncio.sleep(0)
            task.cancel()
            await asyncio.wait({task})

    asyncio.run(cancelled())
    assert closed == [True]
