"""Those who steer: operators that pause and resume queues, with the production steps, and may end in the middle."""

from __future__ import annotations

from s3queue.core import operate
from s3queue.core.operate import Edit
from s3queue.core.ops import Unknown, get
from s3queue.core.records import Board, decode
from s3queue.errors import StoreError
from s3queue.store import Found
from s3queue.testing.simulate.history import Steered
from s3queue.testing.simulate.producers import QUEUES
from s3queue.testing.simulate.world import Doing, Machine, Process, Program, Sleep, World

#: Things that one operator does.
_DOES = 4
#: Seconds between two looks whether a change holds.
_LOOK_S = 0.3
#: Seconds for which it waits for that.
_PATIENCE_S = 6.0
#: Seconds after which a pause ends by itself, in some.
_PAUSE_S = (0, 2, 5)


class Operator(Process):
    """Does one thing after the other, and waits until it holds. The schedule may end it anywhere."""

    def __init__(self, world: World, name: str, machine: Machine) -> None:
        super().__init__(world, name, machine)
        self.spawn("main", self._main())

    def _main(self) -> Program:
        choices = self.world.choices
        for _ in range(_DOES):
            yield Sleep(choices.choose(self.world.scene.times.between))
            queue = choices.choose(QUEUES)
            if choices.choose((True, False)):
                seconds = choices.choose(_PAUSE_S)
                yield from self._change(operate.pause(queue, self.wall_ms() + seconds * 1000 if seconds else 0))
            else:
                yield from self._change(operate.resume(queue))

    def _change(self, edit: Edit) -> Doing[None]:
        world = self.world
        try:
            outcome = yield from operate.change(world.layout, edit, world.nonce())
        except StoreError:
            return
        if isinstance(outcome, Unknown):
            return
        until = self.steady() + _PATIENCE_S
        while self.steady() < until:
            try:
                found = yield from get(world.layout.board)
            except StoreError:
                yield Sleep(_LOOK_S)
                continue
            board = decode(Board, world.layout.board, found.body) if isinstance(found, Found) else None
            if operate.has_planned(board, outcome.turn):
                world.record(Steered(world.now, self.name, outcome.turn))
                world.mark("an operator saw that a change holds")
                return
            yield Sleep(_LOOK_S)


class Resumer(Process):
    """Comes when it is calm, and resumes everything, so that all can drain."""

    def __init__(self, world: World, machine: Machine) -> None:
        super().__init__(world, "resumer", machine)
        self.spawn("main", self._main())

    def _main(self) -> Program:
        edit = operate.resume(*QUEUES)
        while isinstance((yield from operate.change(self.world.layout, edit, self.world.nonce())), Unknown):
            yield Sleep(_LOOK_S)
