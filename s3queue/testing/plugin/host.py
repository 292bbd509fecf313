"""A host in the thread of a test: the production agent and slots, without processes, sockets and waiting.

The programs of `s3queue.core.agent` take turns. Where all of them wait, and there is work, the clock jumps to the first
time that one waits for. A worker is a `Slots` of one slot that is served in this thread, so what a test has patched
reaches the task, and what the task raises is caught by the production code.
"""

from __future__ import annotations

import secrets
import threading
from collections.abc import Callable, Collection, Iterable
from queue import SimpleQueue
from typing import Any

from s3queue.config import Config
from s3queue.core import agent as core
from s3queue.core.bodies import batch_in, with_payload
from s3queue.core.chores import CHORES_AT_ONCE
from s3queue.core.keys import Layout, parse_source
from s3queue.core.ledger import Host
from s3queue.core.ops import Get, Program, Wait
from s3queue.core.pacing import Pace
from s3queue.core.plan import Settled
from s3queue.core.plan.schedules import next_tick as next_of
from s3queue.core.records import About, Board, Control, Failed, Leader, Place, Usage, decode
from s3queue.errors import CorruptRecord
from s3queue.observe.events import Events
from s3queue.options.timetable import next_tick
from s3queue.options.timing import declared
from s3queue.payloads.lazy import refuse_lazy
from s3queue.registry import Registry
from s3queue.runtime.agent.dealing import Dealer
from s3queue.runtime.agent.environment import plan_settings
from s3queue.runtime.agent.seats import Seats, WorkerDeath
from s3queue.runtime.drive import Driver
from s3queue.runtime.local.journal import Journal
from s3queue.runtime.local.wire import Cancel, Deal, Died, Hello, Interrupt, Note, Recall, Returned
from s3queue.runtime.worker import attempt
from s3queue.runtime.worker.attempt import Attempts
from s3queue.runtime.worker.batches import Member
from s3queue.runtime.worker.dealt import Body, Dealt, Item, Piece
from s3queue.runtime.worker.loop import TaskLoop
from s3queue.runtime.worker.notes import Notes
from s3queue.runtime.worker.plans import Plan
from s3queue.runtime.worker.results import Results
from s3queue.runtime.worker.slots import Slots
from s3queue.store import Found, ObjectStore
from s3queue.testing.plugin.clock import VirtualClock
from s3queue.testing.plugin.crashes import Crash, Crashed

#: Seconds of silence after which a session would be fenced, and a leader replaced: never, however far the clock jumps.
_PATIENCE_S = 8_000_000.0
#: Seconds of one jump at most: some writes come between two.
_LONGEST_JUMP_S = 1_000_000.0
#: Jumps in a row after which work that does not get on is given up.
_MOST_JUMPS = 2_000

_loop: list[TaskLoop] = []


class Stuck(AssertionError):
    """Messages are left that do not get on, whatever time passes."""


class LocalHost:
    """
    Args:
        tasks: what it knows.
        timed: whether it declares their schedules.

    Attributes:
        settled: what the board has settled, in order.
        crash: where the process is to end; None: nowhere.
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
            Pace(_Pacing(), store.capabilities),
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
        #: In which tasks run.
        self.thread = 0
        self._worker = self._new_worker()
        self._programs: list[_Running] = [_Running(self._live())]
        self._programs.append(_Running(self._agent.coordinate()))
        self._programs += [_Running(self._agent.do_chores(number)) for number in range(CHORES_AT_ONCE)]

    def running(self) -> str | None:
        """The message that the caller's code belongs to."""
        found = self._worker.attempts.running()
        return None if found is None else str(found["message_id"])

    def leave(self) -> None:
        """Give the board to the next one."""
        self._agent.drain()
        for _ in range(100):
            if not self._turn():
                self._jump_to(min(one.until for one in self._programs), wake=False)
            if self._programs[0].is_over:
                break
        _Running(self._agent.hand_over()).run(self.driver, self.clock)

    # ---- turns ---------------------------------------------------------------------------------------------

    def settle(self) -> None:
        """Run what can run now, until it has ended; without letting time pass for what is due later.

        Raises:
            Stuck: something does not get on.
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
                raise Stuck("messages are left that do not get on; `enqueued()` shows them")
            self._jump_to(min(one.until for one in self._programs), wake=False)

    def pass_until(self, until_ms: int | None, *, ticks: bool) -> None:
        """Let time pass, and run everything as it becomes due.

        Args:
            until_ms: how far (wall clock); None: until nothing is due any more.
            ticks: of schedules, too.
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
        """Returns whether anything has moved."""
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
        """Whether anything is to be done now."""
        board, lead = self._agent.view.board, self._agent.lead
        if lead is None or board is None or self._dealer.unfinished or self._dealer.pooled:
            return True
        if board.tickets or board.answers or board.purges:
            return True
        control, now_ms = lead.control, self.clock.wall_ms()
        if control is None or control.schedules.keys() - board.schedules.keys():
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
        """When the next message is due (wall clock), and with ``ticks`` the next tick."""
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
        found = self.driver.store.get(self.layout.control)
        control = decode(Control, self.layout.control, found.body) if isinstance(found, Found) else Control("")
        now_ms = self.clock.wall_ms()
        due += [until_ms for queue, until_ms in control.paused.items() if until_ms > now_ms]
        for name, schedule in control.schedules.items() if ticks else ():
            ticked = board.schedules.get(name)
            if ticked is not None and schedule.paused_ms != 0:
                after_ms = max(ticked.last_ms, schedule.from_ms, schedule.paused_ms or 0)
                due += [tick for tick in [next_of(schedule, after_ms, next_tick)] if tick is not None]
        return min((at for at in due if at > now_ms), default=None)

    # ---- the worker ----------------------------------------------------------------------------------------

    def _new_worker(self) -> _Worker:
        self._pid += 1
        self._journal.worker(0).reset()
        return _Worker(self, self._journal, self._agent.host.session, self._tell)

    def _tell(self, link: _Link, note: Note) -> None:
        self._seats.heard(link, note)

    def _seat_freed(self, it: WorkerDeath) -> None:
        for kind, fields in it.events():
            self.env.events.emit(kind, **fields)
        self._worker = self._new_worker()
        self._seats.heard(self._worker.link, Hello(0, self._pid))


class _Running:
    """A program, and what it waits for."""

    def __init__(self, program: Program[Any]) -> None:
        self._program = program
        self._wait: Wait | None = None
        self._begun = False
        self.is_over = False

    @property
    def until(self) -> float:
        return float("inf") if self._wait is None or self.is_over else self._wait.until

    def run(self, driver: Driver, clock: VirtualClock) -> bool:
        """Run to the next wait. Returns whether it could."""
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


class _Link:
    """The connection of the worker to its agent."""

    def __init__(self, worker: _Worker) -> None:
        self._worker = worker

    def send(self, note: Note) -> None:
        self._worker.receive(note)

    def close(self) -> None:
        self._worker.alive = False


class _Worker:
    def __init__(self, host: LocalHost, journal: Journal, session: str, tell: Callable[[Any, Note], None]) -> None:
        self._host, self._tell_agent = host, tell
        self.alive, self.ran = True, 0
        self.line: list[Item] = []
        self.link = _Link(self)
        self._ready: SimpleQueue[Item | None] = SimpleQueue()
        self._row = journal.worker(0)
        self._live: dict[int, Dealt] = {}
        self._cancelled = threading.Event()
        events = Events("worker", None)
        notes = Notes(self._tell, 1)
        self.attempts = _Attempts(
            self._row,
            layout=host.layout,
            session=session,
            find=host.tasks.find,
            events=events,
            results=Results(host.driver, host.layout, journal.trust, events),
            notes=notes,
            middleware=tuple(host.tasks.middleware),
        )
        self.attempts.of = host
        self._slots = Slots(
            self._ready, journal, 0, self.attempts, notes, send=self._tell, release=_release, finished=self._row_ended
        )

    def _tell(self, note: Note) -> None:
        if self.alive:
            self._tell_agent(self.link, note)

    def receive(self, note: Note) -> None:
        match note:
            case Deal():
                dealt = self._live[note.row] = Dealt(note, 1, self._cancelled)
                first = 0
                for part in note.parts:
                    piece = Piece(dealt, part, first, self._row.states_at(note.row) + first)
                    first += part.stop - part.start
                    self._read(piece)
                    self.line += [(piece, number) for number in range(piece.size)]
            case Recall():
                items, self.line = self.line, []
                self._tell(Returned(tuple((piece.dealt.row, piece.first + number) for piece, number in items)))
                for piece, _ in items:
                    self._slots.end(piece)
            case Interrupt(row, messages):
                if (marked := self._live.get(row)) is not None:
                    marked.marked |= set(messages)
            case Cancel():
                for one in self._live.values():
                    one.over = True
                self.line.clear()
            case _:
                pass

    def _read(self, piece: Piece) -> None:
        driver, path = self._host.driver, piece.part.source
        key = self._host.layout.source(path)
        found = driver.perform(Get(key))
        try:
            if not isinstance(found, Found):
                piece.fail("retry", 30.0, "corrupt", "its batch is missing from the store")
                return
            body = driver.run(with_payload(self._host.layout, path, key, found.body))
            piece.fill(Body(batch_in(path, key, body).messages, len(body)))
        except CorruptRecord as corrupt:
            piece.fail("dead", 0.0, "corrupt", str(corrupt))

    def work(self) -> None:
        """Run what was dealt. Raises `Crashed`."""
        items, self.line = self.line, []
        self.ran += len(items)
        for item in items:
            self._ready.put(item)
        self._ready.put(None)
        self._slots.serve(0)

    def _row_ended(self, dealt: Dealt) -> None:
        if self._live.get(dealt.row) is dealt:
            del self._live[dealt.row]


class _Attempts(Attempts):
    """Ends its process where the test says so."""

    of: LocalHost

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if not _loop:
            _loop.append(TaskLoop(refuse_lazy))
        self._loop = _loop[0]  # one thread for all tests

    def run(self, slot: int, piece: Piece, number: int, started: float) -> Any:
        ended = super().run(slot, piece, number, started)
        if not isinstance(ended, Member):
            self._look([(piece, number)])
        return ended

    def run_together(self, slot: int, members: list[Member], started: float) -> Any:
        ended = super().run_together(slot, members, started)
        self._look([one.item for one in members])
        return ended

    def running(self) -> dict[str, Any] | None:
        """As there; the slot has no thread of its own here."""
        found = super().running()
        at = self._running[0]
        if found is not None or at is None or threading.get_ident() != self.of.thread:
            return found
        before = attempt._running.set(at)
        try:
            return super().running()
        finally:
            attempt._running.reset(before)

    def _told(self, plan: Plan | None, piece: Piece, number: int, outcome: Failed) -> Failed:
        """An attempt whose process the test ends tells nothing, as where a process is killed."""
        crash = self.of.crash
        return outcome if crash is not None and crash.fired else super()._told(plan, piece, number, outcome)

    def _look(self, items: Iterable[Item]) -> None:
        crash = self.of.crash
        if crash is not None:
            crash.look([self._message_id(piece, number) for piece, number in items])


def _release(piece: Piece) -> None:
    piece.body = None


class _Pacing:
    """Waits for nothing that a test would wait for."""

    pacing = "latency"
    overhead = 0.5
    ack_interval: float | None = 0.01
    leader_lease = _PATIENCE_S
    visibility_timeout = _PATIENCE_S
    doze_interval = 0.0


class _Environment:
    """An `s3queue.core.agent.Environment` without a machine."""

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

    def wake_machine(self) -> None:
        pass

    def knock(self, addresses: Collection[str]) -> None:
        pass

    def wake_waiters(self) -> None:
        pass

    def trust(self, until: float) -> None:
        pass

    def usage(self) -> dict[str, Usage]:
        return {}

    def about(self) -> About:
        return About()

    def queues_are_empty(self) -> None:
        pass

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

    def mark(self, what: str) -> None:
        pass
