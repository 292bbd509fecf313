"""A host: supervisor, agent and workers, on the production ledger, dealer and journal.

The loops follow `s3queue.runtime.agent.hosting` and `s3queue.supervisor`, without sockets, threads and processes.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

from msgspec.structs import replace

from s3queue.core import elect, ledger
from s3queue.core.elect import View
from s3queue.core.ledger import Flushed, Host, Refused
from s3queue.core.records import Offer
from s3queue.core.survey import Heard
from s3queue.errors import StoreUnavailable
from s3queue.runtime.agent.dealing import Dealer
from s3queue.runtime.agent.deaths import testament
from s3queue.runtime.agent.seats import Crew, Obituary
from s3queue.runtime.local.journal import Journal
from s3queue.runtime.local.wire import Cancel, Deal, Died, Hello, Note, Trust
from s3queue.testing.simulate.candidates import Leading
from s3queue.testing.simulate.history import GivenUp, Gone, Joined
from s3queue.testing.simulate.workers import Worker
from s3queue.testing.simulate.world import FOREVER, Doing, Machine, Process, Program, Sleep, World

#: Between two looks at the workers while they work, in seconds.
_TICK_S = 0.25
#: How long a supervisor takes to notice a death.
_REAP_S = 0.05
_TRIES = 5
#: After how long an agent reads what a new worker says first, in seconds: also after it was told of the worker's death.
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
        self._world.later(max(0.0, self._open_at - self._world.now), self._deliver)

    def _deliver(self) -> None:
        self._agent.hear(self, self._said.popleft())

    def send(self, note: Note) -> None:
        if self.worker is not None:
            self.worker.receive(note, self._agent.base_of(self._number, note))

    def close(self) -> None:
        """By the agent. The worker notices, and ends."""
        self._world.later(_REAP_S, self._end)


class Supervisor:
    """One host. Restarts what dies, until the whole of it is killed or has left.

    Args:
        gone: sessions of this machine whose processes have ended.
        bury: called when it has ended.

    Attributes:
        ended: how it ended: ``""`` (it has not), ``killed``, ``left``.
    """

    def __init__(
        self,
        world: World,
        name: str,
        machine: Machine,
        queues: tuple[str, ...],
        gone: Callable[[], list[str]],
        bury: Callable[[Supervisor], None],
    ) -> None:
        self.world, self.name, self.machine, self.queues = world, name, machine, queues
        self.gone, self._bury = gone, bury
        scene = world.scene
        self.journal = Journal(bytearray(Journal.size(scene.workers, scene.slots)), scene.workers, scene.slots)
        self.workers: list[Worker | None] = [None] * scene.workers
        self.agent: Agent | None = None
        self.orphaned: list[str] = []
        self.ended = ""
        self._lives = 0
        self.start_agent()

    def start_agent(self) -> None:
        if not self.ended:
            self._lives += 1
            self.journal.trust_until = 0.0
            self.agent = Agent(self, f"{self.name}.{self._lives}", tuple(self.orphaned))
            self.orphaned.append(self.agent.session)
            self.world.record(Joined(self.world.now, self.name, self.agent.session))

    def start_worker(self, number: int) -> None:
        agent = self.agent
        assert agent is not None
        world = self.world
        self.journal.worker(number).reset()
        pid = world.number()
        link = Link(world, agent, number, lambda: self._orphan(number, worker))
        worker = Worker(
            world,
            f"{self.name}/w{number}.{pid}",
            self.machine,
            self.name,
            agent.session,
            self.journal,
            number,
            tell=link.say,
            die=lambda whole: self.kill() if whole else self.kill_worker(number),
            overrun=lambda row, index: self.kill_worker(number, "time_limit", ((row, index),)),
        )
        worker.pid, worker.link, link.worker = pid, link, worker
        self.workers[number] = worker
        link.say(Hello(number, pid))

    def _orphan(self, number: int, worker: Worker) -> None:
        if self.workers[number] is worker:
            self.kill_worker(number)

    # ---- deaths --------------------------------------------------------------------------------------------

    def kill_worker(self, number: int, cause: str = "killed", overran: tuple[tuple[int, int], ...] = ()) -> None:
        worker = self.workers[number]
        if worker is None:
            return
        self.workers[number] = None
        worker.kill()
        agent, link, world = self.agent, worker.link, self.world
        # A process that a task has left behind may hold the connection open.
        if link is not None and (not world.stormy or world.choices.choose((True, False), 0.8)):
            link.say(None)
        if agent is not None and agent.alive:
            world.later(_REAP_S, lambda: agent.hear(None, Died(number, worker.pid, cause, "", overran)))

    def kill_agent(self) -> None:
        """The supervisor notices, ends the workers, and starts another one."""
        agent = self.agent
        if agent is None or not agent.alive:
            return
        agent.kill()
        self.world.later(_REAP_S, self.agent_ended)

    def agent_ended(self) -> None:
        """It is reaped: it was killed, or it gave up its session."""
        agent = self.agent
        if agent is None or self.ended:
            return
        for worker in self.workers:
            if worker is not None:
                worker.kill()
        self.workers = [None] * len(self.workers)
        for number in range(len(self.workers)):
            self.journal.worker(number).reset()
        self.agent = None
        self.world.record(Gone(self.world.now, self.name, (agent.session,), whole=False))
        self.world.later(self.world.scene.times.restart[0], self.start_agent)

    def kill(self, how: str = "killed") -> None:
        """Every process of it ends at once, and the journal with them."""
        if self.ended:
            return
        self.ended = how
        for worker in self.workers:
            if worker is not None:
                worker.kill()
        if self.agent is not None:
            self.agent.kill()
        self.world.record(Gone(self.world.now, self.name, self.sessions, whole=True))
        self._bury(self)

    @property
    def sessions(self) -> tuple[str, ...]:
        return tuple(f"{self.name}.{life + 1}" for life in range(self._lives))

    def pause(self, seconds: float) -> None:
        for process in (self.agent, *self.workers):
            if process is not None:
                process.pause(seconds)


class Agent(Process):
    """One life of the process that owns the ledger, and leads where the scene lets it."""

    def __init__(self, supervisor: Supervisor, session: str, orphaned: tuple[str, ...]) -> None:
        super().__init__(supervisor.world, session, supervisor.machine)
        scene, journal = self.world.scene, supervisor.journal
        self.session = session
        self._supervisor, self._orphaned = supervisor, orphaned
        self._view = View()
        self.host = Host(
            self.world.layout,
            session,
            scene.workers * scene.slots,
            {queue: Offer(scene.times.settings.max_attempts) for queue in supervisor.queues},
        )
        self._journals = [journal.worker(number) for number in range(scene.workers)]
        self.dealer = Dealer(self.host, self._journals, scene.slots)
        self._crew = Crew(
            self.dealer,
            later=lambda seconds, call: self.world.later(seconds, lambda: call() if self.alive else None),
            now_ms=self.wall_ms,
            buried=self._buried,
            leaving=lambda worker, why: self.world.mark("a worker left"),
            warn=lambda key, text: self.world.mark(f"{key}: {text.partition(':')[0]}"),
        )
        self._inbox: list[tuple[Link | None, Note | None]] = []
        self._next_look = self._flushed_at = 0.0
        self._give_back = False
        before = supervisor.sessions[:-1]
        self.leading = Leading(self, session, self._view, self._committed, supervisor.gone, before)
        self._host_loop = self.spawn("host", self._serve())
        self._lead_loop = self.spawn("lead", self._lead())
        self._ears = self.spawn("ears", self._listen())

    def _committed(self) -> None:
        self.world.wake(self._host_loop)

    def base_of(self, number: int, note: Note) -> int:
        return self.dealer.loads[number].rows[note.row].base if isinstance(note, Deal) else 0

    def hear(self, link: Link | None, note: Note | None) -> None:
        """From the worker at the other end of the link, or from the supervisor."""
        if self.alive:
            self._inbox.append((link, note))
            self.world.wake(self._ears, 0.01)

    def drain(self) -> None:
        self.host.draining = True
        self.host.changes += 1
        self.world.wake(self._host_loop)

    def give_back(self) -> None:
        """As if the messages were stuck behind a long task."""
        self._give_back = True
        self.world.wake(self._host_loop)

    # ---- its life ------------------------------------------------------------------------------------------

    def _serve(self) -> Program:
        yield from self._bequeath()
        while self.host.version == "":
            if (yield from self._flush()):
                return
        self._supervisor.orphaned = [self.session]
        for number in range(len(self._supervisor.workers)):
            self._supervisor.start_worker(number)
        wait_s = 0.0
        while True:
            yield Sleep(wait_s)
            try:
                if (yield from self._turn()):
                    return
                wait_s = self._wait_s()
            except StoreUnavailable:
                wait_s = _TICK_S

    def _bequeath(self) -> Doing[None]:
        world = self.world
        outcomes = testament(self._journals, self.wall_ms())
        waiting = list(self._orphaned)
        while waiting:
            try:
                yield from elect.look(self._view, world.layout, self.steady())
                nonces = [world.nonce() for _ in range(_TRIES)]
                if (yield from ledger.bequeath(self._view, world.layout, waiting[0], outcomes, nonces)):
                    del waiting[0]
            except StoreUnavailable:
                yield Sleep(_TICK_S)
        if any(report.failed or report.ok for report in outcomes.values()):
            world.mark("a journal outlived its agent")
        for journal in self._journals:
            for row in journal.rows():
                journal.close_row(row)

    def _turn(self) -> Doing[bool]:
        """Whether this life is over."""
        if self.leading.lead is None and self.steady() >= self._next_look:
            yield from self._look()
        if self._view.board is not None:
            self.host.see(self._view.board)
        self._mind_the_workers()
        if self.host.draining and not self.host.leaving and self._is_done():
            self.host.leaving = True
            self.host.changes += 1
        if self.steady() >= self._flush_at():
            if (yield from self._flush()):
                return True
            self._mind_the_workers()
        if self.host.over:
            yield from self._leave()
            return True
        return False

    def _look(self) -> Doing[None]:
        times, began = self.world.scene.times, self.steady()
        changed = yield from elect.look(self._view, self.world.layout, began)
        self._next_look = self.steady() + (times.busy if changed or self.host.tickets else times.idle[0])
        if self.world.scene.shared:
            yield from self.leading.stand(began)
            if self.leading.lead is not None:
                self.world.wake(self._lead_loop)

    def _is_done(self) -> bool:
        return not self.dealer.unfinished and not any(held.open for held in self.host.tickets.values())

    def _wait_s(self) -> float:
        now = self.steady()
        until = [self._flush_at(), now + 2.0]
        if self.leading.lead is None:
            until.append(self._next_look)
        if self.dealer.unfinished or self.dealer.pooled or self.host.draining:
            until.append(now + _TICK_S)
        return max(0.0, min(until) - now)

    # ---- the workers ---------------------------------------------------------------------------------------

    def _mind_the_workers(self) -> None:
        dealer, now = self.dealer, self.steady()
        dealer.look()
        if self.host.draining:
            dealer.recall(now, everything=True)
            dealer.release_pool()
            return
        dealer.recall(now, everything=self._give_back)
        if self._give_back and dealer.pooled:
            dealer.release_pool()
            self._give_back = False
        dealer.deal(now)

    def _listen(self) -> Program:
        """Notes are heard as they come, even while a request of the host's loop is under way."""
        while True:
            yield Sleep(FOREVER)
            for link, note in self._inbox:
                if link is None:
                    assert isinstance(note, Died)
                    self._crew.died(note)
                elif note is None:
                    self._crew.hung_up(link)
                else:
                    self._crew.heard(link, note)
            self._inbox.clear()
            self.world.wake(self._host_loop)

    def _buried(self, it: Obituary) -> None:
        if self._supervisor.workers[it.worker] is None:
            self._supervisor.start_worker(it.worker)

    # ---- the ledger ----------------------------------------------------------------------------------------

    def _flush_at(self) -> float:
        host, times = self.host, self.world.scene.times
        if host.trusted_from is None:
            return float("-inf")
        alive = host.trusted_from + times.settings.visibility_timeout / 3
        if host.pending is None and not host.has_news:
            return alive
        claims = host.stored.claims if host.stored is not None else ()
        urgent = host.leaving or any(name not in claims for name in host.tickets) or self._is_done()
        return min(alive, self._flushed_at + (times.latency if urgent else times.ack))

    def _flush(self) -> Doing[bool]:
        """Whether this life is over, since its session is."""
        world, host, now = self.world, self.host, self.steady()
        self._flushed_at = now
        host.offers = {
            queue: replace(offer, mean_s=round(self.dealer.mean_s(queue, now), 6))
            for queue, offer in host.offers.items()
        }
        try:
            outcome = yield from host.flush(now, world.nonce())
        except StoreUnavailable:
            outcome = Refused.UNSURE
        match outcome:
            case Refused.FENCED:
                world.record(GivenUp(world.now, self.session))
                for worker in self._supervisor.workers:
                    if worker is not None:
                        worker.receive(Cancel())
                world.soon(self._end)
                return True
            case Refused.UNSURE:
                world.mark("a flush was not answered")
                yield Sleep(world.scene.times.ack)
            case Flushed(stored, claimed):
                journal = self._supervisor.journal
                expired = journal.trust_until < self.steady()
                journal.trust_until = host.trusted_until(world.scene.times.settings.visibility_timeout)
                self.dealer.claimed(claimed)
                self.dealer.stored()
                if self.leading.lead is not None:
                    self.leading.lead.heard[self.session] = Heard(host.version, stored)
                    self.world.wake(self._lead_loop)
                if expired:
                    for worker in self._supervisor.workers:
                        if worker is not None:
                            worker.receive(Trust())
        return False

    def _end(self) -> None:
        if self.alive:
            self.kill()
            self.world.later(_REAP_S, self._supervisor.agent_ended)

    def _leave(self) -> Doing[None]:
        """The ledger says that we left. The cycle that may be under way is cut short."""
        self.world.remove(self._lead_loop)
        try:
            if self.leading.lead is not None:
                yield from self.leading.cycle(apart=False)
            yield from self.leading.resign()
        except StoreUnavailable:
            pass
        self.world.mark("a host left")
        self.world.soon(lambda: self._supervisor.kill("left"))

    def _lead(self) -> Program:
        while True:
            if self.leading.lead is None or self.host.over:
                yield Sleep(FOREVER)
                continue
            try:
                wait_s = yield from self.leading.cycle()
            except StoreUnavailable:
                wait_s = self.world.scene.times.busy
            yield from self.leading.rest(wait_s)
