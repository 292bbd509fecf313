"""Worker processes: the production rules of `s3queue.runtime.worker.slots`, around user code that does what the
schedule says.

Messages are marked in the production journal, read from the store, and started only within the trust window.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Collection
from typing import TYPE_CHECKING, NamedTuple

from msgspec import Raw

from s3queue.core.bodies import batch_in
from s3queue.core.halts import give_back
from s3queue.core.keys import parse_source
from s3queue.core.ops import Get
from s3queue.core.records import Failed, Failure, Memo, Origin, Result, decode_moved
from s3queue.core.results import Kept, keep
from s3queue.errors import CorruptRecord, StoreDenied, StoreUnavailable
from s3queue.runtime.local.journal import OK, Journal, state_of
from s3queue.runtime.local.wire import (
    Cancel,
    Deal,
    FailedNote,
    Finished,
    Halted,
    Interrupt,
    Leaving,
    Note,
    Noted,
    Recall,
    Returned,
)
from s3queue.store import Found
from s3queue.testing.simulate import history
from s3queue.testing.simulate.history import Ended, Overran, Started
from s3queue.testing.simulate.producers import BOMB, POISON
from s3queue.testing.simulate.world import FOREVER, Doing, Machine, Process, Program, Sleep, World

if TYPE_CHECKING:
    from s3queue.testing.simulate.agents import Link

#: How a message may end. The first is the calm one.
_ENDS = ("ok", "retry", "snooze", "dead", "killed", "overran")
_RECHECK_S = 0.25
#: Seconds from the moment that a result is stored until the outcome is reported.
_UNTOLD_S = (0.0, 0.3, 2.5)
_GONE_DELAY_S = 1.0
#: Seconds for which user code goes on that was told that it is cancelled.
_HANGS_S = 2.0


class Item(NamedTuple):
    """A message as dealt: where it is in the journal, in its ticket, and in the store."""

    row: int
    at: int
    ticket: str
    offset: int
    path: str
    number: int
    attempt: int
    spared: int
    memo: Memo | None
    begun: bool


class Worker(Process):
    """
    Args:
        tell: notes to the agent.
        die: ends this process (False) or the whole host (True).
        overrun: ends this process, since the message of this row and index is over its time limit.
        knows: names of tasks. Others are given back.

    Attributes:
        pid, link: as its supervisor knows them.
    """

    pid = 0
    link: Link | None = None

    def __init__(
        self,
        world: World,
        name: str,
        machine: Machine,
        host: str,
        session: str,
        journal: Journal,
        number: int,
        tell: Callable[[Note], None],
        die: Callable[[bool], None],
        overrun: Callable[[int, int], None],
        knows: Collection[str],
    ) -> None:
        super().__init__(world, name, machine)
        self._host, self._session = host, session
        self._journal, self._row = journal, journal.worker(number)
        self._tell, self._die, self._overrun, self._knows = tell, die, overrun, knows
        self._line: deque[Item] = deque()
        self._held: list[Item | None] = [None] * journal.concurrency
        self._left: dict[int, int] = {}
        self._busy: dict[int, float] = {}
        self._cache: dict[str, list[Raw] | Failed] = {}
        self._running: dict[int, str] = {}
        self._over = False
        self._halted: dict[str, tuple[str, ...]] = {}
        self._interrupted: set[tuple[int, int]] = set()
        for slot in range(journal.concurrency):
            self.spawn(f"slot{slot}", self._serve(slot))

    # ---- notes from the agent ------------------------------------------------------------------------------

    def receive(self, note: Note, base: int = 0) -> None:
        if not self.alive:
            return
        match note:
            case Deal(row, ticket, _, parts, spared, memos, begun, _):
                at = 0
                for part in parts:
                    for index in range(part.start, part.stop):
                        where = row, at, ticket, base + at, part.source, index
                        item = Item(*where, part.attempt, spared, memos.get(at), begun)
                        self._line.append(item)
                        at += 1
                self._left[row], self._busy[row] = at, 0.0
                self._interrupted = {one for one in self._interrupted if one[0] != row}
            case Recall():
                taken = [item for item in self._held if item is not None] + list(self._line)
                self._held = [None] * len(self._held)
                self._line.clear()
                for item in taken:
                    self._end(item.row)
                self._tell(Returned(tuple((item.row, item.at) for item in taken)))
                if taken:
                    self.world.mark("messages were recalled")
            case Halted(tasks):
                self._halted = tasks
            case Interrupt(row, messages):
                self._interrupted.update((row, at) for at in messages)
            case Cancel():
                self._over = True
                self._held = [None] * len(self._held)
                self._line.clear()
            case _:
                pass  # Trust: everybody looks again
        for actor in self.actors:
            self.world.wake(actor)

    def leave(self) -> None:
        self._tell(Leaving("old"))

    def kill(self) -> None:
        for who in self._running.values():
            self.world.record(Ended(self.world.now, who, "killed"))
        super().kill()

    # ---- a slot --------------------------------------------------------------------------------------------

    def _serve(self, slot: int) -> Program:
        who = f"{self.name}/slot{slot}"
        while True:
            if not self._line:
                yield Sleep(FOREVER)
                continue
            item = self._held[slot] = self._line.popleft()
            while self._held[slot] is item:
                if item.path not in self._cache:
                    try:
                        yield from self._fetch(item.path)
                    except StoreUnavailable:
                        yield Sleep(self.world.scene.times.busy)
                elif self.steady() > self._journal.trust_until:
                    self.world.mark("a worker waited for the trust window")
                    yield Sleep(_RECHECK_S)
                else:
                    self._held[slot] = None
                    yield from self._run(slot, who, item)
                    break

    def _fetch(self, path: str) -> Doing[None]:
        key = self.world.layout.source(path)
        try:
            found = yield Get(key)
        except StoreDenied as fault:  # a letter that the store refuses; for ever
            self._cache[path] = Failed("snooze", _GONE_DELAY_S, Failure(0, "unreadable", str(fault)))
            return
        if not isinstance(found, Found):
            self.world.mark("a worker found a source gone")
            self._cache[path] = Failed("retry", _GONE_DELAY_S, Failure(0, "corrupt", "its batch is gone"))
            return
        try:
            messages = batch_in(path, key, found.body).messages
            if len(messages) != parse_source(path).count:
                raise CorruptRecord(key, f"holds {len(messages)} messages")
            self._cache[path] = messages
        except CorruptRecord as fault:
            self._cache[path] = Failed("dead", 0.0, Failure(0, "corrupt", str(fault)))

    def _run(self, slot: int, who: str, item: Item) -> Doing[None]:
        began = self.steady()
        failed = yield from self._attempt(slot, who, item)
        if failed is None:
            self._row.finish(slot, OK)
        else:
            self._tell(FailedNote(item.row, item.at, failed))
            self._row.mark(item.row, item.at, state_of(failed))
            self._row.finish(slot, None)
        self._busy[item.row] += self.steady() - began
        self._end(item.row)

    def _attempt(self, slot: int, who: str, item: Item) -> Doing[Failed | None]:
        world, times = self.world, self.world.scene.times
        messages = self._cache[item.path]
        if isinstance(messages, Failed):
            failure = messages.failure
            assert failure is not None
            return Failed(messages.kind, messages.delay_s, Failure(item.attempt, failure.cause, failure.text))
        try:
            message = decode_moved(item.path, messages[item.number])
        except CorruptRecord as fault:
            return Failed("dead", 0.0, Failure(item.attempt, "corrupt", str(fault)))
        if message.task in self._halted.get(parse_source(item.path).queue, ()):
            world.mark("a message of a paused task was given back")
            return give_back(message.task)
        if message.task not in self._knows:
            world.mark("a message fitted no host at first")
            return Failed("unfit", token=f"{message.task}@")
        if item.attempt - item.spared > times.settings.max_attempts:
            return Failed("dead")
        expires_ms = parse_source(item.path).expires_ms
        if expires_ms is not None and item.attempt == 1 and not item.begun and self.wall_ms() >= expires_ms:
            world.mark("a message expired with its host")
            return Failed("expired")
        self._row.start(slot, item.row, item.at, self.steady())
        self._running[slot] = who
        memo = item.memo or (message.origin.memo if message.origin is not None else None)
        if memo is not None:
            world.mark("a message went on from what it had noted")
        world.record(
            Started(
                world.now,
                who,
                self._host,
                self._session,
                item.ticket,
                item.offset,
                item.path,
                item.number,
                item.attempt,
                "" if memo is None else memo.text,
                bytes(message.payload),
                message.task,
            )
        )
        yield Sleep(world.choices.choose(times.tasks, 0.7) if world.stormy else times.tasks[0])
        if world.scene.notes and world.number() % 2:
            noted = Memo(text=f"note {world.number()}")
            world.record(history.Noted(world.now, who, noted.text))
            self._tell(Noted(item.row, item.at, noted))
            yield Sleep(times.tasks[0])
        if (item.row, item.at) in self._interrupted:
            world.mark("a running message was told that it is cancelled")
            match world.choices.choose(("ends", "goes on", "hangs")):
                case "ends":
                    del self._running[slot]
                    world.record(Ended(world.now, who, "retry"))
                    return Failed("retry", 0.0, Failure(item.attempt, "cancelled"))
                case "hangs":
                    until = self.steady() + _HANGS_S
                    while self.steady() < until:
                        yield Sleep(until - self.steady())
        ends = world.scene.weather.ends if world.stormy else 0.0
        end = world.choices.choose(_ENDS, 1.0 - ends) if ends else "ok"
        deaths = world.scene.deaths if world.stormy else 0.0
        if deaths and world.choices.choose((False, True), 1.0 - deaths):
            end = "dead"
        if message.task in (POISON, BOMB):
            end = "killed"
        if end == "killed":
            world.soon(lambda: self._die(message.task == BOMB))
            yield Sleep(FOREVER)
        if end == "overran":
            world.record(Overran(world.now, who))
            world.soon(lambda: self._overrun(item.row, item.at))
            yield Sleep(FOREVER)
        if end == "ok" and world.scene.readers:
            yield from self._keep(item, message.origin)
        del self._running[slot]
        world.record(Ended(world.now, who, end))
        failure = Failure(item.attempt, "rejected" if end == "dead" else "error")
        match end:
            case "ok":
                return None
            case "dead":
                return Failed("dead", 0.0, failure)
            case "snooze":
                world.mark("a message snoozed")
                return Failed("snooze", world.choices.choose(times.delays))
            case _:
                if item.attempt - item.spared >= times.settings.max_attempts:
                    return Failed("dead", 0.0, failure)
                return Failed("retry", world.choices.choose(times.delays), failure)

    def _keep(self, item: Item, origin: Origin | None) -> Doing[None]:
        """As `s3queue.runtime.worker.results` does."""
        world, layout = self.world, self.world.layout
        message = layout.message_id(item.path, item.number) if origin is None else origin.message
        result = Result(world.nonce(), message, item.ticket, Raw(b"\xc0"), 0, life=parse_source(item.path).life)
        ttl_ms = int(world.choices.choose(world.scene.times.results) * 1000)

        def stamp() -> int | None:
            return self.wall_ms() + ttl_ms if self.steady() <= self._journal.trust_until and not self._over else None

        while not self._over:
            try:
                kept = yield from keep(layout, result, stamp)
            except StoreUnavailable:
                yield Sleep(world.scene.times.busy)
                continue
            if kept is not Kept.NOT_NOW:
                if kept is Kept.LATER:
                    world.mark("a result found that of a later ticket")
                yield Sleep(world.choices.choose(_UNTOLD_S, 0.7) if world.stormy else _UNTOLD_S[0])
                return
            world.mark("a result waited for the trust window")
            yield Sleep(_RECHECK_S)
        yield Sleep(FOREVER)

    def _end(self, row: int) -> None:
        self._left[row] -= 1
        if not self._left[row]:
            self._tell(Finished(row, self._busy[row]))
