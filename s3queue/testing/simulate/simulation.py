"""One schedule from beginning to end: a storm, then calm, until nothing is left to do."""

from __future__ import annotations

import contextlib
import traceback
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from s3queue.core import cycle, survey
from s3queue.core.keys import BORROWED, REQUESTS, TICKS, UNIQUE, is_source, parse_source, schedule_in
from s3queue.core.ops import Step
from s3queue.core.plan.rules import in_force
from s3queue.core.records import Board, Control, Ledger, Ticket, decode, decode_batch, decode_moved, divide, known_of
from s3queue.core.records.limits import NO_LIMITS
from s3queue.core.survey import Survey
from s3queue.errors import CorruptRecord
from s3queue.testing.simulate.callers import Caller
from s3queue.testing.simulate.choices import Choices
from s3queue.testing.simulate.history import Drained, Event, Meddled, Raised, Refused
from s3queue.testing.simulate.hosts import Supervisor
from s3queue.testing.simulate.newcomers import Newcomer
from s3queue.testing.simulate.operators import Operator, Redriver, Resumer
from s3queue.testing.simulate.producers import QUEUES, Producer, Scribbler
from s3queue.testing.simulate.readers import Reader
from s3queue.testing.simulate.scenes import Scene
from s3queue.testing.simulate.schedulers import Remover, Scheduler
from s3queue.testing.simulate.story import SHORT_SURVEYS, Story
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
        if "corrupt" in scene.shapes:
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

    def _stuck(self, board: Board) -> set[str]:
        """Sources that cannot be finished while the store refuses these keys, and those of their groups."""
        layout, refused = self.world.layout, self.world.refused
        if not refused:
            return set()
        sessions = {layout.session(key) for key in refused if key.startswith(layout.hosts)}
        stuck = {
            part.source for ticket in board.tickets.values() if ticket.session in sessions for part in ticket.parts
        }
        for path, state in board.sources.items():
            source = parse_source(path)
            # One letter may stand for all that nobody can read, whichever they are.
            letters = (layout.dead(source.queue, self._message_id(path, at)) for at in range(source.count))
            if (state.dying or source.kind == "dead") and any(letter in refused for letter in letters):
                stuck.add(path)
        crowds = {(one.queue, one.group) for one in map(parse_source, stuck) if one.group is not None}
        # Behind a gate for arguments one message goes at a time, also of those that are redriven.
        gates = {(one.queue, one.gate) for one in map(parse_source, stuck) if one.gate.startswith(UNIQUE)}
        # Nor can those that wait for the places of what nobody can take back.
        tickets = {name: one for name, one in board.tickets.items() if one.session in sessions}
        limited = self._limited(tickets.values())
        limited |= {
            (one.queue, "") for name, one in tickets.items() if any(f.probe == name for f in board.fuses.values())
        }
        paths = [layout.path(key) for key in self.world.store.keys(layout.home)]
        for path in (*paths, *(path for path in board.sources if path.startswith(BORROWED))):
            with contextlib.suppress(CorruptRecord):
                source = parse_source(path)
                is_limited = not limited.isdisjoint({(source.queue, ""), (source.queue, source.key)})
                if (source.queue, source.group) in crowds or (source.queue, source.gate) in gates or is_limited:
                    stuck.add(source.path)
        return stuck

    def _limited(self, tickets: Iterable[Ticket]) -> set[tuple[str, str]]:
        """Queues and keys of which only so many messages may run at once, and some are in these tickets; also in one from
        before that was so. All of a queue: ``""``."""
        store, layout = self.world.store, self.world.layout
        ledgers, body = [], store.body(layout.control)
        for key in store.keys(layout.hosts):
            with contextlib.suppress(CorruptRecord):
                ledgers.append(decode(Ledger, key, store.body(key) or b""))
        limits = in_force(ledgers, None if body is None else decode(Control, layout.control, body))
        found = set()
        for ticket in tickets:
            of = limits.get(ticket.queue, NO_LIMITS)
            keys = {parse_source(part.source).key for part in ticket.parts}
            found |= {(ticket.queue, key) for key in keys if of.of(key).max_running}
            if of.queue.max_running:
                found.add((ticket.queue, ""))
        return found

    def _unfounded(self) -> set[str]:
        """Every source, if there is no board and the store refuses the ledger of each host that could found one: a host
        whose ledger is not known to be stored does not work, and does not lead."""
        world, layout = self.world, self.world.layout
        agents = [host.agent for host in (*self.hosts, *self.candidates)]
        if not agents or any(agent is None or layout.host(agent.session) not in world.refused for agent in agents):
            return set()
        paths = set()
        for key in world.store.keys(layout.home):
            with contextlib.suppress(CorruptRecord):
                paths.add(parse_source(layout.path(key)).path)
        return paths

    def _message_id(self, path: str, index: int) -> str:
        """What it was called first, if it was moved off the board."""
        body = self.world.store.body(self.world.layout.source(path))
        if parse_source(path).moved and body is not None:
            origin = decode_moved(path, decode_batch(path, body).messages[index]).origin
            assert origin is not None
            return origin.message
        return self.world.layout.message_id(path, index)

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
        world = self.world
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
            why = self._unfinished()
        body = world.store.body(world.layout.board)
        if body is not None:
            stuck = self._stuck(known_of(decode(Board, world.layout.board, body)))
        else:
            stuck = self._unfounded()
            why = "" if stuck else why
        world.record(Drained(world.now, why, tuple(world.store.keys()), tuple(sorted(stuck))))

    def _unfinished(self) -> str:
        """Why the world is not at rest; empty if it is."""
        world, layout = self.world, self.world.layout
        if world.under_way or any(isinstance(actor.process, (Producer, Caller, Resumer)) for actor in world.actors):
            return "somebody is still sending"
        body = world.store.body(layout.board)
        if body is None:
            return "there is no board"
        board, foreign = divide(decode(Board, layout.board, body))
        stuck = self._stuck(board)
        waits = {one for path in stuck for mark in board.marks.get(path, {}).values() for one in mark.requests}
        tickets = [name for name, ticket in board.tickets.items() if ticket.parts[0].source not in stuck]
        edits = {
            one.by for path in stuck if path in board.sources for one in board.sources[path].endings.values() if one.by
        }
        waits |= edits
        if board.edits.keys() - edits:
            return f"letters that are to have other payloads: {sorted(board.edits)}"
        if stuck:
            # A purge waits for what is stuck, and another one of its queue for that.
            waits |= {path for path in map(layout.path, world.store.keys(layout.requests)) if board.purges}
        elif board.purges:
            return f"purges that are not over: {sorted(board.purges)}"
        if self.schedulers and (why := self._ticks(board, stuck)):
            return why
        if board.answers:
            return f"requests that are not forgotten: {sorted(board.answers)}"
        if tickets or board.sources.keys() - stuck:
            return f"the board holds {sorted(board.tickets)} {sorted(board.sources)}"
        for key in world.store.keys(layout.home):
            if key.startswith(layout.hosts):
                if key in world.refused or layout.session(key) in foreign.sessions:
                    continue
                try:
                    if decode(Ledger, key, world.store.body(key) or b"").over or not self._lives(layout.session(key)):
                        return f"the ledger of a session that is over: {key}"
                except CorruptRecord:
                    return f"a ledger that nobody can read: {key}"
            elif key in (layout.board, layout.control) or not (world.store.body(key) and self._is_source(key)):
                continue
            elif layout.path(key) not in stuck | waits:
                return f"a source: {key}"
        if self.scene.outlast and (pages := world.store.keys(layout.retired)):
            story = Story(world.events, self.scene.times.settings)
            if pages := [page for page in pages if not story.is_unheard(page)]:
                return f"retired pages: {pages}"
        return ""

    def _ticks(self, board: Board, stuck: set[str]) -> str:
        """Why schedules are not over; empty if they are."""
        world, layout = self.world, self.world.layout
        body = world.store.body(layout.control)
        if body is not None and decode(Control, layout.control, body).schedules:
            return "there are schedules"
        needed = {schedule_in(path) for path in stuck if path.startswith(TICKS)}
        left = [
            name
            for name, ticked in board.schedules.items()
            if not ticked.gone_ms or (ticked.old and name not in needed)
        ]
        return f"schedules that have not gone: {left}" if left else ""

    def _is_source(self, key: str) -> bool:
        path = self.world.layout.path(key)
        return is_source(path) or path.startswith(REQUESTS)

    def _lives(self, session: str) -> bool:
        hosts = (*self.hosts, *self.candidates)
        return any(host.agent is not None and host.agent.session == session for host in hosts)


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
