"""The coroutines that this worker awaits, and the messages of each."""

from __future__ import annotations

import contextvars
import threading
from collections.abc import Sequence
from concurrent.futures import Future
from typing import Any

from s3queue.errors import Fenced
from s3queue.runtime.worker.dealt import Dealt
from s3queue.runtime.worker.loop import Runs, TaskLoop


class Awaiting:
    """Owns the coroutines in the event loop of async tasks."""

    def __init__(self, loop: TaskLoop) -> None:
        self._loop = loop
        self._lock = threading.Lock()
        self._awaited: dict[Future[BaseException | None], tuple[Sequence[tuple[Dealt, int]], Runs]] = {}

    def cancel(self) -> None:
        """Cancel all of them: their session is over."""
        with self._lock:
            awaited = list(self._awaited)
        for future in awaited:
            future.cancel()

    def interrupt(self, dealt: Dealt) -> None:
        """More messages of this deal are marked. Cancel coroutines whose messages are all marked."""
        with self._lock:
            for those, runs in self._awaited.values():
                if any(of is dealt for of, _ in those) and _are_marked(those):
                    self._loop.cancel(runs)

    def result(
        self,
        those: Sequence[tuple[Dealt, int]],
        variables: contextvars.Context,
        coroutine: Any,
        limit: float | None,
    ) -> BaseException | None:
        """Run a coroutine to its end in the loop. Returns its exception, or None.

        Args:
            those: its messages, by deal and index.
        """
        dealt = those[0][0]
        with self._lock:
            if dealt.over:  # cancelled before it began; `cancel` does not know of it
                coroutine.close()
                return Fenced(dealt.ticket)
            runs: Runs = []
            future = self._loop.run(variables, coroutine, limit, runs)
            self._awaited[future] = those, runs
            if _are_marked(those):  # `interrupt` came before it began
                self._loop.cancel(runs)
        try:
            return future.result()
        finally:
            with self._lock:
                del self._awaited[future]


def _are_marked(those: Sequence[tuple[Dealt, int]]) -> bool:
    return all(index in dealt.marked for dealt, index in those)
