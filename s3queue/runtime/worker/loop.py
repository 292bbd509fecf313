"""The event loop of a worker, for all of its tasks that are ``async def``.

It runs as long as the process. If a task stops or breaks it, all other tasks would hang: so the process ends, and its
running messages are treated as after any death.
"""

from __future__ import annotations

import asyncio
import os
import sys
import threading
import traceback
from collections.abc import Callable, Coroutine
from concurrent.futures import Future
from contextvars import Context
from typing import Any, TypeAlias

from s3queue.errors import SoftTimeLimit
from s3queue.runtime.worker.forks import adopt, part
from s3queue.runtime.worker.outcomes import Overran

#: The task of a coroutine, once it has begun.
Runs: TypeAlias = list["asyncio.Task[Any] | None"]


def _cancel(loop: asyncio.AbstractEventLoop, runs: Runs) -> None:
    if not runs:  # it was asked for, and has its first step in this turn of the loop
        loop.call_soon(_cancel, loop, runs)
    elif (task := runs[0]) is not None:
        task.cancel()


class TaskLoop:
    """The event loop. Begins with the first coroutine.

    Args:
        refuse: called with each return value; raises if it is something that has not run, such as a generator.
    """

    def __init__(self, refuse: Callable[[Any], None]) -> None:
        self._refuse = refuse
        self._strange = adopt()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._starting = threading.Lock()

    def run(
        self, context: Context, coroutine: Coroutine[Any, Any, Any], limit: float | None, runs: Runs
    ) -> Future[BaseException | None]:
        """Run a coroutine, in a copy of the context. The result is its exception, or None.

        Args:
            runs: receives the task once it has begun.
        """
        with self._starting:
            loop = self._loop
            if loop is None:
                loop = self._loop = asyncio.new_event_loop()
                os.register_at_fork(after_in_child=lambda: _stop_at_the_next_step(loop))
                threading.Thread(target=self._turn, args=(loop,), name="s3queue-loop", daemon=True).start()
        return context.run(asyncio.run_coroutine_threadsafe, self._outcome(coroutine, limit, runs), loop)

    def cancel(self, runs: Runs) -> None:
        """Cancel a coroutine. It may take any time to end."""
        if (loop := self._loop) is not None:
            loop.call_soon_threadsafe(_cancel, loop, runs)

    async def _outcome(
        self, coroutine: Coroutine[Any, Any, Any], limit: float | None, runs: Runs
    ) -> BaseException | None:
        runs.append(asyncio.current_task())
        # Every exception is returned: SystemExit would otherwise end the loop, and with it every other task.
        try:
            async with asyncio.timeout(limit) as timeout:
                self._refuse(await coroutine)
        except BaseException as raised:  # noqa: BLE001
            if self._strange[0]:
                part(raised)
            return Overran() if isinstance(raised, TimeoutError) and timeout.expired() else raised
        if self._strange[0]:
            part(None)
        return None

    def _turn(self, loop: asyncio.AbstractEventLoop) -> None:
        asyncio.set_event_loop(loop)
        while True:
            try:
                loop.run_forever()
                why = "a task stopped the event loop"
            except (SystemExit, KeyboardInterrupt) as left:  # from a task that a task has left behind
                if self._strange[0]:
                    part(left)
                traceback.print_exc()
                continue
            except BaseException:  # noqa: BLE001 - for instance a task closed the loop's descriptors
                traceback.print_exc()
                why = "the event loop failed"
            if self._strange[0]:
                part(None)
            print(f"s3queue: {why} of this worker; its process ends, and is replaced", file=sys.stderr, flush=True)
            os._exit(1)


def within(soft_s: float, call: Callable[..., Coroutine[Any, Any, Any]]) -> Callable[..., Coroutine[Any, Any, Any]]:
    """Cancel a call after this many seconds. It then fails with `SoftTimeLimit`, unless it ends well all the same."""

    async def ended(coroutine: Coroutine[Any, Any, Any]) -> Any:
        try:
            async with asyncio.timeout(soft_s) as timeout:
                return await coroutine
        except TimeoutError as raised:
            cancelled = raised.__cause__
            if timeout.expired() and isinstance(cancelled, asyncio.CancelledError):
                told = SoftTimeLimit(f"the task was cancelled at its soft time limit of {soft_s:g} s")
                # Show where the task was, not how it was cancelled.
                raise told.with_traceback(cancelled.__traceback__) from None
            raise

    return lambda *given: ended(call(*given))


def _stop_at_the_next_step(loop: asyncio.AbstractEventLoop) -> None:
    """In a process that a task has forked: end the loop after the present step. Its other tasks go on in the worker,
    and must not go on here.
    """
    handles: Any = asyncio.Handle
    run = handles._run

    def step(handle: Any) -> None:
        if handle._loop is loop:
            part(None)
        run(handle)

    handles._run = step
