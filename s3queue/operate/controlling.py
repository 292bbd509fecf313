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
    """Pauses and limits a queue. A base of `Queue`."""

    def pause(
        self,
        *,
        task: str | None = None,
        until: datetime | None = None,
        wait: bool | Literal["idle"] = True,
        timeout: float = 60.0,
    ) -> None:
        """Pause this queue, or one task of it: no more of its messages are assigned to hosts. Producers can still enqueue,
        and running messages run to their end. Messages of a queue that hosts hold already run, too.

        A host that has read the pause of a task starts no message of it, and gives it back, which costs no attempt. Each
        message costs one assignment and one GET of its batch, once. Up to ``max_parked`` (1,000) messages of a queue wait
        on the board, and are ready as soon as the task is resumed. Further ones are looked at again every five minutes, and
        so may start that much later. To stop a task with a long backlog, pause its queue. Messages of a group wait behind
        one that was given back. Hosts of releases without this feature go on starting the task; while such a host
        coordinates, the pause of a task does not come into force, and this raises `TimeoutError`.

        Args:
            task: only messages of the task with this name. None: all messages of the queue.
            until: when it resumes by itself; with a time zone. None: at `resume`.
            wait: True: return when the coordinator assigns no more messages of the queue, or when the board names the pause
                of the task. ``"idle"``: when also no host holds messages of the queue; for a task, when the messages of the
                queue are over, of any task, that hosts held when the pause came into force: from then on no message of
                the task runs. False: at once.
            timeout: seconds to wait.

        Raises:
            ConfigError: ``until`` is no time or has passed, or ``timeout`` is out of range.
            StoreUnavailable: no answer of the store; the queue may or may not be paused.
            TimeoutError: the pause is stored, but no coordinator has confirmed it yet, or hosts are still busy.

        Asks: one GET and one PUT, and one GET for each look at the board; from the second one on without a body, if nothing
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
        """Undo `pause`, of the queue or of one task: each ends only the pause that it names.

        Args:
            task: name of a task. None: the pause of the queue.
            wait: return when the coordinator assigns its messages again. False: at once.
            timeout: seconds to wait.

        Raises, asks: as `pause`.
        """
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
        """Limit how much of this queue runs, from now on and on all hosts together. Limits that are not named stay as
        they are.

        A lower limit does not stop messages that have begun. Tasks that still run on a fenced host are not counted.

        Args:
            max_running: messages at once; 0: any number, whatever the tasks declare.
            rate: messages started per second, on average: a number, or ``"100/s"``, ``"20/min"``; 0: any number.
            key: apply ``max_running`` and ``rate`` to the messages of this key only.
            per_key: limits for the messages of each key.
            fair: whether keys take turns.
            weights: by key: messages that it gets in its turn, 1 to 1000.
            ageing: seconds, or a `timedelta`, of waiting that raise the priority of a message by one; 0: never.
            breaker: when to hold the queue because its messages fail.
            wait: return when the coordinator assigns every further message under this limit. False: at once.
            timeout: seconds to wait.

        Raises:
            ConfigError: a value is out of range.
            StoreUnavailable: no answer of the store; the limit may or may not apply.
            TimeoutError: the limit is stored, but no coordinator has confirmed it yet.

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
        """Undo `limit`, for one key or for all: the limits that tasks of the queue declare apply again.

        Args, raises, asks: as `limit`; ``key`` None: remove all limits that operators set.
        """
        edit = operate.unlimit(self.name, None if key is None else key_name(key))
        self._operation().change(edit, self.name, wait, timeout)

    def _operation(self) -> Operation:
        return Operation(self.store, self.layout, self.driver())
