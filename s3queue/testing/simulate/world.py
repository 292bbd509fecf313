"""The scheduler: a clock that only it moves, actors that take turns, and what becomes of each request.

An actor is a generator that yields operations of `s3queue.core.ops`, so it may be, or contain, any production step; and
`Sleep`. Each has a time at which it would move. The scheduler takes the first, or one of those just after it, and moves
the clock. An answer reaches its actor a moment after the request was applied, so that others come in between.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from operator import attrgetter
from typing import Any, NamedTuple, TypeAlias, TypeVar

from s3queue.core.keys import Layout
from s3queue.core.ops import Delete, Gather, Get, List, Missed, Op, Put, Signal, Unknown, Wait
from s3queue.errors import StoreDenied, StoreUnavailable
from s3queue.testing.simulate.choices import Choices
from s3queue.testing.simulate.history import Calmed, Event, Marked
from s3queue.testing.simulate.scenes import Scene
from s3queue.testing.simulate.store import SimStore

#: How much later than the first one may be that moves instead of it, in seconds.
_SLACK_S = 0.35
#: Wall clock where the simulation begins, in milliseconds.
EPOCH_MS = 1_700_000_000_000
FOREVER = 1e9
#: The most that any wall clock is ahead of that, in milliseconds.
SKEW_MS = 2100

_FOR_READS = ("served", "refused", "slow", "outage")
_FOR_DELETES = ("served", "unanswered", "late", "dropped", "slow", "outage")


class Sleep(NamedTuple):
    """Yielded by an actor: do nothing for so long, or until woken."""

    seconds: float


T = TypeVar("T")
#: What an actor does, on the way to a T.
Doing: TypeAlias = Generator[Op | Wait | Sleep, Any, T]
Program: TypeAlias = Doing[None]


class Machine:
    """A computer with two clocks, neither of them right."""

    def __init__(self, name: str, steady_offset: float, wall_skew: float) -> None:
        self.name, self.steady_offset, self.wall_skew = name, steady_offset, wall_skew


class Process:
    """Actors that stand still together and die together."""

    def __init__(self, world: World, name: str, machine: Machine) -> None:
        self.world, self.name, self.machine = world, name, machine
        self.actors: list[Actor] = []
        self.alive = True

    def steady(self) -> float:
        return self.world.now + self.machine.steady_offset

    def wall_ms(self) -> int:
        return EPOCH_MS + int((self.world.now + self.machine.wall_skew) * 1000)

    def spawn(self, name: str, program: Program, after: float = 0.0) -> Actor:
        actor = Actor(f"{self.name}/{name}", self, program, self.world.now + after)
        self.actors.append(actor)
        self.world.actors.append(actor)
        return actor

    def pause(self, seconds: float) -> None:
        for actor in self.actors:
            actor.ready_at = max(actor.ready_at, self.world.now + seconds)
            actor.paused = True

    def kill(self) -> None:
        """Nothing of it moves any more. What it has sent is on its way all the same."""
        self.alive = False
        for actor in self.actors:
            self.world.remove(actor)
        self.actors.clear()


class Actor:
    """One thread of control.

    Attributes:
        ready_at: when it would move.
        op: a request that has not reached the store yet.
        answer: what the program is sent next; ``fault``: or what is thrown into it.
        reads: what a `Gather` asks for; ``found``: what came of the first of them; ``within``: until when the rest is
            waited for, if they do not wait for each other.
        signal: what wakes it from a `Wait`.
        landing: it is no thread, only a request of somebody who does not wait for it.
    """

    __slots__ = (
        "answer",
        "asleep",
        "fault",
        "found",
        "landing",
        "name",
        "op",
        "paused",
        "process",
        "program",
        "reads",
        "ready_at",
        "refused",
        "signal",
        "within",
    )

    def __init__(self, name: str, process: Process | None, program: Program | None, ready_at: float) -> None:
        self.name, self.process, self.program, self.ready_at = name, process, program, ready_at
        self.op: Op | None = None
        self.answer: Any = None
        self.fault: Exception | None = None
        self.reads: Sequence[Get | List] = ()
        self.found: list[Any] = []
        self.within: float | None = None
        self.signal: Signal | None = None
        self.landing = program is None
        self.asleep = self.paused = False
        self.refused = 0


class World:
    """
    Attributes:
        stormy: whether there are faults now.
        chaos: called before some moves while it is stormy.
        closed_until: the store answers nobody before that.
        refused: keys that the store refuses for ever.
    """

    def __init__(self, choices: Choices, scene: Scene) -> None:
        self.choices, self.scene = choices, scene
        self.layout = Layout()
        self.now = 0.0
        self.events: list[Event] = []
        self.record = self.events.append
        self.store = SimStore(self.layout.board, self.record)
        self.actors: list[Actor] = []
        self.stormy = True
        self.chaos: Callable[[], None] | None = None
        self.closed_until = 0.0
        self.refused: set[str] = set()
        #: Paths of batches that producers have begun to send.
        self.offered: list[str] = []
        self._soon: list[Callable[[], None]] = []
        self._number = 0
        self._marks: set[str] = set()
        fates = scene.weather.fates
        self._fates: dict[type, tuple[str, ...]] = {
            Put: fates,
            Get: tuple(fate for fate in _FOR_READS if fate in fates),
            List: tuple(fate for fate in _FOR_READS if fate in fates),
            Delete: tuple(fate for fate in _FOR_DELETES if fate in fates),
        }

    # ---- for actors ----------------------------------------------------------------------------------------

    def number(self) -> int:
        self._number += 1
        return self._number

    def nonce(self) -> str:
        return f"{self.number():x}"

    def mark(self, what: str) -> None:
        if what not in self._marks:
            self._marks.add(what)
            self.record(Marked(self.now, what))

    def later(self, seconds: float, call: Callable[[], None]) -> None:
        """Have something done that is no process's doing."""

        def program() -> Program:
            yield Sleep(seconds)
            call()

        self.actors.append(Actor("later", None, program(), self.now))

    def soon(self, call: Callable[[], None]) -> None:
        """The same, as soon as the present actor has ended its move."""
        self._soon.append(call)

    def wake(self, actor: Actor, after: float = 0.0) -> None:
        """Cut its sleep short."""
        if actor.asleep and not actor.paused:
            actor.ready_at = min(actor.ready_at, self.now + after)

    def remove(self, actor: Actor) -> None:
        if actor.program is None:
            return
        actor.program.close()
        actor.program = None
        self.actors.remove(actor)
        if actor.op is not None and actor.refused == 0:
            self._send_late(actor.name, actor.op, max(0.0, actor.ready_at - self.now))

    # ---- turns ---------------------------------------------------------------------------------------------

    def step(self) -> None:
        """One actor moves."""
        if self.stormy and self.chaos is not None:
            weather = self.scene.weather
            if weather.chaos and self.choices.choose((False, True), 1.0 - weather.chaos):
                self.chaos()
        actors = self.actors
        actors.sort(key=attrgetter("ready_at"))
        actor = actors[0]
        if self.stormy and not actor.landing:
            count, horizon = 1, max(actor.ready_at, self.now) + _SLACK_S
            for other in actors[1 : self.scene.width]:
                if other.ready_at > horizon or other.landing:
                    break
                count += 1
            if count > 1 and self.scene.weather.order < 1.0:
                actor = self.choices.choose(actors[:count], self.scene.weather.order)
        if actor.ready_at > self.now:
            self.now = actor.ready_at
        actor.asleep = actor.paused = False
        if actor.landing:
            actors.remove(actor)
            assert actor.op is not None
            before = len(self.events)
            self.store.perform(actor.op, self.now, actor.name)
            self.mark("a late request took effect" if len(self.events) > before else "a late request came to nothing")
        elif actor.op is not None:
            self._request(actor, actor.op)
        else:
            self._resume(actor)
        while self._soon:
            self._soon.pop(0)()

    def calm(self) -> None:
        """No faults from here on; what stands still, or was refused, goes on."""
        self.stormy = False
        for actor in self.actors:
            if actor.paused:
                actor.ready_at, actor.paused = self.now, False
        self.record(Calmed(self.now, max((a.ready_at for a in self.actors if a.op is not None), default=self.now)))

    @property
    def under_way(self) -> bool:
        """Whether a request of somebody who gave up may still land."""
        return any(actor.landing for actor in self.actors)

    # ---- one actor -----------------------------------------------------------------------------------------

    def _resume(self, actor: Actor) -> None:
        if actor.reads and actor.within is not None and actor.fault is not None:
            actor.answer, actor.fault = Missed(actor.fault), None
        if actor.reads and actor.fault is None:
            actor.found.append(actor.answer)
            if actor.within is not None and self.now >= actor.within:
                actor.found += [Missed()] * (len(actor.reads) - len(actor.found))
            if len(actor.found) < len(actor.reads):
                self._request(actor, actor.reads[len(actor.found)])
                return
            actor.answer, actor.reads, actor.within = actor.found, (), None
        if actor.signal is not None:
            actor.signal.notify = None
            actor.answer, actor.signal = actor.signal.take(), None
        assert actor.program is not None
        try:
            if actor.fault is not None:
                fault, actor.fault, actor.reads = actor.fault, None, ()
                wish = actor.program.throw(fault)
            else:
                answer, actor.answer = actor.answer, None
                wish = actor.program.send(answer)
        except StopIteration:
            actor.program = None
            self.actors.remove(actor)
            if actor.process is not None and actor in actor.process.actors:
                actor.process.actors.remove(actor)
            return
        if isinstance(wish, Sleep):
            actor.ready_at = self.now + wish.seconds
            actor.asleep = True
        elif isinstance(wish, Wait):
            self._wait(actor, wish)
        elif isinstance(wish, Gather):
            actor.reads, actor.found = wish.reads, []
            actor.within = None if wish.within_s is None else self.now + wish.within_s
            self._request(actor, wish.reads[0])
        else:
            self._request(actor, wish)

    def _wait(self, actor: Actor, wish: Wait) -> None:
        assert actor.process is not None
        actor.signal = wish.wake_on
        actor.ready_at = self.now
        if not wish.wake_on.is_set:
            actor.ready_at += min(FOREVER, max(0.0, wish.until - actor.process.steady()))
            actor.asleep = True
            wish.wake_on.notify = lambda: self.wake(actor)

    def _request(self, actor: Actor, op: Op) -> None:
        """Decide what becomes of a request, and do it."""
        times = self.scene.times
        if self.refused and isinstance(op, (Get, Put)) and op.key in self.refused:
            actor.op, actor.refused = None, 0
            actor.ready_at = self.now + times.latency
            actor.fault = StoreDenied(type(op).__name__.lower(), op.key)
            return
        if actor.op is not None and actor.refused == 0:  # it was slow, and has arrived
            fate = "served"
        elif self.stormy and self.now < self.closed_until:
            fate = "outage"
        elif self.stormy and actor.refused < 3 and self._may_fail(actor):
            fate = self.choices.choose(self._fates[type(op)], 1.0 - self.scene.weather.fault)
        else:
            fate = "served"
        actor.op = None
        if fate == "refused":
            actor.op, actor.refused = op, actor.refused + 1
            actor.ready_at = self.now + times.latency * 3
            return
        actor.refused = 0
        actor.ready_at = self.now + times.latency
        match fate:
            case "served":
                actor.answer = self.store.perform(op, self.now, actor.name)
                return
            case "slow":
                actor.ready_at = self.now + self.choices.choose(times.slow)
                if actor.within is not None and actor.ready_at > actor.within:
                    self.mark("a read took longer than it was waited for")
                    actor.ready_at, actor.answer = max(self.now, actor.within), Missed()
                else:
                    actor.op = op
                return
            case "outage":
                actor.ready_at = self.now + times.patience
                actor.fault = StoreUnavailable(type(op).__name__.lower(), op[0] if isinstance(op[0], str) else "")
                return
            case "unanswered":
                self.store.perform(op, self.now, actor.name)
                self.mark("a request took effect and was not answered")
            case "late":
                self._send_late(actor.name, op, self.choices.choose(times.late))
            case "truncated" if isinstance(op, Put) and op.if_version is None and self._is_batch(op.key):
                self.store.perform(op._replace(body=b""), self.now, actor.name)
                self.mark("a batch was stored without its body")
            case _:
                assert fate in ("dropped", "truncated")
                self.mark("a request was lost")
        actor.ready_at = self.now + times.unanswered
        if isinstance(op, Put):
            actor.answer = Unknown()
        else:
            actor.fault = StoreUnavailable("delete")

    def _is_batch(self, key: str) -> bool:
        layout = self.layout
        # What was cut short of a message that is enqueued only once is completed by nobody but its first caller.
        return key.startswith((layout.inbox, layout.later, layout.requests)) and "_" not in key

    def _may_fail(self, actor: Actor) -> bool:
        weather = self.scene.weather
        return weather.fault > 0 and (not weather.whose or actor.name.rpartition("/")[2] in weather.whose)

    def _send_late(self, who: str, op: Op, seconds: float) -> None:
        if isinstance(op, (Put, Delete)):
            landing = Actor(who, None, None, self.now + seconds)
            landing.op = op
            self.actors.append(landing)
