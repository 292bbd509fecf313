"""A host in the thread of a test: the production agent and slots, without processes, sockets and waiting.

The programs of `s3queue.core.agent` take turns. If all of them wait and there is work, the clock jumps to the next time
for which one of them waits. A worker is a `Slots` of one slot that is served in this thread: so patches of a test reach
the task, and the production code catches exceptions of the task.
"""

from __future__ import annotations

import secrets
import threading
from collections.abc import Callable
from typing import Any

from s3queue.config import Config
from s3queue.core import agent as core
from s3queue.core.chores import CHORES_AT_ONCE
from s3queue.core.keys import Layout, parse_source
from s3queue.core.ledger import Host
from s3queue.core.ops import Program
from s3queue.core.pacing import Pace
from s3queue.core.plan import Settled
from s3queue.core.plan.schedules import next_tick as next_of
from s3queue.core.records import Board, Control, Leader, Place, decode
from s3queue.errors import CorruptRecord
from s3queue.io.drive import Driver
from s3queue.observe.events import Events
from s3queue.options.timetable import next_tick
from s3queue.options.timing import declared
from s3queue.registry import Registry
from s3queue.runtime.agent.dealing import Dealer
from s3queue.runtime.agent.environment import plan_settings
from s3queue.runtime.agent.seats import Seats, WorkerDeath
from s3queue.runtime.local.journal import Journal
from s3queue.runtime.local.wire import Died, Hello, Note
from s3queue.store import Found, ObjectStore
from s3queue.testing.plugin.clock import VirtualClock
from s3queue.testing.plugin.crashes import Crash, Crashed
from s3queue.testing.plugin.programs import Running
from s3queue.testing.plugin.worker import Link, Worker
from s3queue.testing.surroundings import Alone, Pacing

#: Seconds of silence after which a session would be fenced, and a leader replaced: never, however far the clock jumps.
_PATIENCE_S = 8_000_000.0
#: Never waits where a test would wait.
_PACING = Pacing("latency", 0.5, 0.01, _PATIENCE_S, _PATIENCE_S)
#: Seconds of one jump, at most, so that hosts write in between.
_LONGEST_JUMP_S = 1_000_000.0
#: Jumps in a row without progress after which a drain fails.
_MOST_JUMPS = 2_000


class Stuck(AssertionError):
    """Messages are left that cannot run, however much time passes."""


class LocalHost:
    """A host without processes.

    Args:
        tasks: that it knows.
        timed: whether it declares their schedules.

    Attributes:
        settled: what the board has settled, in order.
        crash: the point at which processes end; None: nowhere.
    """

    def __init__(
        self, store: ObjectStore, config: Config, tasks: Registry, clock: VirtualClock, *, timed: bool
    ) -> None:
        self.timed = timed
        self.store, self.config, self.tasks, self.clock = store, config, tasks, clock
        self.layout = Layout(config.namespace)
        self.queues = tasks.queues()
        self.driver = Driver(store)
        self.settled: list[Settled] = []
        self.crash: Crash | None = None
        self.env = _Environment(clock, self.settled)
        self._journal = Journal(bytearray(Journal.size(1, 1)), 1, 1)
        self._journal.trust_until = float("inf")
        host = Host(
            self.layout, f"test-{secrets.token_hex(4)}", 1, {queue: tasks.offer(queue) for queue in self.queues}
        )
        self._dealer = Dealer(host, [self._journal.worker(0)], 1, config.max_messages)
        settings = plan_settings(config, store.capabilities)
        self._agent = core.Agent(
            self.layout,
            host,
            self._dealer,
            Pace(_PACING, store.capabilities),
            settings._replace(
                visibility_timeout=_PATIENCE_S,
                leader_lease=_PATIENCE_S,
                ack_s=0.0,
                summary_s=float("inf"),
                idle_lease=0.0,
            ),
            self.env,
            Leader(host.session),
            core.Terms(declared=declared(tasks, self.queues) if timed else ()),
        )
        self._seats = Seats(
            self._dealer,
            later=self._later,
            now_ms=clock.wall_ms,
            freed=self._seat_freed,
            leaving=lambda worker, why: None,
            warn=self.env.warn,
        )
        self._timers: list[tuple[float, Callable[[], None]]] = []
        self._pid = 0
        #: Number of the thread in which tasks run.
        self.thread = 0
        self._worker = self._new_worker()
        self._programs: list[Running] = [Running(self._live())]
        self._programs.append(Running(self._agent.coordinate()))
        self._programs += [Running(self._agent.do_chores(number)) for number in range(CHORES_AT_ONCE)]

    def running(self) -> str | None:
        """The message whose attempt the calling code is part of; None: no attempt."""
        found = self._worker.attempts.running()
        return None if found is None else str(found["message_id"])

    def leave(self) -> None:
        """Leave the namespace, so that the next host can lead."""
        self._agent.drain()
        for _ in range(100):
            if not self._turn():
                self._jump_to(min(one.until for one in self._programs), wake=False)
            if self._programs[0].is_over:
                break
        Running(self._agent.hand_over()).run(self.driver, self.clock)

    # ---- turns ---------------------------------------------------------------------------------------------

    def settle(self) -> None:
        """Run everything that can run now, until it has ended. No time passes for messages that are due later.

        Raises:
            Stuck: messages are left that cannot run.
        """
        self._wake()
        jumps, before = 0, (-1, -1)
        while True:
            moved = True
            while moved:
                moved = self._turn()
            if not self._has_work():
                return
            now = len(self.settled), self._worker.ran
            jumps, before = (jumps + 1, before) if now == before else (0, now)
            if jumps > _MOST_JUMPS:
                raise Stuck("messages are left that cannot run; `task_queue.enqueued()` shows them")
            self._jump_to(min(one.until for one in self._programs), wake=False)

    def pass_until(self, until_ms: int | None, *, ticks: bool) -> None:
        """Let time pass, and run everything as it becomes due.

        Args:
            until_ms: wall clock in milliseconds; None: until nothing is due any more.
            ticks: whether schedules tick.
        """
        self.settle()
        while True:
            due = self._next_due(ticks=ticks)
            if due is None or (until_ms is not None and due > until_ms):
                break
            self._pass_to(due)
        if until_ms is not None:
            self._pass_to(until_ms)

    def _pass_to(self, at_ms: int) -> None:
        while (ahead_s := (at_ms - self.clock.wall_ms()) / 1000) > 0:
            self.clock.jump(min(ahead_s + 0.001, _LONGEST_JUMP_S))
            self.settle()
        self.settle()

    def _turn(self) -> bool:
        """Give each program a turn. Returns whether one of them moved."""
        moved = False
        now = self.clock.steady()
        for timer in [timer for timer in self._timers if timer[0] <= now]:
            self._timers.remove(timer)
            timer[1]()
            moved = True
        for program in self._programs:
            moved |= program.run(self.driver, self.clock)
        if self._worker.line:
            self._work()
            moved = True
        return moved

    def _work(self) -> None:
        self.thread = threading.get_ident()
        try:
            self._worker.work()
        except Crashed as crashed:
            link, pid = self._worker.link, self._pid
            self._worker.alive = False
            self._seats.hung_up(link)
            self._seats.died(Died(0, pid, "killed", str(crashed), ()))
        self._agent.heard()

    def _wake(self) -> None:
        self._agent.look()
        self._agent.wake()
        self._agent.heard()

    def _jump_to(self, until: float, *, wake: bool) -> None:
        until = min([until, *(at for at, _ in self._timers)])
        self.clock.jump(min(until - self.clock.steady(), _LONGEST_JUMP_S))
        if wake:
            self._wake()

    def _later(self, seconds: float, call: Callable[[], None]) -> None:
        self._timers.append((self.clock.steady() + seconds, call))

    def _live(self) -> Program[None]:
        yield from self._agent.join()
        self._seats.heard(self._worker.link, Hello(0, self._pid))
        yield from self._agent.serve()

    # ---- what there is to do -------------------------------------------------------------------------------

    def _has_work(self) -> bool:
        """Whether something can be done now."""
        board, lead = self._agent.view.board, self._agent.lead
        if lead is None or board is None or self._dealer.unfinished or self._dealer.pooled:
            return True
        if board.tickets or board.answers or board.purges:
            return True
        control, now_ms = lead.control, self.clock.wall_ms()
        if control is None or control.schedules.keys() - board.schedules.keys():
            return True
        if board.control < self._control().turn:  # what was resumed is no work before
            return True
        held = {queue for queue in self.queues if control.holds(queue, now_ms)}
        for path, state in board.sources.items():
            can_run = parse_source(path).queue in self.queues and parse_source(path).queue not in held
            unfit = sum(one.stop - one.start for one in state.unfit)
            ready = sum(one.stop - one.start for one in state.ready)
            if state.dying or (can_run and ready > unfit):
                return True
        for item in self.driver.store.list(self.layout.home):
            path = self.layout.path(item.key)
            try:
                source = parse_source(path)
            except CorruptRecord:
                if item.key.startswith(self.layout.requests):
                    return True
                continue
            is_due = source.due_ms is None or source.due_ms <= now_ms
            if is_due and path not in board.sources and source.queue in self.queues and source.queue not in held:
                return True
        return False

    def _next_due(self, *, ticks: bool) -> int | None:
        """When the next message is due, and with ``ticks`` the next tick (wall clock in milliseconds); None: never."""
        board = self._agent.view.board or Board("", 0)
        due = [
            waits.due_ms
            for path, state in board.sources.items()
            if parse_source(path).queue in self.queues
            for waits in state.waiting
        ]
        for item in self.driver.store.list(self.layout.later):
            source = parse_source(self.layout.path(item.key))
            if source.due_ms is not None and source.queue in self.queues and source.path not in board.sources:
                due.append(source.due_ms)
        control, now_ms = self._control(), self.clock.wall_ms()
        due += [until_ms for pauses in (control.paused, *control.paused_tasks.values()) for until_ms in pauses.values()]
        for name, schedule in control.schedules.items() if ticks else ():
            ticked = board.schedules.get(name)
            if ticked is not None and schedule.paused_ms != 0:
                after_ms = max(ticked.last_ms, schedule.from_ms, schedule.paused_ms or 0)
                due += [tick for tick in [next_of(schedule, after_ms, next_tick)] if tick is not None]
        return min((at for at in due if at > now_ms), default=None)

    def _control(self) -> Control:
        """As it is stored now."""
        found = self.driver.store.get(self.layout.control)
        return decode(Control, self.layout.control, found.body) if isinstance(found, Found) else Control("")

    # ---- the worker ----------------------------------------------------------------------------------------

    def _new_worker(self) -> Worker:
        self._pid += 1
        self._journal.worker(0).reset()
        return Worker(self, self._journal, self._agent.host.session, self._tell)

    def _tell(self, link: Link, note: Note) -> None:
        self._seats.heard(link, note)

    def _seat_freed(self, it: WorkerDeath) -> None:
        for kind, fields in it.events():
            self.env.events.emit(kind, **fields)
        self._worker = self._new_worker()
        self._seats.heard(self._worker.link, Hello(0, self._pid))


class _Environment(Alone):
    """Passes events to the test, and raises faults."""

    def __init__(self, clock: VirtualClock, settled: list[Settled]) -> None:
        self._clock, self._settled = clock, settled
        self.events = Events("agent", None)
        self.now, self.now_ms = clock.steady, clock.wall_ms

    @staticmethod
    def nonce() -> str:
        return secrets.token_hex(8)

    def is_gone(self, session: str, place: Place) -> bool:
        return False

    def is_local(self, place: Place) -> bool:
        return True

    def wants(self, kind: str) -> bool:
        return kind == "settled" or self.events.wants(kind)

    def emit(self, kind: str, **fields: Any) -> None:
        if kind == "settled":
            self._settled.append(Settled(**fields))
        elif self.events.wants(kind):
            self.events.emit(kind, **fields)

    def warn(self, key: str, text: str) -> None:
        self.events.warn(key, text)

    def fault(self, what: str, fault: Exception) -> None:
        raise fault
