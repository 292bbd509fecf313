"""The worker of a host in the thread of a test: the production slots and attempts, served where the test runs."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from functools import cache
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any

from s3queue.core.bodies import batch_in, with_payload
from s3queue.core.ops import Get
from s3queue.core.records import Failed
from s3queue.errors import CorruptRecord
from s3queue.observe.events import Events
from s3queue.payloads.lazy import refuse_lazy
from s3queue.runtime.local.journal import Journal
from s3queue.runtime.local.wire import Cancel, Deal, Halted, Interrupt, Note, Recall, Returned
from s3queue.runtime.worker import attempt
from s3queue.runtime.worker.attempt import Attempts
from s3queue.runtime.worker.awaiting import Awaiting
from s3queue.runtime.worker.batches import Member
from s3queue.runtime.worker.dealt import Body, Dealt, Item, Piece
from s3queue.runtime.worker.loop import TaskLoop
from s3queue.runtime.worker.notes import Notes
from s3queue.runtime.worker.plans import Plan
from s3queue.runtime.worker.results import Results
from s3queue.runtime.worker.slots import Slots
from s3queue.runtime.worker.telling import Telling
from s3queue.store import Found

if TYPE_CHECKING:
    from s3queue.testing.plugin.host import LocalHost


@cache
def _task_loop() -> TaskLoop:
    """The event loop of async tasks: one thread for all tests."""
    return TaskLoop(refuse_lazy)


class Link:
    """The connection of the worker to its agent."""

    def __init__(self, worker: Worker) -> None:
        self._worker = worker

    def send(self, note: Note) -> None:
        self._worker.receive(note)

    def close(self) -> None:
        self._worker.alive = False


class Worker:
    def __init__(self, host: LocalHost, journal: Journal, session: str, tell: Callable[[Any, Note], None]) -> None:
        self._host, self._tell_agent = host, tell
        self.alive, self.ran = True, 0
        self.line: list[Item] = []
        self.link = Link(self)
        self._ready: SimpleQueue[Item | None] = SimpleQueue()
        self._row = journal.worker(0)
        self._live: dict[int, Dealt] = {}
        self._cancelled = threading.Event()
        events = Events("worker", None)
        notes = Notes(self._tell, 1)
        self.attempts = _Attempts(
            self._row,
            layout=host.layout,
            session=session,
            find=host.tasks.find,
            telling=_Telling(host, events),
            awaiting=Awaiting(_task_loop()),
            results=Results(host.driver, host.layout, journal.trust, events),
            notes=notes,
            middleware=tuple(host.tasks.middleware),
        )
        self.attempts.of = host
        self._slots = Slots(
            self._ready, journal, 0, self.attempts, notes, send=self._tell, release=_release, finished=self._row_ended
        )

    def _tell(self, note: Note) -> None:
        if self.alive:
            self._tell_agent(self.link, note)

    def receive(self, note: Note) -> None:
        match note:
            case Deal():
                dealt = self._live[note.row] = Dealt(note, 1, self._cancelled)
                first = 0
                for part in note.parts:
                    piece = Piece(dealt, part, first, self._row.states_at(note.row) + first)
                    first += part.stop - part.start
                    self._read(piece)
                    self.line += [(piece, number) for number in range(piece.size)]
            case Recall():
                items, self.line = self.line, []
                self._tell(Returned(tuple((piece.dealt.row, piece.first + number) for piece, number in items)))
                for piece, _ in items:
                    self._slots.end(piece)
            case Halted(tasks):
                self.attempts.halted = tasks
            case Interrupt(row, messages):
                if (marked := self._live.get(row)) is not None:
                    marked.marked |= set(messages)
            case Cancel():
                for one in self._live.values():
                    one.over = True
                self.line.clear()
            case _:
                pass

    def _read(self, piece: Piece) -> None:
        driver, path = self._host.driver, piece.part.source
        key = self._host.layout.source(path)
        found = driver.perform(Get(key))
        try:
            if not isinstance(found, Found):
                piece.fail("retry", 30.0, "corrupt", "its batch is missing from the store")
                return
            body = driver.run(with_payload(self._host.layout, path, key, found.body))
            piece.fill(Body(batch_in(path, key, body).messages, len(body)))
        except CorruptRecord as corrupt:
            piece.fail("dead", 0.0, "corrupt", str(corrupt))

    def work(self) -> None:
        """Run the dealt messages. Raises `Crashed`."""
        items, self.line = self.line, []
        self.ran += len(items)
        for item in items:
            self._ready.put(item)
        self._ready.put(None)
        self._slots.serve(0)

    def _row_ended(self, dealt: Dealt) -> None:
        if self._live.get(dealt.row) is dealt:
            del self._live[dealt.row]


class _Telling(Telling):
    """Reports nothing of an attempt whose process the test ends, as after the death of a real process."""

    def __init__(self, of: LocalHost, events: Events) -> None:
        super().__init__(of.layout, events, None)
        self._of = of

    def failed(self, plan: Plan | None, piece: Piece, number: int, outcome: Failed) -> Failed:
        crash = self._of.crash
        return outcome if crash is not None and crash.fired else super().failed(plan, piece, number, outcome)


class _Attempts(Attempts):
    """Ends its process at the point that the test has chosen."""

    of: LocalHost

    def run(self, slot: int, piece: Piece, number: int, started: float) -> Any:
        ended = super().run(slot, piece, number, started)
        if not isinstance(ended, Member):
            self._look([(piece, number)])
        return ended

    def run_together(self, slot: int, members: list[Member], started: float) -> Any:
        ended = super().run_together(slot, members, started)
        self._look([one.item for one in members])
        return ended

    def running(self) -> dict[str, Any] | None:
        """As the base class; here the slot has no thread of its own."""
        found = super().running()
        at = self._running[0]
        if found is not None or at is None or threading.get_ident() != self.of.thread:
            return found
        before = attempt._running.set(at)
        try:
            return super().running()
        finally:
            attempt._running.reset(before)

    def _look(self, items: Iterable[Item]) -> None:
        crash = self.of.crash
        if crash is not None:
            crash.look([self._telling.message_id(piece, number) for piece, number in items])


def _release(piece: Piece) -> None:
    piece.body = None
