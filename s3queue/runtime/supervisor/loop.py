"""The processes of one host, from the first start to the last end.

Everything happens in one loop, in one thread: look at what has ended and what was said, decide, wait.
"""

from __future__ import annotations

import contextlib
import os
import re
import secrets
import socket
import time
from typing import Any, NamedTuple

import multiprocess
from multiprocess import connection, resource_tracker

from s3queue.config import Config
from s3queue.errors import ConfigError, QueueError, StoreUnsupported
from s3queue.observe.events import Events
from s3queue.registry import Registry
from s3queue.runtime.local.child import FENCED, GROUP_SIGNALS, ORPHANED, signals_held
from s3queue.runtime.local.clock import clock
from s3queue.runtime.local.journal import Journal
from s3queue.runtime.local.life import Life
from s3queue.runtime.local.wire import CannotStart, Died, Drain, Empty, Left, Read, Started
from s3queue.runtime.meter import total
from s3queue.runtime.supervisor.children import STILLBIRTHS, Child, MemoryKills, Patience, memory_kill_counter
from s3queue.store import ObjectStore, Shareable

#: How often children are looked at when nothing happens, in seconds.
TICK_S = 1.0
#: What a task gets beyond its time limit before its process is killed, in seconds.
OVERRUN_GRACE_S = 0.5
#: After ``drain_timeout``, what the agent gets to store its last ledger; after that, what workers get to end; in seconds.
LAST_WORDS_S = 5.0
#: What counts as being asked to end: the signals, and `Supervisor.stop`.
_ENDING = {0, *GROUP_SIGNALS}


class Summary(NamedTuple):
    """What a run came to.

    Attributes:
        deaths: children that died without being asked to.
        restarts: children that were started to replace others, recycled workers included.
        requests: made by agent and workers, by kind: ``put``, ``get``, ``list``, ``delete``.
        messages: started; one that was started twice counts twice.
        drained: whether the host left in good order, with nothing left running.
        usage: the same by role (``coordinator``, ``host``, ``worker``), with the bytes of objects sent and received,
            retries, conflicts and puts without an answer.
    """

    deaths: int
    restarts: int
    requests: dict[str, int]
    messages: int
    drained: bool
    usage: dict[str, dict[str, int]]


class Household(NamedTuple):
    """What to run.

    Attributes:
        bell: a byte is read here for each signal, and 0 for each `Supervisor.stop`.
        hammer: where they are written; ours to close in a forked child.
    """

    store: ObjectStore
    config: Config
    queues: tuple[str, ...]
    workers: int
    concurrency: int
    tasks: Registry
    bell: socket.socket
    hammer: socket.socket


class Host:
    """One run."""

    def __init__(self, what: Household, until_empty: bool) -> None:
        self._what = what
        self._config = what.config
        self._until_empty = until_empty
        self._context = multiprocess.get_context(self._config.start_method)
        self._buffer = self._context.RawArray("b", Journal.size(what.workers, what.concurrency))
        self._journal = Journal(self._buffer, what.workers, what.concurrency)
        self._events = Events("supervisor", self._config.history)
        self._memory = MemoryKills(memory_kill_counter())
        self._agent: Child | None = None
        self._session = ""
        #: Sessions whose agents died, and which no agent is known to have ended since. The journals speak of them.
        self._orphaned: list[str] = []
        self._workers: list[Child | None] = [None] * what.workers
        #: When to start what is missing, by `clock`; None: not before something else has happened.
        self._agent_due: float | None = 0.0
        self._worker_due: list[float | None] = [None] * what.workers
        self._agent_patience = Patience()
        self._worker_patience = [Patience() for _ in range(what.workers)]
        self._ever_up: set[str] = set()
        self._deaths = self._restarts = 0
        self._asked = 0
        #: What each worker's journal counted when its process was started; when a dead one may be replaced.
        self._counted = [0] * what.workers
        self._replace_at = [0.0] * what.workers
        #: By `clock`, while draining: when the workers are killed, and after that, when everything is.
        self._drain_until: float | None = None
        self._leave_until: float | None = None
        self._left = self._over = False
        #: We have not run before this, by `clock`: nobody is blamed for silence then.
        self._awake_since = self._last_tick = clock()

    def serve(self) -> Summary:
        self._prepare()
        self._life = Life.create()
        try:
            while not self._over:
                self._start_missing()
                connection.wait(self._watched(), self._timeout())
                self._heed_signals()
                self._look_at_agent()
                self._look_at_workers()
                self._kill_the_late()
        finally:
            self._end_everything()
            self._life.close(remove=self._left)
            self._events.close()
            self._heard()
        messages = sum(self._journal.worker(number).messages for number in range(self._what.workers))
        usage = self._journal.usage()
        requests = total(list(usage.values())).requests()
        by_role = {role: asked.as_dict() for role, asked in usage.items()}
        return Summary(self._deaths, self._restarts, requests, messages, self._left, by_role)

    def _prepare(self) -> None:
        # What children would import first, once for all of them that are forked.
        from s3queue.runtime.agent import main as agent  # noqa: F401
        from s3queue.runtime.worker import main as worker  # noqa: F401

        if self._config.start_method != "fork":
            # It lets go of the signals that we hold back while it starts; so let it start now. The fork server must
            # be born with them held back, or one that goes to the whole group ends it, and with it all its children.
            resource_tracker.ensure_running()
        if isinstance(self._what.store, Shareable):
            with signals_held():
                self._what.store.share()

    # ---- starting ------------------------------------------------------------------------------------------

    def _start_missing(self) -> None:
        now = clock()
        if self._agent is None and self._agent_due is not None and self._agent_due <= now:
            self._start_agent()
        for number, due in enumerate(self._worker_due):
            if due is not None and due <= now and self._workers[number] is None and self._drain_until is None:
                self._start_worker(number)

    def _start_agent(self) -> None:
        self._session = _new_session()
        self._agent_due = None
        self._journal.reset_agent()
        what = self._what
        fields = self._common() | {
            "queues": what.queues,
            "workers": what.workers,
            "place": self._life.place(),
            "orphaned": tuple(self._orphaned),
            "until_empty": self._until_empty,
            "proven": "agent" in self._ever_up,
        }
        self._agent = self._start("agent", "agent", fields)
        if self._agent is None:
            self._agent_due = clock() + TICK_S
            return
        if self._drain_until is not None:
            self._agent.tell(Drain())

    def _start_worker(self, number: int) -> None:
        self._worker_due[number] = None
        journal = self._journal.worker(number)
        journal.reset()
        self._counted[number] = journal.messages
        fields = self._common() | {"worker": number, "workers": self._what.workers}
        self._workers[number] = child = self._start("worker", f"worker {number}", fields)
        if child is None:
            self._worker_due[number] = clock() + TICK_S

    def _common(self) -> dict[str, Any]:
        what = self._what
        return {
            "store": what.store,
            "config": self._config,
            "concurrency": what.concurrency,
            "rundir": str(self._life.rundir),
            "session": self._session,
            "buffer": self._buffer,
            "tasks": what.tasks,
        }

    def _start(self, role: Any, name: str, fields: dict[str, Any]) -> Child | None:
        """None where the system has no room for a process just now."""
        ours = [self._what.bell, self._what.hammer]
        ours += [child.conn for child in (self._agent, *self._workers) if child is not None]
        try:
            return Child(self._context, role, name, fields, self._life, ours)
        except (BlockingIOError, MemoryError) as fault:
            self._events.warn("start", f"cannot start {name}, trying again: {fault}")
            return None

    # ---- what happens --------------------------------------------------------------------------------------

    def _watched(self) -> list[Any]:
        children = (self._agent, *self._workers)
        return [self._what.bell, *(it for child in children if child is not None for it in child.watched())]

    def _timeout(self) -> float:
        end = self._drain_until if self._leave_until is None else self._leave_until
        times = [at for at in (self._agent_due, *self._worker_due, end) if at is not None]
        return max(0.0, min([TICK_S, *(at - clock() for at in times)]))

    def _heed_signals(self) -> None:
        self._asked += self._heard()
        if self._asked >= 1:
            self._drain("asked to")
        if self._asked >= 2:
            self._events.emit("ending", why="asked twice")
            self._over = True

    def _heard(self) -> int:
        """How often we were asked to end, since the last look. Other signals that the program handles come by here,
        too."""
        asked = 0
        with contextlib.suppress(BlockingIOError):
            while heard := self._what.bell.recv(64):
                asked += sum(number in _ENDING for number in heard)
        return asked

    def _drain(self, why: str) -> None:
        if self._drain_until is None:
            self._events.emit("draining", why=why)
            self._drain_until = clock() + self._config.drain_timeout
            self._worker_due = [None] * len(self._workers)
            if self._agent is not None:
                self._agent.tell(Drain())

    def _look_at_agent(self) -> None:
        agent = self._agent
        if agent is None:
            return
        dead = agent.is_dead
        for note in agent.hear():
            match note:
                case Started():
                    self._child_is_up(agent, "agent", self._agent_patience)
                    self._orphaned.clear()
                    if self._drain_until is None:
                        self._worker_due = [0.0] * len(self._workers)
                case CannotStart():
                    self._cannot_start(agent, "agent", note)
                case Read(worker):
                    if self._workers[worker] is None and self._drain_until is None:
                        self._restarts += 1
                        self._worker_due[worker] = self._replace_at[worker]
                case Empty():
                    self._drain("the queues are empty")
                case Left():
                    self._left = True
        if dead:
            self._agent_died(agent)

    def _agent_died(self, agent: Child) -> None:
        agent.reap()
        self._agent = None
        for number, child in enumerate(self._workers):
            # After a drain they are about to end by themselves.
            if child is not None and not (self._left and child.up):
                child.kill(text="its agent died")
                child.reap()
                self._workers[number] = None
        self._worker_due = [None] * len(self._workers)
        if self._left:
            self._leave_until = clock() + LAST_WORDS_S
            return
        self._orphaned.append(self._session)
        fenced = agent.status == FENCED
        cause, text = agent.death(out_of_memory=self._memory.just_rose())
        self._events.emit("fenced" if fenced else "died", cause=cause, text=text)
        self._deaths += 1
        self._agent_due = clock() + self._agent_patience.died(agent, blameless=fenced)
        self._give_up_on(self._agent_patience, text)
        self._restarts += 1

    def _look_at_workers(self) -> None:
        for number, child in enumerate(self._workers):
            if child is None:
                continue
            dead = child.is_dead
            for note in child.hear():
                match note:
                    case Started():
                        self._child_is_up(child, "worker", self._worker_patience[number])
                    case CannotStart():
                        self._cannot_start(child, "worker", note)
            if dead:
                self._worker_died(number, child)

    def _worker_died(self, number: int, child: Child) -> None:
        child.reap()
        self._workers[number] = None
        cause, text = child.death(out_of_memory=self._memory.just_rose())
        recycled = child.status == 0
        if not recycled and child.cause != "shutdown" and child.status != ORPHANED:
            self._events.emit("died", cause=cause, text=text)
            self._deaths += 1
        idle = self._journal.worker(number).messages == self._counted[number]
        patience = self._worker_patience[number]
        # One that is recycled before it has run anything would be so for ever.
        wait_s = patience.died(child, blameless=child.cause == "time_limit" or (recycled and not idle))
        self._replace_at[number] = clock() + wait_s
        if self._agent is not None:
            self._agent.tell(Died(number, child.pid, cause, text, child.overran))
        if self._drain_until is None:
            self._give_up_on(patience, text)

    def _child_is_up(self, child: Child, role: str, patience: Patience) -> None:
        child.up = True
        patience.is_up()
        self._ever_up.add(role)

    def _cannot_start(self, child: Child, role: str, note: CannotStart) -> None:
        """One that says so is believed, unless others of its kind could: then something has changed, and may change
        back."""
        if not child.up and role not in self._ever_up:
            raise StoreUnsupported(note.lacks, note.text) if note.lacks else ConfigError(note.text, note.hint)
        self._events.warn(f"cannot start {role}", f"{child.name}: {note.text}")

    def _give_up_on(self, patience: Patience, text: str) -> None:
        if patience.stillborn >= STILLBIRTHS:
            self._events.emit("gave_up", text=text)
            raise QueueError(f"giving up: {text}, for the {patience.stillborn}th time before it was up")

    # ---- time ----------------------------------------------------------------------------------------------

    def _kill_the_late(self) -> None:
        now = clock()
        if now - self._last_tick > 2 * TICK_S:  # it was us who slept, or the whole machine
            self._awake_since = now
        self._last_tick = now
        self._memory.look()
        self._kill_the_stuck(now)
        if self._drain_until is not None and now >= self._drain_until and self._leave_until is None:
            self._leave_until = now + LAST_WORDS_S
            text = f"still running {self._config.drain_timeout:g} s after the host was told to drain"
            for child in self._workers:
                if child is not None:
                    child.kill("shutdown", text)
        all_gone = self._agent is None and not any(self._workers)
        self._over |= (self._left and all_gone) or (self._leave_until is not None and now >= self._leave_until)

    def _kill_the_stuck(self, now: float) -> None:
        silence_s = self._config.visibility_timeout
        if self._agent is not None and self._is_silent(self._journal.agent_beat, now):
            self._agent.kill(text=f"no sign of life for {silence_s:g} s")
        for number, child in enumerate(self._workers):
            if child is None:
                continue
            journal = self._journal.worker(number)
            late = [one for one in journal.running() if 0.0 < one.deadline < now - OVERRUN_GRACE_S]
            if child.up and late:
                overran = tuple((one.row, one.message) for one in late)
                child.kill("time_limit", "a task was over its time limit", overran)
            elif self._is_silent(journal.last_beat, now):
                child.kill("killed", f"no sign of life for {silence_s:g} s")

    def _is_silent(self, beat: float, now: float) -> bool:
        return beat > 0.0 and now - max(beat, self._awake_since) > self._config.visibility_timeout

    def _end_everything(self) -> None:
        for child in (self._agent, *self._workers):
            if child is not None:
                child.kill(text="the host ends")
        for child in (self._agent, *self._workers):
            if child is not None:
                child.reap()
        self._agent = None
        self._workers = [None] * len(self._workers)


def _new_session() -> str:
    """Never used before: the second, the machine, the process, and 32 random bits."""
    host = re.sub(r"[^A-Za-z0-9]+", "-", socket.gethostname())[:40].strip("-") or "host"
    return f"{time.strftime('%Y%m%d%H%M%S', time.gmtime())}-{host}-{os.getpid()}-{secrets.token_hex(4)}"
