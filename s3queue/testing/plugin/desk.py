"""The fixture of a test: a queue in memory, its clock, and the outcomes of messages."""

from __future__ import annotations

import asyncio
import inspect
import math
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from time import sleep
from typing import Any, ParamSpec, overload

from msgspec import Struct
from s3queue_backends.memory import MemoryStore

from s3queue.config import Config
from s3queue.core.keys import parse_source
from s3queue.errors import ConfigError
from s3queue.operate.letters import DeadLetter
from s3queue.operate.looking import QueuedMessage
from s3queue.operate.views import decode_payload
from s3queue.queue import Queue
from s3queue.registry import Registry, registry
from s3queue.tasks import Task
from s3queue.testing.plugin.clock import VirtualClock, shown_to_producers
from s3queue.testing.plugin.crashes import Crash
from s3queue.testing.plugin.host import LocalHost

__all__ = ["Drained", "TaskQueue"]

P = ParamSpec("P")

#: Characters of the last error of a dead letter that an assertion shows.
_TEXT = 3000
#: Seconds between two looks of a thread that waits while another one runs messages.
_GLANCE_S = 0.001
#: Seconds for which a drain waits for another thread that runs messages.
_PATIENCE_S = 5.0


class Drained(Struct, frozen=True):
    """The result of a `TaskQueue.drain`.

    Attributes:
        done: number of messages that ended well.
        dead: letters of messages that died.
        crashed: ids of messages whose process the test ended; they have run again.
    """

    done: int
    dead: tuple[DeadLetter, ...]
    crashed: tuple[str, ...] = ()

    def check(self) -> Drained:
        """Raise `AssertionError`, with the errors, if a message is dead."""
        if self.dead:
            told = "\n\n".join(_told(letter) for letter in self.dead)
            raise AssertionError(f"{_messages(len(self.dead))} dead:\n\n{told}")
        return self


class TaskQueue:
    """A queue in memory, with a host in this thread. From the fixture ``task_queue``.

    Attributes:
        store: an object store in memory: the store of this process during the test.
        clock: its `VirtualClock`.
    """

    def __init__(self, config: Config, tasks: Registry = registry, crash: str | None = None) -> None:
        self.config, self._tasks, self._crash = config, tasks, crash
        self.store = MemoryStore()
        self.clock = VirtualClock()
        self._host: LocalHost | None = None
        self._timed = False
        #: The lock of the thread that runs messages, and the number of that thread.
        self._running, self._runs_in = threading.Lock(), 0

    # ---- run -----------------------------------------------------------------------------------------------

    def drain(self, *, crash: str | None = None) -> Drained:
        """Run every message in this thread until none is left, also those that are delayed or wait for another attempt:
        their time passes at once. Schedules tick only from the first `advance` on.

        Args:
            crash: end the process of each message once, and run it again: ``end``: when its task has returned; or the
                import path of a function, such as ``shop.charge``: when that has returned. By default as
                ``--s3queue-crash`` says; empty: never.

        Raises:
            Stuck: messages are left that cannot run, for example because no task fits them.
            ConfigError: there is no task; the queue is draining already; or there is no function at ``crash``.
        """
        return self._run(crash, lambda host: host.pass_until(None, ticks=False))

    async def adrain(self, *, crash: str | None = None) -> Drained:
        """As `drain`, in a thread, for tests on an event loop."""
        return await asyncio.to_thread(self.drain, crash=crash)

    def run_ready(self, *, crash: str | None = None) -> Drained:
        """As `drain`, but no time passes: messages that are delayed or wait stay."""
        return self._run(crash, lambda host: host.settle())

    def advance(self, time: float | timedelta, *, crash: str | None = None) -> Drained:
        """Let time pass, and run everything that becomes due in it, in order: delays, retries, expiry, schedules.

        Args:
            time: seconds, or a `timedelta`; at least 0.
            crash: as of `drain`.

        Raises:
            Stuck, ConfigError: as `drain`; or ``time`` is out of range.
        """
        seconds = time.total_seconds() if isinstance(time, timedelta) else time
        if not isinstance(seconds, int | float) or not 0 <= seconds < math.inf:
            raise ConfigError(f"time is {time!r}", "seconds or a timedelta; it does not go back")
        until_ms = self.clock.wall_ms() + int(seconds * 1000)
        self._timed = True
        return self._run(crash, lambda host: host.pass_until(until_ms, ticks=True))

    def _run(self, crash: str | None, what: Callable[[LocalHost], object]) -> Drained:
        mine = self._runs_in == threading.get_ident()
        if mine or not self._running.acquire(timeout=_PATIENCE_S):  # another thread may be waiting for a result
            raise ConfigError("the queue is draining already", "a task cannot drain the queue that runs it")
        try:
            self._runs_in = threading.get_ident()
            return self._run_alone(crash, what)
        finally:
            self._runs_in = 0
            self._running.release()

    def _run_alone(self, crash: str | None, what: Callable[[LocalHost], object]) -> Drained:
        host = self.host()
        point = self._crash if crash is None else crash
        host.crash = Crash(point) if point else None
        before = len(host.settled)
        try:
            if host.crash is None:
                what(host)
            else:
                with host.crash.armed(host.running):
                    what(host)
        finally:
            crashed = tuple(host.crash.messages) if host.crash is not None else ()
            host.crash = None
        new = host.settled[before:]
        done = sum(one.stop - one.start for one in new if one.outcome == "done")
        died = {
            host.layout.message_id(one.source, index)
            for one in new
            if one.outcome == "dead"
            for index in range(one.start, one.stop)
        }
        dead = tuple(letter for letter in self.dead() if letter.id in died) if died else ()
        return Drained(done, dead, crashed)

    def host(self) -> LocalHost:
        """The host, which knows the tasks that are registered now. Raises `ConfigError`: there is no task."""
        known = self._tasks.queues()
        if not known:
            raise ConfigError("there is no task", "import the module that defines the tasks")
        if self._host is None or self._host.queues != known or self._host.timed != self._timed:
            if self._host is not None:
                self._host.leave()
            self._host = LocalHost(self.store, self.config, self._tasks, self.clock, timed=self._timed)
        return self._host

    # ---- look ----------------------------------------------------------------------------------------------

    def enqueued(self, task: Task[..., Any] | str | None = None) -> list[QueuedMessage]:
        """The messages that have not ended, in the order in which they are to start; see `s3queue.Queue.messages`.

        Args:
            task: only messages of this task, or of the queue with this name.
        """
        found: list[QueuedMessage] = []
        for name in self._queues(task):
            messages = Queue(name, self.store).messages()
            found += [one for one in messages if not isinstance(task, Task) or one.task == task.name]
        return found

    def dead(self, task: Task[..., Any] | str | None = None) -> list[DeadLetter]:
        """The dead letters, in the order in which their messages were sent.

        Args:
            task: as of `enqueued`.
        """
        letters = [letter for name in self._queues(task) for letter in Queue(name, self.store).dead_letters()]
        return [one for one in letters if not isinstance(task, Task) or one.task == task.name]

    def _queues(self, task: Task[..., Any] | str | None) -> list[str]:
        if isinstance(task, str):
            return [task]
        if task is not None:
            return [task.queue]
        layout = Queue("any", self.store).layout
        meta = layout.meta("any").removesuffix("any")
        return sorted({*self._tasks.queues(), *(item.key.removeprefix(meta) for item in self.store.list(meta))})

    # ---- assert --------------------------------------------------------------------------------------------

    @overload
    def assert_enqueued(self, task: Task[..., object], /) -> QueuedMessage: ...
    @overload
    def assert_enqueued(self, task: Task[P, object], /, *args: P.args, **kwargs: P.kwargs) -> QueuedMessage: ...
    def assert_enqueued(self, task: Task[..., object], /, *args: Any, **kwargs: Any) -> QueuedMessage:
        """Fail unless exactly one message of this task with these arguments has not ended. Without arguments: any message
        of the task. Returns the message, or the first one."""
        __tracebackhide__ = True
        of_it = self.enqueued(task)
        if not args and not kwargs:
            if not of_it:
                raise AssertionError(f"no message of {task.label} is enqueued{self._instead()}")
            return of_it[0]
        wanted = _arguments(task, args, kwargs)
        found = [one for one in of_it if one.payload == wanted]
        if len(found) != 1:
            many = "no message" if not found else f"{len(found)} messages"
            raise AssertionError(f"{many} of {task.label} with {wanted!r}{self._instead()}")
        return found[0]

    def assert_not_enqueued(self, task: Task[..., Any] | None = None) -> None:
        """Fail if a message is left to run, or a message of this task."""
        __tracebackhide__ = True
        if self.enqueued(task):
            what = "" if task is None else f" of {task.label}"
            raise AssertionError(f"messages{what} are enqueued{self._instead()}")

    def assert_no_dead(self) -> None:
        """Fail, with the errors, if a message has died."""
        __tracebackhide__ = True
        Drained(0, tuple(self.dead())).check()

    def _instead(self) -> str:
        there = [f"  {_label(one)} {one.payload!r} ({one.state})" for one in self.enqueued()]
        return "; there are:\n" + "\n".join(there) if there else "; nothing is"

    # ---- for the fixture -----------------------------------------------------------------------------------

    @contextmanager
    def shown(self) -> Iterator[None]:
        """In the block producers, operators and readers of this process go by this clock. Waiting for a coordinator
        runs it."""
        with shown_to_producers(self.clock, self._wait):
            yield

    def _wait(self, seconds: float) -> None:
        """Takes the place of sleeping for callers that wait for a coordinator, or for the end of a message."""
        if self._runs_in == threading.get_ident():  # a task waits
            self.clock.jump(seconds)
        elif self._running.acquire(blocking=False):
            try:
                self._runs_in = threading.get_ident()
                self._run_alone(None, lambda host: host.settle())
                self.clock.jump(seconds)
            finally:
                self._runs_in = 0
                self._running.release()
        else:
            sleep(_GLANCE_S)  # another thread runs messages: they may bring what is waited for


def _arguments(task: Task[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    inspect.signature(task.function)
    return decode_payload("", bytes(task.encode(args, kwargs)))


def _label(one: QueuedMessage) -> str:
    return f"{one.queue}:{one.task}" if one.task else one.queue


def _messages(many: int) -> str:
    return "1 message is" if many == 1 else f"{many} messages are"


def _told(letter: DeadLetter) -> str:
    last = letter.failures[-1] if letter.failures else None
    why = "" if last is None else f"{last.cause}, attempt {last.attempt}\n{last.text[-_TEXT:]}"
    queue = parse_source(letter.id.split("~", 1)[1].rpartition("~")[0].replace("~", "/")).queue
    return f"{queue}:{letter.task}  {letter.id}\n{why}"
