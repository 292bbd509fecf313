"""Children that must be killed: a task exceeded its time limit, or the process is silent.

Only a time limit ends a worker that runs a task. One call into C may hold the interpreter's lock for hours, and no
thread of that process can write a heartbeat meanwhile. Silence counts only while the worker runs nothing, or is stopped
by a signal.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import NamedTuple

from s3queue.runtime.local.journal import Journal
from s3queue.runtime.supervisor.leftovers import look_up

#: Seconds between checks of the children when nothing happens.
TICK_S = 1.0
#: Seconds that a task gets beyond its time limit before its process is killed.
OVERRUN_GRACE_S = 0.5


class Verdict(NamedTuple):
    """Kill it. ``cause`` as in `s3queue.core.records.Failure`; ``overran`` as in `s3queue.runtime.local.wire.Died`."""

    cause: str
    text: str
    overran: tuple[tuple[int, int], ...] = ()


class Watch:
    """Over the children of one supervisor.

    Args:
        silence_s: seconds without a heartbeat after which a child is killed.
    """

    def __init__(self, journal: Journal, silence_s: float, now: float) -> None:
        self._journal = journal
        self._silence_s = silence_s
        #: Silence is counted from here: before it, this process or the whole machine was suspended.
        self._awake_since = self._last_tick = now
        #: When each worker was last seen at work.
        self._busy_at = [now] * journal.workers

    def tick(self, now: float) -> None:
        """Before the verdicts, at least every `TICK_S`."""
        if now - self._last_tick > 2 * TICK_S:
            self._awake_since = now
        self._last_tick = now

    def agent(self, now: float) -> Verdict | None:
        return self._silent(self._journal.agent_beat, now)

    def worker(self, number: int, pid: int, up: bool, now: float) -> Verdict | None:
        journal = self._journal.worker(number)
        running = journal.running() if up else []
        late = [it for it in running if 0.0 < it.deadline < now - OVERRUN_GRACE_S]
        if late:
            overran = tuple((it.row, it.message) for it in late)
            return Verdict("time_limit", "a task exceeded its time limit", overran)
        if running and not _is_stopped(pid):
            self._busy_at[number] = now
        return self._silent(journal.last_beat, now, self._busy_at[number])

    def cancelled(self, number: int, messages: Collection[tuple[int, int]]) -> Verdict | None:
        """The verdict on a worker that may still run cancelled messages which did not end in time."""
        journal = self._journal.worker(number)
        late = tuple(one for one in messages if journal.is_running(*one))
        return Verdict("cancelled", "a cancelled task did not end in time", late) if late else None

    def _silent(self, beat: float, now: float, busy_at: float = 0.0) -> Verdict | None:
        if beat > 0.0 and now - max(beat, busy_at, self._awake_since) > self._silence_s:
            return Verdict("killed", f"no heartbeat for {self._silence_s:g} s")
        return None


def _is_stopped(pid: int) -> bool:
    """Whether a signal has stopped it and none has continued it."""
    process = look_up(pid)
    return process is not None and process.state == "T"
