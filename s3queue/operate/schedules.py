"""Schedules at run time: see, set, pause, run and remove them.

::

    schedules = s3queue.Schedules("s3://bucket/jobs")
    schedules.set("reports.weekly", report, kwargs={"team": 7}, cron="0 8 * * MON", tz="Europe/Berlin")
    schedules.pause("reports.weekly")
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from msgspec import Struct
from msgspec.structs import replace

from s3queue.config import Config, current_config, current_store
from s3queue.core import operate
from s3queue.core.declare import set_schedule
from s3queue.core.keys import PRIORITIES, Layout, check_name
from s3queue.core.operate import Edit
from s3queue.core.ops import Unknown, get
from s3queue.core.plan.schedules import next_tick as next_of
from s3queue.core.records import TICK, Control, Request, Schedule, Ticked, decode
from s3queue.errors import ConfigError, StoreUnavailable
from s3queue.io.drive import Driver
from s3queue.io.meter import Meter
from s3queue.operate.operation import Operation
from s3queue.options.timetable import next_tick
from s3queue.options.timing import CatchUp, schedule_of, timing_of
from s3queue.payloads.codec import encode_value
from s3queue.store import Found, ObjectStore, as_store
from s3queue.tasks import Task

__all__ = ["ScheduleInfo", "Schedules"]


#: Years that a schedule may start from, or be paused until: those that records hold, and that clocks of all time zones can
#: show.
_FIRST_YEAR, _LAST_YEAR = 1969, 9999


class ScheduleInfo(Struct, frozen=True):
    """One schedule as it stands.

    Attributes:
        task: empty if the queue's handler gets a payload.
        priority: 0 goes first, 9 last.
        cron, tz: the expression and its time zone; empty for an interval.
        every: the interval in seconds; 0 for an expression.
        declared: whether the code of a task declares it; otherwise an operator has set it.
        paused: whether it is paused now.
        until: when it resumes by itself; None: it does not.
        last: the last tick that enqueued a message; None: no tick did yet.
        next: the next tick; None: it is paused until somebody resumes it, or never ticks again.
    """

    name: str
    queue: str
    task: str
    priority: int
    cron: str
    tz: str
    every: int
    catch_up: str
    declared: bool
    paused: bool
    until: datetime | None
    last: datetime | None
    next: datetime | None


class Schedules:
    """The schedules of a namespace. Cheap to make; safe to use from many threads.

    Args:
        store, namespace, config: as of `Queue`.

    Attributes:
        meter: counts the requests that this object made.
    """

    def __init__(
        self,
        store: ObjectStore | str | None = None,
        *,
        namespace: str | None = None,
        config: Config | None = None,
    ) -> None:
        self.config = config or current_config()
        self.store = current_store() if store is None else as_store(store)
        self.layout = Layout(check_name(namespace or self.config.namespace, "namespace"))
        self.meter = Meter()
        self._driver = Driver(self.store, self.meter, patience_s=self.config.enqueue_deadline)

    def __repr__(self) -> str:
        return f"<schedules on {self.store.url}>"

    # ---- look ----------------------------------------------------------------------------------------------

    def all(self) -> list[ScheduleInfo]:
        """Every schedule, by name. Two GETs."""
        control = self._control()
        board = Operation(self.store, self.layout, self._driver).look()
        ticked: Mapping[str, Ticked] = board.schedules if board is not None else {}
        now_ms = time.time_ns() // 1_000_000
        return [_info(name, one, ticked.get(name), now_ms) for name, one in sorted(control.schedules.items())]

    def get(self, name: str) -> ScheduleInfo | None:
        """One of them; None: there is none of that name. Two GETs."""
        return next((one for one in self.all() if one.name == name), None)

    # ---- change --------------------------------------------------------------------------------------------

    def set(
        self,
        name: str,
        target: Task[..., Any] | str,
        *,
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
        payload: Any = None,
        cron: str | None = None,
        every: float | timedelta | None = None,
        tz: str | None = None,
        catch_up: CatchUp | None = None,
        priority: int = 5,
        since: datetime | None = None,
        exact: bool = True,
    ) -> None:
        """Create this schedule, or replace the one of this name. A declaration of this name in code no longer applies.

        It continues after the last tick of the schedule that it replaces, and stays paused if that was. A new schedule
        begins with the first tick after now.

        Args:
            name: letters, digits, ``_ . -``. A task's own is ``queue.task``.
            target: a task, which is called with ``args`` and ``kwargs``; or the name of a queue, whose handler gets
                ``payload``.
            cron, every, tz, catch_up: as of `s3queue.task`.
            priority: 0 goes first, 9 last.
            since: continue from this time instead, even if later ticks have run. For use after a coordinator's clock was
                ahead, or with ``catch_up="all"`` to make up for ticks. With a time zone.
            exact: as of `s3queue.tasks.Task.encode`.

        Raises:
            ConfigError: an argument is wrong; nothing was sent.
            StoreUnavailable: no answer; it may or may not stand.

        Asks: two PUTs and one GET, and as many again for each change of others in between.
        """
        check_name(name, "schedule")
        timing = timing_of(cron, every, tz, catch_up, f"schedule {name!r}")
        if type(priority) is not int or priority not in PRIORITIES:
            raise ConfigError(f"priority is {priority!r}", "0 goes first, 9 goes last")
        since_ms = 0 if since is None else _ms(since, "since")
        if isinstance(target, str):
            if args or kwargs:
                raise ConfigError("a queue's handler takes one payload", "payload=, or a task with args= and kwargs=")
            queue, task, encoded = check_name(target), "", encode_value(payload, f"payload of schedule {name!r}")
        else:
            queue, task, encoded = target.queue, target.name, target.encode(args, kwargs or {}, exact=exact)
        one = schedule_of(name, queue, task, encoded, timing, priority=priority, since_ms=since_ms)
        outcome = self._driver.run(set_schedule(self.layout, one, secrets.token_hex(8)))
        self._changed(outcome)

    def pause(self, name: str, *, until: datetime | None = None) -> None:
        """Pause it: its ticks are skipped, and not made up for. A start of hosts that declare it leaves it paused.

        Args:
            until: resume by itself then; with a time zone.

        Raises:
            ConfigError: no schedule has this name, or ``until`` is no time to come.
            StoreUnavailable: no answer; it may or may not be paused.

        Asks: one GET and one PUT.
        """
        until_ms = 0 if until is None else _ms(until, "until")
        if until_ms and until_ms <= time.time() * 1000:
            raise ConfigError(f"until is {until}, which has passed", "a time to come")
        self._edit(name, lambda schedule: replace(schedule, paused_ms=until_ms))

    def resume(self, name: str) -> None:
        """Resume it: it ticks again, from now on. Raises, asks: as `pause`."""
        now_ms = time.time_ns() // 1_000_000
        self._edit(
            name,
            lambda one: one if one.paused_ms is None else replace(one, paused_ms=None, from_ms=now_ms),
        )

    def remove(self, name: str) -> None:
        """Remove it. Messages of past ticks still run. If code declares it, it returns when a host starts.

        Raises, asks: as `pause`.
        """
        self._edit(name, lambda schedule: None)

    def run(self, name: str, *, wait: bool = True, timeout: float = 60.0) -> str:
        """Enqueue its message once more, now, beside its ticks; also while it is paused.

        Args:
            wait: wait for the answer of the coordinator.
            timeout: seconds to wait.

        Returns:
            ``ready``: the message is enqueued. ``absent``: there is no such schedule. Empty without ``wait``.

        Raises:
            ConfigError: the name cannot be that of a schedule, or ``timeout`` is out of range.
            StoreUnavailable: no answer of the store; the request may or may not be stored.
            TimeoutError: no answer of the coordinator yet. The request stands.

        Asks: one PUT, and one GET for each look at the answer.
        """
        request = Request(secrets.token_hex(8), TICK, check_name(name, "schedule"))
        operation = Operation(self.store, self.layout, self._driver)
        return operation.ask(request, wait, timeout, self.config.enqueue_deadline)

    # ---- the control ---------------------------------------------------------------------------------------

    def _control(self) -> Control:
        key = self.layout.control
        found = self._driver.run(get(key))
        return decode(Control, key, found.body) if isinstance(found, Found) else Control("")

    def _edit(self, name: str, edit: Callable[[Schedule], Schedule | None]) -> None:
        check_name(name, "schedule")
        known: list[bool] = []

        def change(control: Control) -> Control:
            known.append(name in control.schedules)
            if not known[-1]:
                return control
            after = edit(control.schedules[name])
            schedules = dict(control.schedules)
            if after is None:
                del schedules[name]
            else:
                schedules[name] = after
            return replace(control, schedules=schedules)

        typed: Edit = change
        outcome = self._driver.run(operate.change(self.layout, typed, secrets.token_hex(8)))
        if not known[-1]:
            raise ConfigError(f"no schedule {name!r}", "s3queue cron ls shows them")
        self._changed(outcome)

    def _changed(self, outcome: Control | Unknown) -> None:
        if isinstance(outcome, Unknown):
            raise StoreUnavailable("put", self.layout.control, "no answer; the change may or may not take effect")
        Operation(self.store, self.layout, self._driver).wake()


def _info(name: str, one: Schedule, ticked: Ticked | None, now_ms: int) -> ScheduleInfo:
    paused = one.is_paused(now_ms)
    following = None
    if one.is_known and not (paused and one.paused_ms == 0):
        last_ms = ticked.last_ms if ticked is not None and ticked.revision == one.revision else 0
        following = next_of(one, max(last_ms, one.from_ms, one.paused_ms or 0, now_ms), next_tick)
    return ScheduleInfo(
        name=name,
        queue=one.queue,
        task=one.task,
        priority=one.priority,
        cron=one.cron,
        tz=one.tz,
        every=one.every_s,
        catch_up=one.catch_up,
        declared=bool(one.digest),
        paused=paused,
        until=_at(one.paused_ms) if paused and one.paused_ms else None,
        last=_at(ticked.ran_ms) if ticked is not None and ticked.ran_ms else None,
        next=None if following is None else _at(following),
    )


def _at(ms: int) -> datetime:
    return datetime.fromtimestamp(ms / 1000, UTC)


def _ms(at: datetime, what: str) -> int:
    if not isinstance(at, datetime) or at.tzinfo is None:
        raise ConfigError(f"{what} is {at!r}", "a datetime with a time zone, for example datetime.now(UTC)")
    if not _FIRST_YEAR < at.year < _LAST_YEAR:
        raise ConfigError(f"{what} is {at}", f"from {_FIRST_YEAR + 1} to {_LAST_YEAR - 1}")
    return int(at.timestamp() * 1000)
