"""The supervisor's loop: starts, watches and ends the processes of one host.

One loop in one thread: read notes and deaths, decide, wait.
"""

from __future__ import annotations

import time
from collections.abc import Iterable
from typing import Any

from multiprocess import connection

from s3queue.errors import QueueError, StoreDenied, StoreUnavailable, StoreUnsupported
from s3queue.io.clock import clock
from s3queue.io.meter import total
from s3queue.observe.events import Events
from s3queue.runtime.child import heard
from s3queue.runtime.local.wire import (
    FENCED,
    ORPHANED,
    UNGUARDED,
    CannotStart,
    Died,
    Drain,
    Empty,
    EndWorker,
    Left,
    Read,
    Started,
    Waiting,
)
from s3queue.runtime.supervisor.causes import UNKNOWN, MemoryKills, memory_kill_counter
from s3queue.runtime.supervisor.children import Child, Role
from s3queue.runtime.supervisor.hearing import Hearing
from s3queue.runtime.supervisor.household import Household, Summary, end_unguarded, new_session
from s3queue.runtime.supervisor.leftovers import reap_orphans
from s3queue.runtime.supervisor.patience import Patience
from s3queue.runtime.supervisor.sidecar import Sidecar, metrics_ear
from s3queue.runtime.supervisor.starting import Starter
from s3queue.runtime.supervisor.watch import TICK_S, Verdict, Watch

#: Seconds after ``drain_timeout`` that the agent gets to store its last ledger; and after that, that workers get to end.
LAST_WORDS_S = 5.0
#: Seconds between two times that our temporary files are made to look new.
_TOUCH_S = 3600.0


class Host:
    """One run."""

    def __init__(self, what: Household, until_empty: bool) -> None:
        self._what = what
        self._config = what.config
        self._until_empty = until_empty
        self._starter = Starter(what)
        self._life, self._journal = self._starter.life, self._starter.journal
        ear = metrics_ear(self._life)
        ears = () if what.door is None else (ear,)
        self._events = Events("supervisor", self._config.history, ears, what.subscribers)
        self._hearing = Hearing(what.subscribers, self._life.rundir, self._events, ears)
        self._sidecar = None
        if what.door is not None:
            self._sidecar = Sidecar(what.door, ear, self._events, lambda more: self._start("metrics", 0, more))
        self._memory = MemoryKills(memory_kill_counter())
        self._agent: Child | None = None
        self._session = ""
        #: Sessions whose agents died and that no later agent is known to have ended. The journals still hold their
        #: outcomes.
        self._orphaned: list[str] = []
        self._workers: list[Child | None] = [None] * what.workers
        #: When to start what is missing, by `clock`; None: not before something else has happened.
        self._agent_due: float | None = 0.0
        self._worker_due: list[float | None] = [None] * what.workers
        self._agent_patience = Patience()
        self._worker_patience = [Patience() for _ in range(what.workers)]
        self._ever_up: set[Role] = set()
        self._deaths = self._restarts = 0
        #: What each worker's journal counted when its process was started; when a dead one may be replaced.
        self._counted = [0] * what.workers
        self._replace_at = [0.0] * what.workers
        #: By worker that has ended, what to tell of it if its agent ends before it says that it has.
        self._untold: dict[int, tuple[str, dict[str, str]]] = {}
        #: By `clock`, while draining: when that began; when the workers are killed, and after that, when everything is.
        self._asked_at = 0.0
        self._drain_until: float | None = None
        self._leave_until: float | None = None
        self._left = self._over = self._interrupted = False
        self._settled: dict[str, tuple[int, int]] = {}
        self._watch = Watch(self._journal, self._config.visibility_timeout, clock())
        #: When our files were last touched.
        self._touched = clock()

    def serve(self) -> Summary:
        try:
            self._starter.prepare()
            while not self._over:
                self._start_missing()
                connection.wait(self._watched(), self._timeout())
                self._heed_wishes()
                self._hearing.hear()
                if self._sidecar is not None:
                    self._sidecar.look()
                self._look_at_agent()
                self._look_at_workers()
                self._look_at_the_clock()
        finally:
            self._end_everything()
            self._hearing.close()
            if self._sidecar is not None:
                self._sidecar.end()
            self._life.close(remove=self._left)
            self._what.wishes.count(clock())
            if self._ever_up:
                self._tell_end()
            self._events.close()
        return self._summary()

    def _tell_end(self) -> None:
        summary = self._summary()
        counts = ", ".join(
            f"{queue}: {done} done, {dead} dead" for queue, (done, dead) in sorted(self._settled.items())
        )
        self._events.emit(
            "ended",
            drained=self._left,
            messages=summary.messages,
            deaths=self._deaths,
            done=sum(done for done, _ in self._settled.values()),
            dead=sum(dead for _, dead in self._settled.values()),
            text=counts,
        )

    def _summary(self) -> Summary:
        messages = sum(self._journal.worker(number).messages for number in range(self._what.workers))
        usage = self._journal.usage()
        requests = total(list(usage.values())).requests()
        by_role = {role: asked.as_dict() for role, asked in usage.items()}
        return Summary(
            self._deaths, self._restarts, requests, messages, self._left, by_role, self._interrupted, self._settled
        )

    # ---- starting ------------------------------------------------------------------------------------------

    def _start_missing(self) -> None:
        now = clock()
        if self._sidecar is not None:
            self._sidecar.start_if_due(lambda: {"queues": self._what.queues, "workers": self._what.workers})
        if self._agent is None and self._agent_due is not None and self._agent_due <= now:
            self._start_agent()
        for number, due in enumerate(self._worker_due):
            if due is not None and due <= now and self._workers[number] is None and self._drain_until is None:
                self._start_worker(number)

    def _start_agent(self) -> None:
        self._session = new_session()
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
        self._agent = self._start("agent", 0, fields)
        if self._agent is None:
            self._agent_due = clock() + self._agent_patience.refused()
        elif self._drain_until is not None:
            self._agent.tell(Drain())

    def _start_worker(self, number: int) -> None:
        self._worker_due[number] = None
        journal = self._journal.worker(number)
        journal.reset()
        self._counted[number] = journal.messages
        fields = self._common() | {"worker": number, "workers": self._what.workers}
        self._workers[number] = child = self._start("worker", number, fields)
        if child is None:
            self._worker_due[number] = clock() + self._worker_patience[number].refused()

    def _common(self) -> dict[str, Any]:
        """The arguments that the agent and the workers have in common."""
        return {
            "rundir": str(self._life.rundir),
            "session": self._session,
            "tasks": self._what.tasks,
            "ears": self._hearing.ears(),
            "measured": None if self._sidecar is None else self._sidecar.ear,
        }

    def _start(self, role: Role, number: int, fields: dict[str, Any]) -> Child | None:
        ours = [*self._what.wishes.descriptors(), *self._hearing.watched(), *(it.conn for it in self._all())]
        if self._sidecar is not None and role != "metrics":
            ours += self._sidecar.doors()
        return self._starter.start(role, number, fields, ours, self._events)

    def _children(self) -> Iterable[Child]:
        return (child for child in (self._agent, *self._workers) if child is not None)

    def _all(self) -> list[Child]:
        return [*self._children(), *(self._sidecar.children() if self._sidecar is not None else ())]

    # ---- events --------------------------------------------------------------------------------------------

    def _watched(self) -> list[Any]:
        children = (it for child in self._all() for it in child.watched())
        return [self._what.wishes.bell, *self._hearing.watched(), *children]

    def _timeout(self) -> float:
        end = self._drain_until if self._leave_until is None else self._leave_until
        times = [at for at in (self._agent_due, *self._worker_due, end) if at is not None]
        return max(0.0, min([TICK_S, *(at - clock() for at in times)]))

    def _heed_wishes(self) -> None:
        wishes = self._what.wishes.count(clock())
        if wishes >= 1:
            self._drain(self._what.wishes.why)
        if wishes >= 2:
            self._events.emit("ending", why=f"{self._what.wishes.why}, while draining")
            self._over = self._interrupted = True

    def _drain(self, why: str) -> None:
        if self._drain_until is None:
            timeout_s = self._config.drain_timeout
            running = sum(len(self._journal.worker(number).running()) for number in range(self._what.workers))
            until = time.strftime("%H:%M:%S", time.localtime(time.time() + timeout_s))
            self._events.emit("draining", why=why, running=running, until=until, text="a second Ctrl-C ends at once")
            self._asked_at = clock()
            self._drain_until = self._asked_at + timeout_s
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
                case Waiting():
                    agent.waiting = True
                case Started():
                    self._child_is_up(agent, self._agent_patience)
                    self._orphaned.clear()
                    if self._drain_until is None:
                        self._worker_due = [0.0] * len(self._workers)
                case CannotStart():
                    self._cannot_start(agent, note)
                case Read(worker):
                    self._untold.pop(worker, None)
                    if self._workers[worker] is None and self._drain_until is None:
                        self._restarts += 1
                        self._worker_due[worker] = self._replace_at[worker]
                case Empty():
                    self._drain("the queues are empty")
                case EndWorker(worker, messages):
                    child = self._workers[worker]
                    if child is not None and (verdict := self._watch.cancelled(worker, messages)):
                        child.kill(verdict)
                case Left(settled):
                    self._left, self._settled = True, settled
        if dead:
            self._agent_died(agent)

    def _agent_died(self, agent: Child) -> None:
        self._agent = None
        # At once: after a fence other hosts run the same messages. After a drain the workers end by themselves.
        self._end(child for child in self._workers if child is not None and not (self._left and child.up))
        self._reap(agent)
        self._worker_due = [None] * len(self._workers)
        if self._left:
            self._tell_untold()
            self._leave_until = clock() + LAST_WORDS_S
            return
        self._untold.clear()  # the end of its agent tells of them
        self._orphaned.append(self._session)
        fenced = agent.status == FENCED
        cause, text = agent.death(out_of_memory=self._memory.just_rose())
        self._events.emit("fenced" if fenced else "agent_died", session=self._session, cause=cause, text=text)
        self._deaths += 1
        wait_s = self._agent_patience.died(
            up=agent.up, age_s=agent.age_s, blameless=fenced, waiting=agent.waiting and not agent.up
        )
        self._agent_due = clock() + wait_s
        self._lose_patience(agent, text)
        self._restarts += 1

    def _look_at_workers(self) -> None:
        for number, child in enumerate(self._workers):
            if child is None:
                continue
            dead = child.is_dead
            for note in child.hear():
                match note:
                    case Started():
                        self._child_is_up(child, self._worker_patience[number])
                    case CannotStart():
                        self._cannot_start(child, note)
            if dead:
                self._worker_died(number, child)

    def _worker_died(self, number: int, child: Child) -> None:
        self._workers[number] = None
        self._reap(child)
        cause, text = child.death(out_of_memory=self._memory.just_rose())
        journal = self._journal.worker(number)
        in_order = child.status == 0 or (child.status == UNKNOWN and child.verdict is None and not journal.running())
        is_death = not in_order and cause != "shutdown" and child.status != ORPHANED
        self._deaths += is_death
        kind, fields = ("worker_died", {"cause": cause, "text": text}) if is_death else ("worker_left", {})
        if is_death and self._agent is not None:
            self._events.emit("reaped", cause=cause, text=text)
        if is_death or child.up:  # else nobody was told that it had started
            # The agent tells of it together with the affected messages, once it has read the journal.
            self._untold[number] = kind, fields
            if self._agent is None:
                self._tell_untold()
        # A worker that ends before it has run anything would do so for ever.
        worked = journal.messages > self._counted[number]
        blameless = worked or cause in ("time_limit", "cancelled")
        wait_s = self._worker_patience[number].died(up=child.up, age_s=child.age_s, blameless=blameless)
        self._replace_at[number] = clock() + wait_s
        if self._agent is not None:
            overran = () if child.verdict is None else child.verdict.overran
            self._agent.tell(Died(number, child.pid, cause, text, overran))
        if self._drain_until is None:
            self._lose_patience(child, text)

    def _tell_untold(self) -> None:
        for worker, (kind, fields) in self._untold.items():
            self._events.emit(kind, worker=worker, **fields)
        self._untold.clear()

    def _child_is_up(self, child: Child, patience: Patience) -> None:
        child.up = True
        patience.is_up()
        if not self._ever_up:
            self._events.emit("serving", **self._what.described())
        if child.role == "worker":
            self._events.emit("worker_started", worker=self._workers.index(child), worker_pid=child.pid)
        self._ever_up.add(child.role)

    def _cannot_start(self, child: Child, note: CannotStart) -> None:
        """A child says that it cannot start. Its fault ends the host, unless another child of its kind has started before:
        then something has changed, and may change back. A refusal of the store (expired credentials) may last long. A store
        that breaks a promise ends the host at once."""
        fault = heard(note)
        if isinstance(fault, StoreUnsupported) or (not child.up and child.role not in self._ever_up):
            raise fault
        child.waiting = isinstance(fault, StoreDenied)
        self._events.warn(f"cannot start {child.role}", f"{child.name} cannot start, retrying with back-off: {fault}")

    def _lose_patience(self, child: Child, text: str) -> None:
        """Give up if the agent, or every worker, fails to start."""
        alone = [self._agent_patience] if child.role == "agent" else self._worker_patience
        others_live = child.role == "worker" and any(it is not None and it.up for it in self._workers)
        if not others_live and all(patience.is_over for patience in alone):
            self._events.emit("gave_up", text=text)
            raise QueueError(f"giving up: {text}, for the {alone[0].stillborn}th time before it was up")

    # ---- time ----------------------------------------------------------------------------------------------

    def _look_at_the_clock(self) -> None:
        now = clock()
        self._watch.tick(now)
        self._memory.look()
        self._kill_the_late(now)
        if any(True for _ in self._children()):
            self._starter.peopled(now)
        if now - self._touched > _TOUCH_S:
            self._touched = now
            self._life.touch()
        reap_orphans({child.pid for child in self._all()})
        self._look_at_the_drain(now)

    def _look_at_the_drain(self, now: float) -> None:
        if self._drain_until is not None:
            self._stop_waiting_for_the_store(now)
        if self._drain_until is not None and now >= self._drain_until and self._leave_until is None:
            self._leave_until = now + LAST_WORDS_S
            text = f"still running {self._config.drain_timeout:g} s after the host was told to drain"
            for child in self._workers:
                if child is not None:
                    child.kill(Verdict("shutdown", text))
        all_gone = not any(True for _ in self._children())
        self._over |= (self._left and all_gone) or (self._leave_until is not None and now >= self._leave_until)

    def _stop_waiting_for_the_store(self, now: float) -> None:
        """An agent that is not up has nothing to drain. It gets a moment to come up, unless it has said that the store does
        not answer."""
        agent = self._agent
        if agent is not None and not agent.up and (agent.waiting or now >= self._asked_at + LAST_WORDS_S):
            self._over = True
            if "agent" not in self._ever_up:
                raise StoreUnavailable("open", "", "the store did not answer before the host was told to end")

    def _kill_the_late(self, now: float) -> None:
        if self._agent is not None and (verdict := self._watch.agent(now)):
            self._agent.kill(verdict)
        for number, child in enumerate(self._workers):
            if child is not None and (verdict := self._watch.worker(number, child.pid, child.up, now)):
                child.kill(verdict)

    # ---- the end -------------------------------------------------------------------------------------------

    def _end(self, children: Iterable[Child], why: str = "its agent died") -> None:
        """Kill them, then reap them."""
        ending = list(children)
        for child in ending:
            child.kill(Verdict("killed", why))
        for child in ending:
            self._reap(child)
        self._workers = [None if child in ending else child for child in self._workers]

    def _reap(self, child: Child) -> None:
        gone = child.reap()
        if child.status == UNGUARDED:
            end_unguarded()
        if not gone:
            self._events.warn("leftovers", f"cannot kill the processes that {child.name} ({child.pid}) has started")

    def _end_everything(self) -> None:
        for number, child in enumerate(self._workers):
            if child is not None and child.up:
                self._untold[number] = "worker_left", {}
        self._end(self._children(), "the host ends")
        self._tell_untold()
        self._agent = None
