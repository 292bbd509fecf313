"""Tasks that take several messages at once: which messages share a call, and the outcome of each.

The first message of a batch that a slot takes opens the batch. All slots add messages to it, until it is full or its
time is over; a message of another task closes it. Each message keeps its own attempt, limits and outcome: they share
only the call. If the process dies, any of them may be the cause, so each runs alone next.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from queue import Empty, SimpleQueue
from typing import Any, NamedTuple

from s3queue.core.records import Message
from s3queue.io.clock import clock
from s3queue.runtime.worker.dealt import Item
from s3queue.runtime.worker.plans import Plan


class Member(NamedTuple):
    """A message of a task that takes several.

    Attributes:
        task: the plan of its task, one object for all messages of the task.
        own: the terms of this message.
        headers: as the task sees them.
    """

    item: Item
    task: Plan
    own: Plan
    message: Message
    headers: dict[str, str]


class _Open:
    def __init__(self, until: float) -> None:
        self.until = until
        self.members: list[Member] = []


class Batches:
    """The batches that are open.

    Args:
        ready: the queue that messages come from. Messages that belong to no batch go back there.
        member: tells whether a message is for a task that takes several.
    """

    def __init__(self, ready: SimpleQueue[Item | None], member: Callable[[Item], Member | None]) -> None:
        self._ready, self._member = ready, member
        self._lock = threading.Lock()
        self._open: dict[Plan, _Open] = {}

    def gather(self, member: Member) -> list[Member] | None:
        """Add a message to a batch. Returns the batch if this slot runs it; None: another slot does."""
        plan = member.task
        with self._lock:
            batch = self._open.get(plan)
            is_mine = batch is None
            if batch is None:
                batch = self._open[plan] = _Open(clock() + plan.wait_s)
            if self._add(plan, batch, member):
                return batch.members
        return self._wait(plan, batch) if is_mine else None

    def _wait(self, plan: Plan, batch: _Open) -> list[Member] | None:
        while True:
            try:
                item = self._ready.get(timeout=max(0.0, batch.until - clock()))
            except Empty:
                return self._close(plan, batch)
            member = None if item is None else self._member(item)
            if member is None or member.task is not plan:
                self._ready.put(item)
                return self._close(plan, batch)
            with self._lock:
                if self._open.get(plan) is batch:
                    if self._add(plan, batch, member):
                        return batch.members
                    continue
            self._ready.put(item)  # another slot has filled the batch, and runs it
            return None

    def _add(self, plan: Plan, batch: _Open, member: Member) -> bool:
        """Add a message. Returns whether the batch is full, and closed."""
        batch.members.append(member)
        if len(batch.members) < plan.batch:
            return False
        del self._open[plan]
        return True

    def _close(self, plan: Plan, batch: _Open) -> list[Member] | None:
        with self._lock:
            if self._open.get(plan) is not batch:
                return None
            del self._open[plan]
            return batch.members


def each(what: str, many: int, returned: Any) -> list[Any]:
    """By message: the exception that it failed with, or its result; from the return value of their task, which is None or
    a list with an outcome for each.

    Raises:
        TypeError: it returned something else.
    """
    if returned is None:
        return [None] * many
    if not isinstance(returned, list | tuple) or len(returned) != many:
        told = f"{len(returned)} outcomes" if isinstance(returned, list | tuple) else type(returned).__name__
        raise TypeError(
            f"{what} got {many} messages and returned {told}; return None, or a list with one outcome for each"
        )
    return list(returned)
