"""Operations: change something that the coordinator plans with, wake it, and wait until the change takes effect."""

from __future__ import annotations

import contextlib
import logging
import math
import secrets
import time
from collections.abc import Callable
from typing import Literal

from s3queue.core import operate
from s3queue.core.keys import Layout, request_path
from s3queue.core.operate import Edit
from s3queue.core.ops import Unknown, get
from s3queue.core.produce import Accepted
from s3queue.core.records import UNREADABLE, Board, LetterRequest, Request, decode
from s3queue.errors import CorruptRecord, StoreUnavailable
from s3queue.io.drive import Driver, pauses
from s3queue.io.wakeups import wake
from s3queue.operate.asking import check_timeout
from s3queue.store import Found, Missing, ObjectStore

__all__ = ["Operation"]

#: Seconds between two looks at the board: at first, and at most.
_LOOK_S, _LAST_LOOK_S = 0.05, 1.0
#: Seconds without an answer after which that is logged: longer than a coordinator polls, shorter than people wait.
_SILENCE_S = 5.0
_NOT_TAKEN_OVER = "the change is stored, and no coordinator has taken it over"
_log = logging.getLogger("s3queue.operator")


class Operation:
    """One operation on a namespace."""

    def __init__(self, store: ObjectStore, layout: Layout, driver: Driver) -> None:
        self._store, self._layout, self._driver = store, layout, driver
        self._board: Board | None = None
        self._version: str | None = None

    def change(self, edit: Edit, queue: str, wait: bool | Literal["idle"], timeout: float) -> None:
        """Change the control, and wait until the change takes effect for a queue. See `s3queue.Queue.pause`."""
        check_timeout(timeout)
        turn = self._set(edit)
        if wait:
            self.until(lambda board: operate.has_planned(board, turn), timeout, _NOT_TAKEN_OVER)
        if wait == "idle":
            self.until(lambda board: operate.is_idle(board, queue), timeout, "hosts still hold some of its messages")

    def pause_task(self, queue: str, task: str, until_ms: int, wait: bool | Literal["idle"], timeout: float) -> None:
        """Pause a task of a queue, and wait until that takes effect. See `s3queue.Queue.pause`."""
        check_timeout(timeout)
        turn, out = self._set(operate.pause_task(queue, task, until_ms)), frozenset[str]()

        def holds(board: Board | None) -> bool:
            nonlocal out
            out = operate.tickets_of(board, queue)
            is_over = 0 < until_ms <= time.time() * 1000 and operate.has_planned(board, turn)
            return is_over or operate.has_halted(board, turn, queue, task)

        if wait:
            self.until(holds, timeout, _NOT_TAKEN_OVER)
        if wait == "idle":
            self.until(
                lambda board: out.isdisjoint(operate.tickets_of(board, queue)),
                timeout,
                "hosts still hold messages of the queue that they had before",
            )

    def _set(self, edit: Edit) -> int:
        """Change the control. Returns its turn. Raises `StoreUnavailable`; asks one GET and one PUT."""
        outcome = self._driver.run(operate.change(self._layout, edit, secrets.token_hex(8)))
        if isinstance(outcome, Unknown):
            raise StoreUnavailable("put", self._layout.control, "no answer; the change may or may not take effect")
        self.wake()
        return outcome.turn

    def ask(self, request: Request, wait: bool, timeout: float, patience_s: float) -> str:
        """Ask something of the coordinator, and wait for the answer: see `s3queue.core.records.Answer`.

        Args:
            wait: for the answer; else it is empty. timeout: seconds. patience_s: seconds for which to try to store it.

        Raises:
            StoreUnavailable: no answer of the store. The request may or may not be stored.
            TimeoutError: no answer of the coordinator. The request stands.

        Asks: one PUT, and one GET for each look at the answer.
        """
        check_timeout(timeout)
        path = self.send(request, patience_s)
        return self.answer_of(path, timeout) if wait else ""

    def send(self, request: Request | LetterRequest, patience_s: float) -> str:
        """Store a request, and wake the coordinator. Returns its path. Raises `StoreUnavailable`; asks one PUT."""
        about_letters = isinstance(request, LetterRequest)
        path = request_path(time.time_ns() // 1_000_000, secrets.token_hex(8), about_letters=about_letters)
        deadline, waits = time.monotonic() + patience_s, pauses(0.1, 5.0)
        while not isinstance(self._driver.run(operate.ask(self._layout, path, request)), Accepted):
            pause = next(waits)
            if time.monotonic() + pause >= deadline:
                raise StoreUnavailable(
                    "put", self._layout.source(path), "no answer; the request may or may not be stored"
                )
            time.sleep(pause)
        self.wake()
        return path

    def answer_of(self, path: str, timeout: float) -> str:
        """Wait for the answer to a request. Asks one GET for each look. Where none comes for some seconds, it is logged: a
        namespace without a host answers nothing.

        Raises:
            TimeoutError: there was none.
            CorruptRecord: the request was damaged in the store. Nothing was done; ask again.
        """
        answers: list[str] = []
        tell_at = time.monotonic() + _SILENCE_S

        def is_answered() -> bool:
            nonlocal tell_at
            answers.extend(filter(None, [self._driver.run(operate.read_answer(self._layout, path))]))
            if not answers and time.monotonic() >= tell_at:
                tell_at = math.inf
                _log.warning("no coordinator has answered yet; waiting. Does a host run in %s?", self._layout.root)
            return bool(answers)

        self.wait_for(is_answered, timeout, "no coordinator has answered; the request stands")
        if answers[0] == UNREADABLE:
            raise CorruptRecord(
                self._layout.source(path), f"damaged in the store, and nothing was done: see {self._layout.aside(path)}"
            )
        return answers[0]

    def wake(self) -> None:
        """Wake the coordinator, if it runs on this machine. Elsewhere it sees the change at its next poll."""
        with contextlib.suppress(OSError):
            wake(self._store.url, self._layout.root)

    def until(self, holds: Callable[[Board | None], bool], timeout: float, why: str) -> None:
        """Wait until the board says so.

        Raises:
            TimeoutError: it did not.
        """
        self.wait_for(lambda: holds(self.look()), timeout, why)

    @staticmethod
    def wait_for(holds: Callable[[], bool], timeout: float, why: str) -> None:
        """Wait until that holds. Raises `TimeoutError`: it did not."""
        began, pause = time.monotonic(), _LOOK_S
        while not holds():
            if time.monotonic() + pause - began > timeout:
                raise TimeoutError(f"after {timeout:g} s {why}")
            time.sleep(pause)
            pause = min(2 * pause, _LAST_LOOK_S)

    def look(self) -> Board | None:
        """The board as it is now."""
        found = self._driver.run(get(self._layout.board, self._version))
        if isinstance(found, Found):
            self._board, self._version = decode(Board, self._layout.board, found.body), found.version
        elif isinstance(found, Missing):
            self._board = self._version = None
        return self._board
