"""A program of an agent, run from one wait to the next."""

from __future__ import annotations

from typing import Any

from s3queue.core.ops import Program, Wait
from s3queue.io.drive import Driver
from s3queue.testing.plugin.clock import VirtualClock


class Running:
    """A program, and the time or signal for which it waits."""

    def __init__(self, program: Program[Any]) -> None:
        self._program = program
        self._wait: Wait | None = None
        self.is_over = False

    @property
    def until(self) -> float:
        return float("inf") if self._wait is None or self.is_over else self._wait.until

    def run(self, driver: Driver, clock: VirtualClock) -> bool:
        """Run to the next wait. Returns whether it could run."""
        if self.is_over:
            return False
        wait = self._wait
        if wait is not None and not wait.wake_on.is_set and wait.until > clock.steady():
            return False
        try:
            op: Any = next(self._program) if wait is None else self._program.send(wait.wake_on.take())
            while not isinstance(op, Wait):
                try:
                    outcome = driver.perform(op)
                except Exception as fault:  # noqa: BLE001 - whatever it is, it is the program's
                    op = self._program.throw(fault)
                else:
                    op = self._program.send(outcome)
            self._wait = op
        except StopIteration:
            self.is_over = True
        return True
