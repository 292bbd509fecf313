"""Processes that enqueue, with the production step, and give up as the front end does."""

from __future__ import annotations

from contextlib import suppress

from msgspec import Raw

from s3queue.core import produce
from s3queue.core.ops import Put
from s3queue.core.produce import Outgoing
from s3queue.core.records import Message, encode_message
from s3queue.errors import StoreUnavailable
from s3queue.testing.simulate.history import Accepted, GaveUp
from s3queue.testing.simulate.world import Machine, Process, Program, Sleep, World

#: Every host serves the first; the second is served by some.
QUEUES = ("q", "r")
#: Runs and ends as the schedule says; kills its worker whenever it runs; ends its whole host whenever it runs.
PLAIN, POISON, BOMB = "plain", "poison", "bomb"
KEYS = ("a", "b", "c")
#: The coordinator of a newer release.
NEWCOMER = "newer"
#: Milliseconds after which some messages expire: some before they are due.
_BRIEF_MS = (2500, 700, 5000)
#: A task that only hosts of the new release know: those that serve all queues.
NEW = "new"
_NIL = Raw(b"\xc0")
_BODIES = {task: encode_message(Message(task, _NIL)) for task in (PLAIN, POISON, BOMB, NEW)}


def body_of(task: str) -> Raw:
    return _BODIES[task]


def tasks_of(queues: tuple[str, ...]) -> dict[str, str]:
    """What a host that serves these queues knows, as it says in its ledger."""
    return {PLAIN: "1"} | ({NEW: "1"} if queues == QUEUES else {})


class Producer(Process):
    """Sends one batch after the other."""

    def __init__(self, world: World, name: str, machine: Machine) -> None:
        super().__init__(world, name, machine)
        self.spawn("main", self._main())

    def _main(self) -> Program:
        world, scene = self.world, self.world.scene
        for number in range(scene.crowd + scene.batches):
            outgoing = self._batch("crowd" if number < scene.crowd else world.choices.choose(scene.shapes))
            world.offered.append(outgoing.path)
            began = self.steady()
            while True:
                try:
                    outcome = yield from produce.enqueue(world.layout, outgoing)
                except StoreUnavailable:
                    outcome = produce.Unanswered()
                if isinstance(outcome, produce.Accepted):
                    world.record(Accepted(world.now, self.name, outgoing.path, outgoing.body))
                    break
                if self.steady() - began > scene.times.enqueue_deadline:
                    world.record(GaveUp(world.now, self.name, outgoing.path))
                    world.mark("a producer gave up")
                    break
                yield Sleep(world.choices.choose(scene.times.again))
            yield Sleep(world.choices.choose(scene.times.between))

    def _batch(self, shape: str) -> Outgoing:
        world, scene = self.world, self.world.scene
        count = 1 if shape == "crowd" else world.choices.choose(range(1, scene.most + 1))
        task = shape if shape in (POISON, BOMB, NEW) else PLAIN
        messages = [_BODIES[task]] + [_BODIES[PLAIN]] * (count - 1)
        sent_ms = self.wall_ms()
        outgoing = produce.new_batch(
            QUEUES[shape == "other"],
            messages,
            sent_ms=sent_ms,
            batch=f"{world.number():03x}",
            priority=1 if shape == "urgent" else 5,
            group="c" if shape == "crowd" else "g" if shape.startswith("grouped") else None,
            due_ms=sent_ms + 1500 if shape.endswith("later") else None,
            key=world.choices.choose(KEYS) if shape.startswith("keyed") else None,
            expires_ms=sent_ms + world.choices.choose(_BRIEF_MS) if "brief" in shape else None,
        )
        if shape == "corrupt":
            body = world.choices.choose(
                (b"\xc1", b"{}", outgoing.body[:-1], outgoing.body.replace(b"plain", b"pl\xffin"))
            )
            return Outgoing(outgoing.path, body, count)
        return outgoing


class Scribbler(Process):
    """Puts an object where it does not belong. No process may touch it, or fail because of it."""

    def __init__(self, world: World, name: str, machine: Machine) -> None:
        super().__init__(world, name, machine)
        self.spawn("main", self._main())

    def _main(self) -> Program:
        with suppress(StoreUnavailable):
            yield Put(f"{self.world.layout.inbox}{QUEUES[0]}/readme.txt", b"not a batch", None)
        if self.world.scene.operators:
            for name in ("1700000000000-bad", "1700000000001-bad.dead", "note"):
                with suppress(StoreUnavailable):
                    yield Put(f"{self.world.layout.requests}{name}", b"not a request", None)
