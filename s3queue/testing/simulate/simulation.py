"""One schedule from beginning to end: a storm, then calm, until nothing is left to do."""

from __future__ import annotations

import contextlib
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from s3queue.core import cycle, survey
from s3queue.core.keys import parse_source
from s3queue.core.ops import Step
from s3queue.core.records import Board, decode, known_of
from s3queue.core.survey import Survey
from s3queue.errors import CorruptRecord
from s3queue.testing.simulate.callers import Caller
from s3queue.testing.simulate.choices import Choices
from s3queue.testing.simulate.chronicle import SHORT_SURVEYS
from s3queue.testing.simulate.history import Drained, Event, Meddled, Raised, Refused
from s3queue.testing.simulate.hosts import Supervisor
from s3queue.testing.simulate.newcomers import Newcomer
from s3queue.testing.simulate.operators import Operator, Redriver, Resumer
from s3queue.testing.simulate.producers import QUEUES, Producer, Scribbler
from s3queue.testing.simulate.readers import Reader
from s3queue.testing.simulate.rest import Rest
from s3queue.testing.simulate.scenes import Scene
from s3queue.testing.simulate.schedulers import Remover, Scheduler
from s3queue.testing.simulate.world import Machine, World

#: How long everything may take to drain once there are no faults, in seconds of virtual time: a lease, a visibility
#: timeout, the latest request, and some attempts of everything; and for each batch that ends its host whenever it runs.
_DRAIN_S = 60.0
_DRAIN_BOMB_S = 20.0
#: Moves between two looks whether everything is done.
_PATIENCE = 12
#: A schedule that moves so often without an end is stuck.
_MOVES = 12_000
_CLOCKS = ((0.0, 0.0), (5000.0, -1.5), (77.0, 2.0))


class Simulation:
    """
    Args:
        choices: where every decision comes from.
        scene: what there is.
    """

    def __init__(self, choices: Choices, scene: Scene) -> None:
        self.scene = scene
        self.world = world = World(choices, scene)
        self._machines = [Machine(f"m{n}", *_CLOCKS[n % len(_CLOCKS)]) for n in range(scene.machines)]
        self._dead: dict[str, list[str]] = {machine.name: [] for machine in self._machines}
        self._births = 0
        self.hosts: list[Supervisor] = []
        self.candidates: list[Supervisor] = []
        world.chaos = self._chaos
        for number in range(scene.producers):
            Producer(world, f"p{number}", self._machine(number))
        if "corrupt" in scene.shapes or scene.operators:
            Scribbler(world, "scribbler", self._machine(0))
        self.operators = [Operator(world, f"o{number}", self._machine(number)) for number in range(scene.operators)]
        self.operators += [Redriver(world, f"d{number}", self._machine(number)) for number in range(scene.redrivers)]
        self.callers = [Caller(world, f"u{number}", self._machine(number)) for number in range(scene.callers)]
        for number in range(scene.readers):
            Reader(world, f"r{number}", self._machine(number))
        self.schedulers = [Scheduler(world, f"s{number}", self._machine(number)) for number in range(scene.schedules)]
        if scene.newer:
            Newcomer(world, self._machine(1))
        self._machines[0].wall_skew += scene.astray_s
        for number in range(scene.hosts):
            self._new_host(QUEUES[: 1 + (number != 1)])
        for _ in range(scene.candidates):
            self._new_candidate()

    # ---- who there is --------------------------------------------------------------------------------------

    def _machine(self, number: int) -> Machine:
        return self._machines[number % len(self._machines)]

    def _gone(self, machine: Machine) -> list[str]:
        return list(self._dead[machine.name])

    def _new_host(self, queues: tuple[str, ...]) -> None:
        name, machine = f"h{self._births}", self._machine(self._births)
        self._births += 1
        self.hosts.append(Supervisor(self.world, name, machine, queues, lambda: self._gone(machine), self._host_ended))

    def _new_candidate(self) -> None:
        """A host without workers: all that it does is to coordinate."""
        name, machine = f"c{self._births}", self._machine(self._births)
        self._births += 1
        self.candidates.append(
            Supervisor(self.world, name, machine, (), lambda: self._gone(machine), self._bury_candidate, workers=0)
        )

    def _bury_candidate(self, candidate: Supervisor) -> None:
        self.candidates.remove(candidate)
        self._dead[candidate.machine.name].extend(candidate.sessions)
        self.world.later(self._pause(), self._new_candidate)

    def _host_ended(self, host: Supervisor) -> None:
        """Have somebody come in place of a host that has ended."""
        self.hosts.remove(host)
        if host.ended == "killed":
            self._dead[host.machine.name].extend(host.sessions)
        self.world.later(self._pause(), lambda: self._new_host(host.queues))

    def _pause(self) -> float:
        times = self.scene.times
        return self.world.choices.choose(times.restart) if self.world.stormy else times.restart[0]

    # ---- what happens to them ------------------------------------------------------------------------------

    def _chaos(self) -> None:
        choices = self.world.choices
        hosts = [host for host in self.hosts if not host.ended]
        if self.scene.weather.kinds and hosts:
            happens = getattr(self, "_" + choices.choose(self.scene.weather.kinds).replace(" ", "_"))
            happens(choices.choose(hosts))

    def _kill_worker(self, host: Supervisor) -> None:
        host.kill_worker(self.world.choices.choose(range(len(host.workers))))

    def _kill_agent(self, host: Supervisor) -> None:
        host.kill_agent()

    def _kill_host(self, host: Supervisor) -> None:
        host.kill()

    def _kill_candidate(self, host: Supervisor) -> None:
        if not self.candidates:
            host.kill_agent()
            return
        self.world.choices.choose(self.candidates).kill()

    def _pause_host(self, host: Supervisor) -> None:
        host.pause(self.world.choices.choose(self.scene.times.pauses))

    def _pause_worker(self, host: Supervisor) -> None:
        worker = self.world.choices.choose(host.workers)
        if worker is not None:
            worker.pause(self.world.choices.choose(self.scene.times.pauses))

    def _pause_candidate(self, host: Supervisor) -> None:
        seconds = self.world.choices.choose(self.scene.times.pauses)
        if self.candidates:
            self.world.choices.choose(self.candidates).pause(seconds)
        elif host.agent is not None:
            host.agent.pause(seconds)

    def _drain_host(self, host: Supervisor) -> None:
        if host.agent is not None and host.agent.alive:
            host.agent.drain()

    def _give_back(self, host: Supervisor) -> None:
        if host.agent is not None and host.agent.alive:
            host.agent.give_back()

    def _kill_operator(self, host: Supervisor) -> None:
        if self.operators:
            self.world.choices.choose(self.operators).kill()

    def _kill_caller(self, host: Supervisor) -> None:
        if self.callers:
            self.world.choices.choose(self.callers).kill()

    def _pause_caller(self, host: Supervisor) -> None:
        if self.callers:
            caller = self.world.choices.choose(self.callers)
            seconds = self.world.choices.choose(self.scene.times.pauses)
            if all(actor.op is None for actor in caller.actors):  # what was sent is on its way all the same
                caller.pause(seconds)

    def _outage(self, host: Supervisor) -> None:
        """The store is there for nobody."""
        self.world.closed_until = self.world.now + self.world.choices.choose(self.scene.times.pauses)
        self.world.mark("the store was there for nobody")

    def _meddle(self, host: Supervisor) -> None:
        """Somebody cleans up by hand what is not theirs."""
        keys = self.world.store.keys(self.world.layout.hosts)
        if keys:
            key = self.world.choices.choose(keys)
            self.world.record(Meddled(self.world.now, key))
            self.world.store.remove(key, self.world.now)

    def _refuse(self, host: Supervisor) -> None:
        """One object can be neither read nor written from now on: a ledger, or the letter of a message that may die."""
        world, layout = self.world, self.world.layout
        keys = world.store.keys(layout.hosts)
        for path in map(layout.path, world.store.keys(layout.inbox)):
            with contextlib.suppress(CorruptRecord):
                keys += [layout.dead(parse_source(path).queue, layout.message_id(path, at)) for at in (0, 1)]
        if keys:
            key = world.choices.choose(keys)
            world.refused.add(key)
            world.record(Refused(world.now, key))
            world.mark("the store refused a key for ever")

    # ---- the schedule --------------------------------------------------------------------------------------

    def run(self) -> list[Event]:
        """The history."""
        try:
            self._run()
        except Exception as fault:  # noqa: BLE001 - whatever a step raises is a finding
            where = traceback.extract_tb(fault.__traceback__)[-1]
            why = f"{type(fault).__name__}: {fault} ({Path(where.filename).name}:{where.lineno})"
            self.world.record(Raised(self.world.now, why))
        return self.world.events

    def _run(self) -> None:
        world, rest = self.world, Rest(self)
        while world.now < self.scene.storm_s and world.actors:
            world.step()
        world.calm()
        for operator in (*self.operators, *self.schedulers):
            operator.kill()
        if self.schedulers:
            Remover(world, self._machine(0))
        if self.operators:
            Resumer(world, self._machine(0))
        bombs = self.scene.producers * self.scene.batches if "bomb" in self.scene.shapes else 0
        ends_at, moves, why = world.now + _DRAIN_S + bombs * _DRAIN_BOMB_S, 0, "not begun"
        while why and world.now < ends_at and moves < _MOVES:
            for _ in range(_PATIENCE):
                world.step()
            moves += _PATIENCE
            why = rest.why_not()
        body = world.store.body(world.layout.board)
        if body is not None:
            stuck = rest.stuck(known_of(decode(Board, world.layout.board, body)))
        else:
            stuck = rest.unfounded()
            why = "" if stuck else why
        world.record(Drained(world.now, why, tuple(world.store.keys()), tuple(sorted(stuck))))


def run(choices: Choices, scene: Scene) -> tuple[list[Event], int]:
    """Run one schedule. The history, and how many requests reached the store."""
    with _short_pages(scene.page):
        simulation = Simulation(choices, scene)
        if scene.page < 1000:
            simulation.world.mark(SHORT_SURVEYS)
        return simulation.run(), simulation.world.store.requests


@contextmanager
def _short_pages(page: int) -> Iterator[None]:
    """Have surveys page through what would fit one page of a real store, and look at three pages of a queue at most."""

    def short(*args: Any, limit: int = page, **more: Any) -> Step[Survey]:
        return survey.survey(*args, limit=min(limit, page), **more)

    if page >= survey._FULL_PAGE:
        yield
        return
    kept = survey._FULL_PAGE, survey._MAX_PAGES
    vars(cycle)["survey"] = short
    survey._FULL_PAGE, survey._MAX_PAGES = page, 2
    try:
        yield
    finally:
        vars(cycle)["survey"] = survey.survey
        survey._FULL_PAGE, survey._MAX_PAGES = kept
