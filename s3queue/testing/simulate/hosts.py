"""A host: supervisor, agent and workers. The agent's loops are those of `s3queue.core.agent`, on the production dealer and
journal; the supervisor follows `s3queue.runtime.supervisor.loop`, without sockets, threads and processes.
"""

from __future__ import annotations

from collections.abc import Callable

from s3queue.runtime.local.journal import Journal
from s3queue.runtime.local.wire import Died, Hello
from s3queue.testing.simulate.agents import REAP_S, Agent, Link
from s3queue.testing.simulate.history import Gone, Joined, Overran
from s3queue.testing.simulate.producers import BOMB, POISON, tasks_of
from s3queue.testing.simulate.workers import Worker
from s3queue.testing.simulate.world import Machine, World


class Supervisor:
    """One host. Restarts what dies, until the whole of it is killed or has left.

    Args:
        gone: sessions of this machine whose processes have ended.
        on_end: called when it has ended.
        workers: how many; None: as many as the scene says.

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
        on_end: Callable[[Supervisor], None],
        workers: int | None = None,
    ) -> None:
        self.world, self.name, self.machine, self.queues = world, name, machine, queues
        self.gone, self._on_end = gone, on_end
        scene = world.scene
        many = scene.workers if workers is None else workers
        self.coordinates = scene.shared or many == 0
        self.journal = Journal(bytearray(Journal.size(many, scene.slots)), many, scene.slots)
        self.workers: list[Worker | None] = [None] * many
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
            knows=tasks_of(self.queues).keys() | {POISON, BOMB},
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
            world.later(REAP_S, lambda: agent.hear(None, Died(number, worker.pid, cause, "", overran)))

    def end_worker(self, number: int, messages: tuple[tuple[int, int], ...]) -> None:
        """A cancelled message did not end in time."""
        worker = self.workers[number]
        running = [(it.slot, (it.row, it.message)) for it in self.journal.worker(number).running()]
        late = [(slot, one) for slot, one in running if one in messages]
        if worker is not None and late:
            for slot, _ in late:
                self.world.record(Overran(self.world.now, f"{worker.name}/slot{slot}"))
            self.world.mark("a cancelled message ended with its process")
            overran = tuple(one for _, one in late)
            self.world.soon(lambda: self.kill_worker(number, "cancelled", overran))

    def kill_agent(self) -> None:
        """The supervisor notices, ends the workers, and starts another one."""
        agent = self.agent
        if agent is None or not agent.alive:
            return
        agent.kill()
        self.world.later(REAP_S, self.agent_ended)

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
        self._on_end(self)

    @property
    def sessions(self) -> tuple[str, ...]:
        return tuple(f"{self.name}.{life + 1}" for life in range(self._lives))

    def pause(self, seconds: float) -> None:
        for process in (self.agent, *self.workers):
            if process is not None:
                process.pause(seconds)
