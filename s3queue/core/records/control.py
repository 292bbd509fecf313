"""The settings that operators may change at run time."""

from __future__ import annotations

from msgspec import Struct, field

from s3queue.core.records.format import FORMAT, Count
from s3queue.core.records.limits import Limits
from s3queue.core.records.schedules import Schedule


class Control(Struct, frozen=True, omit_defaults=True):
    """Replaced by operators, by compare-and-swap; read by the coordinator. Never deleted: its turn never goes back.

    Attributes:
        turn: rises by one with every change. A board names the turn of the control that it was planned with.
        paused: queues of which nothing is assigned, and until when (wall clock in milliseconds); 0: until it is resumed.
        schedules: by name.
        limits: by queue, what holds instead of what its hosts declare.
        paused_tasks: by queue and task, as ``paused``: messages of this task do not start.
    """

    nonce: str
    turn: Count = 0
    paused: dict[str, Count] = {}
    format: int = field(default_factory=lambda: FORMAT)
    schedules: dict[str, Schedule] = {}
    limits: dict[str, Limits] = {}
    paused_tasks: dict[str, dict[str, Count]] = {}

    def holds(self, queue: str, now_ms: int) -> bool:
        """Whether nothing of this queue may be assigned now."""
        until_ms = self.paused.get(queue)
        return until_ms is not None and _holds(until_ms, now_ms)

    def halted(self, now_ms: int) -> dict[str, tuple[str, ...]]:
        """By queue, the tasks of which nothing may start now; see `Board.halted`."""
        found = {
            queue: tuple(sorted(task for task, until_ms in tasks.items() if _holds(until_ms, now_ms)))
            for queue, tasks in self.paused_tasks.items()
        }
        return {queue: tasks for queue, tasks in found.items() if tasks}


def _holds(until_ms: int, now_ms: int) -> bool:
    return until_ms == 0 or now_ms < until_ms
