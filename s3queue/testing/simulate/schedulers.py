"""Setters of schedules: hosts of releases that declare different schedules, and an operator who changes some at run
time.

Schedules have intervals of whole seconds here; `s3queue.options.timetable` is tested against years of its own.
"""

from __future__ import annotations

from msgspec import Raw
from msgspec.structs import replace

from s3queue.core import operate
from s3queue.core.declare import Declared, set_schedule
from s3queue.core.keys import request_path
from s3queue.core.operate import Edit
from s3queue.core.ops import Unknown
from s3queue.core.produce import Accepted
from s3queue.core.records import (
    CATCH_UP,
    TICK,
    Control,
    Message,
    Request,
    Schedule,
    encode_batch,
    encode_message,
)
from s3queue.errors import StoreError
from s3queue.testing.simulate.producers import PLAIN, QUEUES
from s3queue.testing.simulate.world import Doing, Machine, Process, Program, Sleep, World

#: What the code of a host declares, by the number of its release: seconds of the interval. The last one declares nothing.
_RELEASES = (2, 3, 0)
#: The name under which they declare it.
OWN = "own"
#: Things that one scheduler does.
_DOES = 8
_LOOK_S = 0.5


def declared_by(number: int, queues: tuple[str, ...]) -> tuple[Declared, ...]:
    """What the host with this number declares."""
    every_s = _RELEASES[number % len(_RELEASES)]
    if not every_s or not queues:
        return ()
    return (_declared(OWN, every_s, "all", digest=f"release {every_s}"),)


def _declared(name: str, every_s: int, catch_up: str, *, digest: str = "") -> Declared:
    schedule = Schedule(1, QUEUES[0], PLAIN, every_s=every_s, catch_up=catch_up, digest=digest)
    return Declared(name, schedule, encode_batch([encode_message(Message(PLAIN, Raw(b"\xc0")))], 0))


class Scheduler(Process):
    """Sets, pauses, resumes, removes and runs schedules. The schedule of the world may end it anywhere."""

    def __init__(self, world: World, name: str, machine: Machine) -> None:
        super().__init__(world, name, machine)
        self.spawn("main", self._main())

    def _main(self) -> Program:
        choices = self.world.choices
        for _ in range(_DOES):
            yield Sleep(choices.choose(self.world.scene.times.between))
            name = choices.choose(("a", "b", OWN))
            try:
                match choices.choose(("set", "set", "pause", "resume", "remove", "run")):
                    case "set":
                        one = _declared(name, choices.choose((1, 2)), choices.choose(CATCH_UP))
                        yield from set_schedule(self.world.layout, one, self.world.nonce())
                    case "pause":
                        yield from self._change(name, paused_ms=0)
                    case "resume":
                        yield from self._change(name, paused_ms=None, from_ms=self.wall_ms())
                    case "remove":
                        yield from operate.change(self.world.layout, _without(name), self.world.nonce())
                    case _:
                        yield from self._run(name)
            except StoreError:
                continue

    def _change(self, name: str, **fields: int | None) -> Doing[None]:
        def edit(control: Control) -> Control:
            known = control.schedules.get(name)
            if known is None:
                return control
            return replace(control, schedules={**control.schedules, name: replace(known, **fields)})

        yield from operate.change(self.world.layout, edit, self.world.nonce())

    def _run(self, name: str) -> Doing[None]:
        path = request_path(self.wall_ms(), f"{self.world.number():016x}")
        request = Request(self.world.nonce(), TICK, name)
        for _ in range(3):
            if isinstance((yield from operate.ask(self.world.layout, path, request)), Accepted):
                return
            yield Sleep(_LOOK_S)


class Remover(Process):
    """Comes when it is calm, and removes every schedule as often as somebody sets one, so that all can drain."""

    def __init__(self, world: World, machine: Machine) -> None:
        super().__init__(world, "remover", machine)
        self.spawn("main", self._main())

    def _main(self) -> Program:
        while True:
            outcome = yield from operate.change(self.world.layout, _nothing, self.world.nonce())
            yield Sleep(_LOOK_S if isinstance(outcome, Unknown) else 2 * _LOOK_S)


def _nothing(control: Control) -> Control:
    return replace(control, schedules={})


def _without(name: str) -> Edit:
    return lambda control: replace(
        control, schedules={known: one for known, one in control.schedules.items() if known != name}
    )
