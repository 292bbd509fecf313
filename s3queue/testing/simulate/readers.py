"""Readers of results, with the production steps, at any time that the schedule chooses."""

from __future__ import annotations

from s3queue.core.keys import parse_message_id, parse_source
from s3queue.core.ops import Wait, get
from s3queue.core.records import Board, decode, decode_result
from s3queue.core.results import Look, Looked, Pause, wait_for
from s3queue.errors import StoreError
from s3queue.store import Found
from s3queue.testing.simulate.history import Told, Wondered
from s3queue.testing.simulate.world import Doing, Machine, Process, Program, Sleep, World

#: Looks of one reading at most, and readings once it is calm.
_LOOKS, _CALM = 4, 8
#: Seconds of a pause. Seconds for which a board may be known before it is read again.
_PAUSES_S = (0.1, 0.7, 2.5)


class Reader(Process):
    def __init__(self, world: World, name: str, machine: Machine) -> None:
        super().__init__(world, name, machine)
        self._board: Board | None = None
        self.spawn("main", self._main())

    def _main(self) -> Program:
        world, calm = self.world, 0
        while calm < _CALM:
            yield Sleep(world.choices.choose(_PAUSES_S))
            calm += not world.stormy
            message = self._some()
            if message is None:
                continue
            path, number = message
            world.record(Wondered(world.now, self.name, path, number))
            try:
                looked = yield from self._ask(world.layout.message_id(path, number))
            except StoreError:
                continue
            if looked is not None:
                result = looked.result
                world.mark(f"a reader was told: {looked.verdict.value}")
                world.record(
                    Told(
                        world.now,
                        self.name,
                        looked.verdict.value,
                        "" if result is None else result.ticket,
                        0 if result is None else result.expires_ms,
                        self.wall_ms(),
                    )
                )

    def _some(self) -> tuple[str, int] | None:
        """A message whose result is there, mostly; it need not count."""
        world, choices = self.world, self.world.choices
        keys: list[str] = world.store.keys(world.layout.results)
        is_hot = choices.choose((True, False), 0.7)
        if keys and is_hot:
            key = choices.choose(keys[-6:])
            ref = parse_message_id(decode_result(key, world.store.body(key) or b"").message)
            return None if parse_source(ref.path).is_borrowed else (ref.path, ref.index)
        paths = [path for path in world.offered[-6:] if not parse_source(path).is_borrowed]
        if not paths:
            return None
        path = choices.choose(paths)
        return path, choices.choose(range(parse_source(path).count))

    def _ask(self, message: str) -> Doing[Looked | None]:
        """What `s3queue.operate.waiting` does."""
        step, answer, looks = wait_for(self.world.layout, message), None, 0
        while True:
            try:
                wish = step.send(answer)
            except StopIteration as end:
                looked: Looked = end.value
                return looked
            match wish:
                case Pause():
                    looks += 1
                    if looks == _LOOKS:
                        return None
                    yield Sleep(self.world.choices.choose(_PAUSES_S))
                    answer = None
                case Look("ever") if self._board is not None:
                    answer = self._board
                case Look():
                    found = yield from get(self.world.layout.board)
                    board = decode(Board, self.world.layout.board, found.body) if isinstance(found, Found) else None
                    answer = self._board = board
                case op:
                    assert not isinstance(op, Wait)
                    answer = yield op
