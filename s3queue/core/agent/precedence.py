"""The board goes first: where a store has one writer at a time, chores write nothing while a cycle is under way.

A letter or an answer may be stored at any time, and a redrive has thousands of letters to store. The write of the board
is what everybody waits for: it would wait for one of them each time.
"""

from __future__ import annotations

from typing import TypeVar

from s3queue.core.agent.environment import TICK_S, Environment
from s3queue.core.ops import Delete, Program, Put, Signal, Step, wait

T = TypeVar("T")


class Precedence:
    """
    Args:
        env: tells the time.
        programs: so many programs do chores.
        holds: the store has one writer at a time. Otherwise nothing is held back.
    """

    def __init__(self, env: Environment, programs: int, *, holds: bool) -> None:
        self._env, self._holds, self._is_cycling = env, holds, False
        self._signals = [Signal() for _ in range(programs)]

    def begin(self) -> None:
        """A cycle begins."""
        self._is_cycling = self._holds

    def end(self) -> None:
        """It is over, whatever came of it."""
        if self._is_cycling:
            self._is_cycling = False
            for signal in self._signals:
                signal.set()

    def behind(self, step: Step[T], number: int) -> Program[T]:
        """Perform a chore, whose writes wait for a cycle that is under way: at most `TICK_S` each, so that a store that
        does not answer holds back none.

        Args:
            number: of the program that does it.
        """
        if not self._holds:
            return (yield from step)
        try:
            op = next(step)
            while True:
                if self._is_cycling and isinstance(op, Put | Delete):
                    self._signals[number].take()  # set by a cycle that nothing waited for
                    self._env.mark("a chore let the board go first")
                    yield from wait(self._env.now() + TICK_S, self._signals[number])
                try:
                    outcome = yield op
                except Exception as fault:  # noqa: BLE001 - the step handles it
                    op = step.throw(fault)
                else:
                    op = step.send(outcome)
        except StopIteration as end:
            result: T = end.value
            return result
        finally:
            step.close()
