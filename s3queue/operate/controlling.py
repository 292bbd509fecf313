"""Settings of operators for a queue: its pause and its limits."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Literal

from s3queue.core import operate
from s3queue.core.keys import key_name
from s3queue.errors import ConfigError
from s3queue.operate.operation import Operation
from s3queue.operate.reading import Readable
from s3queue.options.limits import Breaker, Limit, declare
from s3queue.options.times import due_ms_of

__all__ = ["Controllable"]


class Controllable(Readable):
    """What operators can set for a queue. A base of `Queue`."""

    def pause(
        self,
        *,
        task: str | None = None,
        until: datetime | None = None,
        wait: bool | Literal["idle"] = True,
        timeout: float = 60.0,
    ) -> None:
        """Start nothing more of this queue, or of one task of it. Enqueuing goes on; what has begun runs to its end. Of a
        queue, what hosts hold already runs, too.

        Of a task: a host that has read the pause starts no message of it, and gives it back, which costs no attempt. Each
        costs one assignment and one GET of its batch, once: up to ``max_parked`` (1,000) of a queue wait on the board, and
        are ready as soon as the task is resumed. Each further one is looked at again every five minutes, and so may start
        that much after the resume. To stop a task with a long backlog, pause its queue. Messages of a group wait behind
        one that was given back. Hosts of a release before this feature go on starting the task; while such a host
        coordinates, no pause of a task comes into force, and this raises `TimeoutError`.

        Args:
            task: only messages of the task with this name. None: all of the queue.
            until: resume by itself then; with a time zone. None: until `resume`.
            wait: return when nothing more is assigned, or of a task, when a board names the pause. ``"idle"``: of a queue,
                when no host holds any of its messages, too. Of a task, when those messages of the queue are over that hosts
                held when the pause came into force, of whichever task: from then on no message of the task runs.
                False: at once.
            timeout: seconds to wait.

        Raises:
            ConfigError: ``until`` is no time, or has passed.
            StoreUnavailable: no answer; it may or may not be paused.
            TimeoutError: it is paused, and ``wait`` is not true yet: the coordinator has not said so, or hosts are busy.

        Asks: one GET and one PUT, and one GET for each look at the board; after the first one without a body, if nothing
        changed.
        """
        until_ms = 0
        if until is not None:
            due_ms = due_ms_of(None, until)
            if due_ms is None:
                raise ConfigError(f"until is {until}, which has passed", "a time to come")
            until_ms = due_ms
        if task is not None:
            self._operation().pause_task(self.name, task, until_ms, wait, timeout)
        else:
            self._operation().change(operate.pause(self.name, until_ms), self.name, wait, timeout)

    def resume(self, *, task: str | None = None, wait: bool = True, timeout: float = 60.0) -> None:
        """Undo `pause` of the queue, or of one task of it: each ends only what it names. The same requests and errors."""
        edit = operate.resume(self.name) if task is None else operate.resume_task(self.name, task)
        self._operation().change(edit, self.name, wait, timeout)

    def limit(
        self,
        *,
        max_running: int | None = None,
        rate: float | str | None = None,
        key: str | None = None,
        per_key: Limit | None = None,
        fair: bool | None = None,
        weights: Mapping[str, int] | None = None,
        ageing: float | timedelta | None = None,
        breaker: Breaker | None = None,
        wait: bool = True,
        timeout: float = 60.0,
    ) -> None:
        """Limit how much of this queue runs, from now on and on all hosts. Limits that are not named stay as they are.

        Args:
            max_running: so many messages at once; 0: any number, whatever the tasks declare.
            rate: so many a second, on average: a number, or ``"100/s"``, ``"20/min"``; 0: any number.
            key: of the messages of this key only.
            per_key: of the messages of each key.
            fair: whether keys take turns. weights: by key, how many messages it gets in its turn, 1 to 1000.
            ageing: seconds, or a `timedelta`, of wait that count as one priority; 0: none.
            breaker: when to hold the queue, since its messages fail.
            wait: return when every further message is assigned under this. timeout: seconds to wait.

        A lower limit stops nothing that has begun. A host that was fenced and runs on is beside the limit.

        Raises:
            ConfigError: something that cannot be meant.
            StoreUnavailable: no answer; it may or may not hold. TimeoutError: it is stored, and no coordinator has taken
                it over yet.

        Asks: as `pause`.
        """
        what = f"limit of {self.name!r}"
        limits = declare(
            what,
            max_running=None if key is not None else max_running,
            rate=None if key is not None else rate,
            per_key=per_key,
            keys=None if key is None else {key: Limit(max_running, rate)},
            fair=fair,
            weights=weights,
            ageing=ageing,
            breaker=breaker,
        )
        self._operation().change(operate.limit(self.name, limits), self.name, wait, timeout)

    def unlimit(self, key: str | None = None, *, wait: bool = True, timeout: float = 60.0) -> None:
        """Undo `limit`, for one key or altogether: the limits that tasks of the queue declare apply again. As `limit`."""
        edit = operate.unlimit(self.name, None if key is None else key_name(key))
        self._operation().change(edit, self.name, wait, timeout)

    def _operation(self) -> Operation:
        return Operation(self.store, self.layout, self.driver())
