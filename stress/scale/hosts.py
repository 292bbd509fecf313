"""A host in virtual time: the production agent, dealer and journal around workers that are modelled.

The loops are those of `s3queue.core.agent`; this module is what surrounds them, as `s3queue.runtime.agent` is in a
process. Each host is on its own machine, so there are no wake-ups.
"""

from __future__ import annotations

import mmap
from typing import TYPE_CHECKING

from s3queue.core import agent as core
from s3queue.core.chores import CHORES_AT_ONCE
from s3queue.core.ops import Program
from s3queue.core.pacing import Pace
from s3queue.core.records import Leader, Offer, Place, Report
from s3queue.runtime.agent.dealing import Dealer
from s3queue.runtime.agent.deaths import journaled_outcomes
from s3queue.runtime.local.journal import Journal
from s3queue.runtime.local.wire import Finished, Note, Returned
from s3queue.testing.surroundings import Alone
from stress.scale.sharing import SharingHost
from stress.scale.workers import Worker
from stress.scale.world import Processor, Running

if TYPE_CHECKING:
    from stress.scale.simulation import Simulation


class SimHost(Alone):
    """One session, and what surrounds its agent: an `s3queue.core.agent.Environment`.

    Args:
        spread_s: it starts some time within this.
        before: the dead session of the same supervisor.
    """

    def __init__(
        self, sim: Simulation, number: int, part: int, *, spread_s: float = 0.0, before: SimHost | None = None
    ) -> None:
        self.sim, self.number, self.world = sim, number, sim.world
        setting, self.layout = sim.setting, sim.layouts[part]
        self.session = f"20260824120000-host{number:05}-1-{number:08x}"
        self.place = Place(f"machine-{number:05}", f"/tmp/s3queue/run-{number}/life", f"host{number:05}")
        if before is not None:
            self.place = before.place
        self.dead = False
        self._before, self._nonces = before, 0
        workers = setting.slots // setting.concurrency
        # Pages that are never written take no memory; most rows of a journal are never opened.
        size = Journal.size(workers, setting.concurrency)
        buffer = mmap.mmap(-1, size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
        self.journal = Journal(buffer, workers, setting.concurrency)
        mean_s = setting.task_ms / 1000 if setting.measured else 0.0
        host = SharingHost(
            self.layout, self.session, setting.slots, {name: Offer(mean_s=mean_s) for name in sim.queues}, self.place
        )
        host.shares = sim.shares[self.layout]
        journals = [self.journal.worker(worker) for worker in range(workers)]
        self.crew = Dealer(host, journals, setting.concurrency, sim.config.max_messages)
        if setting.measured:
            self.crew._means, self.crew._runs = dict.fromkeys(sim.queues, mean_s), dict.fromkeys(sim.queues, mean_s)
        self._workers = [Worker(self, worker, sim.config.prefetch_bytes) for worker in range(workers)]
        self.agent = core.Agent(
            self.layout,
            host,
            self.crew,
            Pace(sim.config, sim.capabilities),
            sim.settings,
            self,
            Leader(self.session, self.place),
        )
        self._time_cycles()
        self.processor = Processor(setting.cpu)
        after_s = self.world.random.uniform(0, spread_s)
        self._running = [
            Running(self.world, sim.store, self._live(), self.processor, role="host", after_s=after_s),
            *(
                Running(
                    self.world, sim.store, program, self.processor, role="coordinator", measured=True, after_s=after_s
                )
                for program in (self.agent.coordinate(), *map(self.agent.do_chores, range(CHORES_AT_ONCE)))
            ),
        ]

    def _live(self) -> Program[None]:
        before, agent = self._before, self.agent
        orphaned = () if before is None else (before.session,)
        outcomes = {} if before is None else before.journaled_outcomes()
        if (yield from agent.join(orphaned, outcomes)):
            for number, worker in enumerate(self._workers):
                self.crew.comes(number, worker.send)
            yield from agent.serve()
        self.sim.fenced += 1  # nobody drains

    def _time_cycles(self) -> None:
        leading = self.agent._leading
        cycle = leading.cycle

        def timed(*, survey: bool = True) -> Program[float]:
            lead, began = leading.lead, self.now()
            assert lead is not None
            before = lead.board
            wait_s = yield from cycle(survey=survey)
            if leading.lead is lead and lead.pending is None:
                self.sim.cycled(began, assigned=lead.board.sequence > before.sequence)
            return wait_s

        leading.cycle = timed  # type: ignore[method-assign]

    def journaled_outcomes(self) -> dict[str, Report]:
        """What the journals say after a death."""
        return journaled_outcomes(map(self.journal.worker, range(len(self._workers))), self.now_ms())

    def kill(self) -> None:
        """The machine is gone."""
        self.dead = True
        for running in self._running:
            running.dead = True

    def hear(self, what: tuple[int, Note]) -> None:
        """A note came from a worker."""
        if self.dead:
            return
        worker, note = what
        match note:
            case Finished(row, busy_s, run_s):
                self.crew.finished(worker, row, busy_s, run_s)
                self.crew.deal(self.now())
            case Returned(messages):
                self.crew.returned(worker, messages)
            case _:
                raise AssertionError(note)
        self.agent.heard()

    # ---- what surrounds the agent --------------------------------------------------------------------------

    def now(self) -> float:
        return self.world.now

    def now_ms(self) -> int:
        return self.sim.now_ms

    def nonce(self) -> str:
        self._nonces += 1
        return f"{self.number:08x}{self._nonces:08x}"

    def is_gone(self, session: str, place: Place) -> bool:
        return place == self.place and session != self.session

    def is_local(self, place: Place) -> bool:
        return place == self.place

    def trust(self, until: float) -> None:
        expired = self.journal.trust_until < self.world.now
        self.journal.trust_until = until
        if expired:
            for worker in self._workers:
                worker.go_on()

    def wants(self, kind: str) -> bool:
        return True

    def emit(self, kind: str, **fields: object) -> None:
        match kind, fields:
            case "settled", {"start": int(start), "stop": int(stop)}:
                self.sim.settled(stop - start)
            case "elected", _:
                self.sim.elected(self)

    def warn(self, key: str, text: str) -> None:
        self.sim.warnings[text.partition(":")[0]] += 1

    def fault(self, what: str, fault: Exception) -> None:
        raise fault
