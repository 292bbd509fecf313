"""The agent of a simulated host: the loops of `s3queue.core.agent`, on the production dealer, seats and journal."""

from __future__ import annotations

import traceback
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from s3queue.core import agent as core
from s3queue.core import ranges
from s3queue.core.chores import CHORES_AT_ONCE
from s3queue.core.declare import Declared
from s3queue.core.ledger import Host
from s3queue.core.pacing import Pace, ack_s
from s3queue.core.ranges import Ranges
from s3queue.core.records import Leader, Offer, Place
from s3queue.runtime.agent.dealing import Dealer
from s3queue.runtime.agent.deaths import journaled_outcomes
from s3queue.runtime.agent.seats import Seats, WorkerDeath
from s3queue.runtime.local.wire import Cancel, Deal, Died, Note, Trust
from s3queue.store import Capabilities
from s3queue.testing.simulate.history import GivenUp, Raised, ReadHalts, ReadMarks
from s3queue.testing.simulate.producers import QUEUES, tasks_of
from s3queue.testing.simulate.scenes import settings_of
from s3queue.testing.simulate.schedulers import declared_by
from s3queue.testing.simulate.workers import Worker
from s3queue.testing.simulate.world import FOREVER, Process, Program, Sleep, World
from s3queue.testing.surroundings import Alone, Pacing

if TYPE_CHECKING:
    from s3queue.testing.simulate.hosts import Supervisor

#: Seconds that a supervisor takes to notice a death.
REAP_S = 0.05
#: Seconds after which what was recalled is given back.
_GIVE_BACK_S = 0.1
#: Seconds after which an agent reads what a new worker says first: also after it was told of the worker's death.
_ACCEPT_S = (0.0, 0.02, 0.3)


class Link:
    """The connection of one worker to its agent. What is said on it arrives in order, and its end last."""

    def __init__(self, world: World, agent: Agent, number: int, end: Callable[[], None]) -> None:
        self.worker: Worker | None = None
        self._world, self._agent, self._number, self._end = world, agent, number, end
        self._said: deque[Note | None] = deque()
        self._open_at = world.now + (world.choices.choose(_ACCEPT_S, 0.6) if world.stormy else _ACCEPT_S[0])

    def say(self, note: Note | None) -> None:
        """By the worker. None: it has hung up."""
        self._said.append(note)
        if len(self._said) == 1 and self._open_at <= self._world.now:
            self._deliver()
        else:
            self._world.later(max(0.0, self._open_at - self._world.now), self._deliver)

    def _deliver(self) -> None:
        self._agent.hear(self, self._said.popleft())

    def send(self, note: Note) -> None:
        if self.worker is not None:
            self.worker.receive(note, self._agent.base_of(self._number, note))

    def close(self) -> None:
        """By the agent. The worker notices, and ends."""
        self._world.later(REAP_S, self._end)


class Crew(Dealer):
    """The production dealer; it tells which marks and pauses it has acted upon."""

    def __init__(self, world: World, host: Host, *args: Any, **more: Any) -> None:
        super().__init__(host, *args, **more)
        self._world = world
        self._known: dict[str, Ranges] = {}
        self._known_halts: tuple[tuple[str, str], ...] = ()

    def interrupt(self, now: float) -> None:
        super().interrupt(now)
        halts = tuple((queue, task) for queue, tasks in sorted(self.host.halted.items()) for task in tasks)
        if halts != self._known_halts:
            self._known_halts = halts
            self._world.record(ReadHalts(self._world.now, self.host.session, halts))
        for name, offsets in self.host.marked.items():
            if self._known.get(name) != offsets:
                self._known[name] = offsets
                told = tuple(ranges.members(offsets))
                self._world.record(ReadMarks(self._world.now, self.host.session, name, told))


class Agent(Alone, Process):
    """One life of the process that owns the ledger, and what surrounds `s3queue.core.agent.Agent` in it."""

    def __init__(self, supervisor: Supervisor, session: str, orphaned: tuple[str, ...]) -> None:
        super().__init__(supervisor.world, session, supervisor.machine)
        world, scene, journal = self.world, self.world.scene, supervisor.journal
        self.session = session
        self._supervisor, self._orphaned = supervisor, orphaned
        times, settings = scene.times, settings_of(scene, int(supervisor.name[1:]))
        workers = len(supervisor.workers)
        host = Host(
            world.layout,
            session,
            workers * scene.slots,
            {queue: Offer(settings.max_attempts, tasks=tasks_of(supervisor.queues)) for queue in supervisor.queues},
        )
        if scene.limits is not None and QUEUES[0] in supervisor.queues:
            host.limits = {QUEUES[0]: scene.limits}
        self._journals = [journal.worker(number) for number in range(workers)]
        self.crew = Crew(world, host, self._journals, scene.slots, end_worker=supervisor.end_worker)
        capabilities = Capabilities("simulated", requests_cost=scene.billed)
        pacing = Pacing("balanced", 0.5, times.ack, settings.leader_lease, settings.visibility_timeout, scene.doze_s)
        self.core = core.Agent(
            world.layout,
            host,
            self.crew,
            Pace(pacing, capabilities),
            settings._replace(ack_s=ack_s(pacing, capabilities)),
            self,
            Leader(session),
            core.Terms(stands=supervisor.coordinates, declared=self._declared(supervisor)),
        )
        self.seats = Seats(
            self.crew,
            later=lambda seconds, call: world.later(seconds, lambda: call() if self.alive else None),
            now_ms=self.wall_ms,
            freed=self._seat_freed,
            leaving=lambda worker, why: None,
            warn=lambda key, text: None,
        )
        self._inbox: list[tuple[Link | None, Note | None]] = []
        self._before = supervisor.sessions[:-1]
        self._ears = self.spawn("ears", self._listen())
        self.spawn("host", self._live())
        if scene.limits is not None:
            self.spawn("guard", self._guard())
        self._beside = []
        if supervisor.coordinates:
            self._beside.append(self.spawn("lead" if workers else "main", self.core.coordinate()))
            self._beside += [self.spawn("chore", self.core.do_chores(number)) for number in range(CHORES_AT_ONCE)]

    def _declared(self, supervisor: Supervisor) -> tuple[Declared, ...]:
        if not self.world.scene.schedules or not self.world.stormy:
            return ()
        return declared_by(int(supervisor.name[1:]), supervisor.queues)

    # ---- its environment -----------------------------------------------------------------------------------

    now = Process.steady
    now_ms = Process.wall_ms

    def nonce(self) -> str:
        return self.world.nonce()

    def is_gone(self, session: str, place: Place) -> bool:
        return session in self._before or session in self._supervisor.gone()

    def trust(self, until: float) -> None:
        journal = self._supervisor.journal
        expired = journal.trust_until < self.steady()
        journal.trust_until = until
        if expired:
            self._tell_workers(Trust())

    def mark(self, what: str) -> None:
        self.world.mark(what)

    def fault(self, what: str, fault: Exception) -> None:
        where = traceback.extract_tb(fault.__traceback__)[-1]
        why = f"{what}: {type(fault).__name__}: {fault} ({Path(where.filename).name}:{where.lineno})"
        self.world.record(Raised(self.world.now, why))

    # ---- its life ------------------------------------------------------------------------------------------

    def base_of(self, number: int, note: Note) -> int:
        return self.crew.loads[number].rows[note.row].base if isinstance(note, Deal) else 0

    def drain(self) -> None:
        self.core.drain()

    def give_back(self) -> None:
        """As if the messages were stuck behind a long task."""
        self.crew.recall(self.steady(), everything=True)
        self.world.later(_GIVE_BACK_S, lambda: self.crew.release_pool() if self.alive else None)

    def _live(self) -> Program:
        world, supervisor = self.world, self._supervisor
        outcomes = journaled_outcomes(self._journals, self.wall_ms())
        if not (yield from self.core.join(self._orphaned, outcomes)):
            self._fenced()
            return
        if any(report.failed or report.ok for report in outcomes.values()):
            world.mark("a journal outlived its agent")
        for journal in self._journals:
            for row in journal.rows():
                journal.close_row(row)
        supervisor.orphaned = [self.session]
        for number in range(len(supervisor.workers)):
            supervisor.start_worker(number)
        if (yield from self.core.serve()) is core.Ending.FENCED:
            self._fenced()
            return
        for actor in self._beside:
            world.remove(actor)
        yield from self.core.hand_over()
        world.mark("a host left")
        world.soon(lambda: supervisor.kill("left"))

    def _guard(self) -> Program:
        yield from self.core.guard()
        self.world.mark("a host ended what it ran, since it was silent")
        self._tell_workers(Cancel())
        self.world.soon(self._end)

    def _fenced(self) -> None:
        self.world.record(GivenUp(self.world.now, self.session))
        self._tell_workers(Cancel())
        self.world.soon(self._end)

    def _end(self) -> None:
        if self.alive:
            self.kill()
            self.world.later(REAP_S, self._supervisor.agent_ended)

    # ---- the workers ---------------------------------------------------------------------------------------

    def _tell_workers(self, note: Note) -> None:
        for worker in self._supervisor.workers:
            if worker is not None:
                worker.receive(note)

    def hear(self, link: Link | None, note: Note | None) -> None:
        """From the worker at the other end of the link, or from the supervisor."""
        if self.alive:
            self._inbox.append((link, note))
            self.world.wake(self._ears, 0.01)

    def _listen(self) -> Program:
        """Notes are heard as they come, even while a request of the host's loop is under way."""
        while True:
            if not self._inbox:
                yield Sleep(FOREVER)
            for link, note in self._inbox:
                if link is None:
                    assert isinstance(note, Died)
                    self.seats.died(note)
                elif note is None:
                    self.seats.hung_up(link)
                else:
                    self.seats.heard(link, note)
            self._inbox.clear()
            self.core.heard()

    def _seat_freed(self, it: WorkerDeath) -> None:
        if self._supervisor.workers[it.worker] is None:
            self._supervisor.start_worker(it.worker)
