"""Processes that enqueue only once, with the production step, several behind one gate."""

from __future__ import annotations

from s3queue.core import operate, produce
from s3queue.core.keys import DEBOUNCE, DEDUP, UNIQUE, WAITING, gate_of, request_path, source_path
from s3queue.core.once import Call, Once, enqueue_once
from s3queue.core.produce import Outgoing, Unanswered
from s3queue.core.records import CANCEL, REPLACE, Request, encode_batch
from s3queue.errors import StoreUnavailable
from s3queue.testing.simulate.history import Accepted, Asked, Called, Calling
from s3queue.testing.simulate.producers import PLAIN, QUEUES, body_of
from s3queue.testing.simulate.world import Doing, Machine, Process, Program, Sleep, World

#: Of arguments until their message is over, while it waits, of an id, and of what a later call replaces.
GATES = tuple(gate_of(kind, "it") for kind in (UNIQUE, WAITING, DEDUP, DEBOUNCE))
#: What each call wants to be stored: the same, whoever completes it.
_BODY = encode_batch([body_of(PLAIN)], 0)
#: Calls of one caller, and milliseconds for which an id stays taken.
_CALLS, WINDOW_MS = 6, 4000


class Caller(Process):
    def __init__(self, world: World, name: str, machine: Machine) -> None:
        super().__init__(world, name, machine)
        self.spawn("main", self._main())

    def _main(self) -> Program:
        world, scene = self.world, self.world.scene
        for _ in range(_CALLS):
            yield Sleep(world.choices.choose(scene.times.between))
            if not world.stormy:
                return
            gate = world.choices.choose(GATES)
            world.record(Calling(world.now, self.name, gate))
            window_ms = WINDOW_MS if gate.startswith(DEDUP) else 0
            call = Call(QUEUES[0], gate, window_ms, takes_over=gate.startswith(DEBOUNCE))
            began = self.steady()
            while self.steady() - began < scene.times.enqueue_deadline:
                try:
                    outcome = yield from enqueue_once(
                        world.layout,
                        call,
                        self._offer(gate),
                        self.wall_ms(),
                        world.nonce(),
                        self._in_time(self.steady()),
                    )
                except StoreUnavailable:
                    outcome = Unanswered()
                if isinstance(outcome, Once):
                    world.offered.append(outcome.path)
                    world.record(Called(world.now, self.name, outcome.path, outcome.is_new))
                    world.record(Accepted(world.now, self.name, outcome.path, _BODY))
                    world.mark(
                        f"a caller enqueued {gate[0]}" if outcome.is_new else f"a caller found another's {gate[0]}"
                    )
                    if outcome.replaced:
                        yield from self._withdraw(outcome.replaced)
                    break
                if isinstance(outcome, Unanswered):
                    yield Sleep(world.choices.choose(scene.times.again))

    def _withdraw(self, path: str) -> Doing[None]:
        """Ask that the message of which another takes the place does not begin. Without an answer both run."""
        world = self.world
        name = request_path(self.wall_ms(), f"{world.number():016x}")
        request = Request(world.nonce(), REPLACE, world.layout.message_id(path, 0))
        world.record(Asked(world.now, self.name, name, CANCEL, path, 0))
        world.mark("a caller replaced a message")
        began = self.steady()
        while self.steady() - began < world.scene.times.enqueue_deadline:
            try:
                if isinstance((yield from operate.ask(world.layout, name, request)), produce.Accepted):
                    return
            except StoreUnavailable:
                pass
            yield Sleep(world.choices.choose(world.scene.times.again))

    def _in_time(self, began: float) -> InTime:
        return InTime(self, began)

    def _offer(self, gate: str) -> Outgoing:
        world = self.world
        now_ms, batch = self.wall_ms(), f"{world.number():03x}"
        due_ms = now_ms + 1500 if gate.startswith(DEBOUNCE) else None
        path = source_path(QUEUES[0], sent_ms=now_ms, batch=batch, count=1, gate=gate, due_ms=due_ms)
        return Outgoing(path, _BODY, 1)


class InTime:
    """Whether a call that began then may still put."""

    def __init__(self, caller: Caller, began: float) -> None:
        self._caller, self._began = caller, began

    def __call__(self) -> bool:
        return self._caller.steady() - self._began < self._caller.world.scene.times.enqueue_deadline
