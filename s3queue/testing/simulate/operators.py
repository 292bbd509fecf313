"""Operators, who pause and resume queues and tasks, cancel messages and start them early.

They use the production steps, and may end in the middle.
"""

from __future__ import annotations

from collections.abc import Callable

from msgspec.structs import replace

from s3queue.core import operate
from s3queue.core.keys import is_source, parse_source, request_path
from s3queue.core.operate import Edit
from s3queue.core.ops import Unknown, get
from s3queue.core.produce import Accepted
from s3queue.core.records import (
    CANCEL,
    PURGE,
    PURGE_LETTERS,
    REDRIVE,
    RUN_NOW,
    Board,
    Chosen,
    Control,
    DeadLetter,
    LetterRequest,
    Limit,
    Limits,
    Request,
    decode,
)
from s3queue.errors import StoreError
from s3queue.store import Found
from s3queue.testing.simulate.history import Answered, Asked, Idled, Steered
from s3queue.testing.simulate.producers import NEW, PLAIN, QUEUES
from s3queue.testing.simulate.world import Doing, Machine, Process, Program, Sleep, World

#: Things that one operator does.
_DOES = 4
#: Times that one redriver looks at dead letters.
_REDRIVES = 20
#: Seconds between two looks whether a change holds.
_LOOK_S = 0.3
#: Seconds for which it waits for that.
_PATIENCE_S = 6.0
#: Seconds after which a pause ends by itself, in some.
_PAUSE_S = (0, 2, 5)
#: Tasks that are paused.
_HALTED = (PLAIN, NEW, PLAIN)
#: What a queue is limited to.
_LIMITS = (
    Limits(Limit(max_running=1)),
    Limits(Limit(max_running=3)),
    Limits(each=Limit(max_running=1)),
    Limits(Limit(max_running=0), Limit(max_running=0)),
    Limits(Limit(rate=2.0), fair=True),
)
#: Seconds after which what runs ends with its process.
_FORCE_S = (None, 0.5, 0.0)


class Operator(Process):
    """Does one thing after the other, and waits until it holds. The schedule may end it anywhere."""

    def __init__(self, world: World, name: str, machine: Machine) -> None:
        super().__init__(world, name, machine)
        self.spawn("main", self._main())

    def _main(self) -> Program:
        world, choices = self.world, self.world.choices
        for _ in range(_DOES):
            yield Sleep(choices.choose(self.world.scene.times.between))
            queue = choices.choose(QUEUES)
            does: tuple[str, ...] = "cancel", "pause", "resume", "run now", "cancel", "purge"
            if world.scene.limits is not None:
                does = "limit", "unlimit", *does, "limit"
            if world.scene.halts:
                does += "pause task", "resume task", "pause task"
            match choices.choose(does):
                case "limit":
                    yield from self._change(operate.limit(QUEUES[0], choices.choose(_LIMITS)))
                case "unlimit":
                    yield from self._change(operate.unlimit(QUEUES[0]))
                case "pause":
                    seconds = choices.choose(_PAUSE_S)
                    yield from self._change(operate.pause(queue, self.wall_ms() + seconds * 1000 if seconds else 0))
                case "resume":
                    yield from self._change(operate.resume(queue))
                case "pause task":
                    task, seconds = choices.choose(_HALTED), choices.choose(_PAUSE_S)
                    yield from self._halt(queue, task, self.wall_ms() + seconds * 1000 if seconds else 0)
                case "resume task":
                    yield from self._change(operate.resume_task(queue, choices.choose(_HALTED)))
                case "cancel":
                    yield from self._ask(CANCEL)
                case "purge":
                    request = Request(world.nonce(), PURGE, "", queue=queue, force_after=choices.choose(_FORCE_S))
                    yield from self._request(request, queue, 0)
                case _:
                    yield from self._ask(RUN_NOW)

    def _ask(self, kind: str) -> Doing[None]:
        """Ask for something of some message, which may be anywhere by now, and wait for the answer."""
        world, choices = self.world, self.world.choices
        layout = world.layout
        moved = [
            path
            for path in map(layout.path, world.store.keys(layout.later))
            if is_source(path) and parse_source(path).moved
        ]
        paths = moved or world.offered[-4:]
        if not paths:
            return
        path = choices.choose(paths)
        number = choices.choose(range(parse_source(path).count))
        message = layout.message_id(path, number)
        force = choices.choose(_FORCE_S) if kind == CANCEL else None
        at = message if path in moved else ""
        request = Request(world.nonce(), kind, message, at, "the schedule says so", force)
        yield from self._request(request, path, number)

    def _request(self, request: Request, path: str, number: int) -> Doing[None]:
        world = self.world
        name = request_path(self.wall_ms(), f"{world.number():016x}")
        world.record(Asked(world.now, self.name, name, request.kind, path, number))
        answer = yield from self._answer(name, request)
        if answer is not None:
            world.mark(f"an operator was told: {answer.partition(' ')[0]}")

    def _answer(self, name: str, request: Request | LetterRequest) -> Doing[str | None]:
        world, layout = self.world, self.world.layout
        until, is_sent = self.steady() + _PATIENCE_S, False
        while self.steady() < until:
            try:
                is_sent = is_sent or isinstance((yield from operate.ask(layout, name, request)), Accepted)
                answer = (yield from operate.read_answer(layout, name)) if is_sent else None
            except StoreError:
                answer = None
            if answer is not None:
                world.record(Answered(world.now, self.name, name, answer))
                return answer
            yield Sleep(_LOOK_S)
        return None

    def _change(self, edit: Edit) -> Doing[None]:
        world = self.world
        if (turn := (yield from self._store(edit))) is None:
            return
        if (yield from self._until(lambda board: operate.has_planned(board, turn))):
            world.record(Steered(world.now, self.name, turn))
            world.mark("an operator saw that a change holds")

    def _halt(self, queue: str, task: str, until_ms: int) -> Doing[None]:
        """Pause a task, and wait until nobody runs it."""
        world, out = self.world, frozenset[str]()
        if (turn := (yield from self._store(operate.pause_task(queue, task, until_ms)))) is None:
            return

        def holds(board: Board | None) -> bool:
            nonlocal out
            out = operate.tickets_of(board, queue)
            return operate.has_halted(board, turn, queue, task)

        if not (yield from self._until(holds)):
            return
        world.record(Steered(world.now, self.name, turn))
        if (yield from self._until(lambda board: out.isdisjoint(operate.tickets_of(board, queue)))):
            world.record(Idled(world.now, self.name, queue, task))
            world.mark("an operator saw that a paused task is idle")

    def _store(self, edit: Edit) -> Doing[int | None]:
        """Returns the turn of the change; None: it may or may not be stored."""
        try:
            outcome = yield from operate.change(self.world.layout, edit, self.world.nonce())
        except StoreError:
            return None
        return None if isinstance(outcome, Unknown) else outcome.turn

    def _until(self, holds: Callable[[Board | None], bool]) -> Doing[bool]:
        """Look at the board until that is true of it. False: it took too long."""
        layout, until = self.world.layout, self.steady() + _PATIENCE_S
        while self.steady() < until:
            try:
                found = yield from get(layout.board)
            except StoreError:
                yield Sleep(_LOOK_S)
                continue
            if holds(decode(Board, layout.board, found.body) if isinstance(found, Found) else None):
                return True
            yield Sleep(_LOOK_S)
        return False


class Redriver(Operator):
    """Redrives and purges dead letters, whatever others do with the same, and cancels messages that were redriven."""

    def _main(self) -> Program:
        choices = self.world.choices
        for _ in range(_REDRIVES):
            yield Sleep(choices.choose(self.world.scene.times.between))
            kind = choices.choose((REDRIVE, REDRIVE, PURGE_LETTERS, CANCEL), 0.7)
            yield from self._ask(CANCEL) if kind == CANCEL else self._decide(kind)

    def _decide(self, kind: str) -> Doing[None]:
        """Redrive or purge some of the dead letters that there are, as another one may at the same time."""
        world, choices, layout = self.world, self.world.choices, self.world.layout
        queue = choices.choose(QUEUES)
        keys = world.store.keys(layout.dead(queue))[: choices.choose((3, 1, 5))]
        chosen: list[Chosen] = []
        by_version = choices.choose((True, False))
        for key in keys:
            try:
                found = yield from get(key)
            except StoreError:
                continue
            letter = decode(DeadLetter, key, found.body) if isinstance(found, Found) and found.body else None
            if letter is None or letter.raw or letter.tombstone:
                continue
            payload = None
            if kind == REDRIVE and choices.choose((False, True)):
                payload = b"\xabedited" + f"{world.number():05x}".encode()
            assert isinstance(found, Found)
            chosen.append(Chosen(letter.message, letter.life, found.version if by_version else "", payload))
        if not chosen:
            yield Sleep(_LOOK_S)
            return
        name = request_path(self.wall_ms(), f"{world.number():016x}", about_letters=True)
        answer = yield from self._answer(name, LetterRequest(world.nonce(), kind, queue, tuple(chosen)))
        if answer is not None:
            world.mark(f"an operator was told of letters: {'some of them' if ' ' in answer else answer}")


class Resumer(Process):
    """Comes when it is calm, and resumes everything, so that all can drain."""

    def __init__(self, world: World, machine: Machine) -> None:
        super().__init__(world, "resumer", machine)
        self.spawn("main", self._main())

    def _main(self) -> Program:
        while self.world.under_way:  # a pause of somebody who gave up may still land
            yield Sleep(_LOOK_S)

        def edit(control: Control) -> Control:
            return replace(operate.resume(*QUEUES)(control), paused_tasks={})

        while isinstance((yield from operate.change(self.world.layout, edit, self.world.nonce())), Unknown):
            yield Sleep(_LOOK_S)
