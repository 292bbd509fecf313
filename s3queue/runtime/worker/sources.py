"""Reads the sources of dealt messages, several concurrently, and feeds the messages to the slots.

A pipe bounded in bytes. Messages go to the slots in the order in which their sources arrive. This breaks no promised
order: a ticket holds either one message of a group or none. A source is read once for all its messages and deals; one
that is dealt in slices is kept for later slices as long as there is room.

Sources that are being read, and messages that are read and not over, fit ``prefetch_bytes``
(`s3queue.runtime.worker.room`). Only where sizes jump may reads under way exceed it.

States of a source here::

    pending   no room yet                              → reading
    reading   a reader is at it: READING in the journal → fed, paused, parked
    paused    a read failed; tried again by `tick`      → reading
    fed       its messages are with the slots, or over
    parked    not readable: its messages go back with kind ``snooze``, at no cost, and wait longer each time

A source that failed before is parked at once when it fails again. Readers never wait for it. If no source can be read,
the store is away, and sources are held longer: see `s3queue.runtime.worker.troubles`.

Threads: the one that calls `add`, `tick` and `take_back`, the readers, and slots, which call `release`.
"""

from __future__ import annotations

import heapq
import os
import threading
import traceback
from collections import deque
from collections.abc import Callable, Iterable
from itertools import count
from queue import Empty, SimpleQueue

from s3queue.core.bodies import batch_in, with_payload
from s3queue.core.keys import BORROWED, Layout
from s3queue.core.ops import Get
from s3queue.core.records import Part
from s3queue.errors import CorruptRecord, StoreError
from s3queue.io.clock import clock
from s3queue.io.drive import Driver
from s3queue.observe.events import Events
from s3queue.runtime.local.journal import READING, READY, WorkerJournal
from s3queue.runtime.local.wire import Note, Unreadable
from s3queue.runtime.worker.dealt import Body, Dealt, Item, Piece
from s3queue.runtime.worker.room import Room
from s3queue.runtime.worker.troubles import Troubles
from s3queue.store import Found

#: Concurrent reads at a remote store. One message per object needs several to keep a slot busy.
READERS = 8
#: Sources read before slots are woken, at a local store with its one reader: waking a slot costs as much as a read.
LOCAL_BITE = 8
#: Seconds between retries of a source that is held: the first, doubling up to the last.
FIRST_PAUSE_S, LAST_PAUSE_S = 0.25, 5.0
#: Seconds of wait for a message whose source is missing: if it was deleted by mistake, it may be put back.
GONE_DELAY_S = 30.0
#: Characters of the error of a failed read. Every message of its source carries them.
WHY_CHARS = 200


class Wanted:
    """A source that pieces wait for.

    Attributes:
        pieces: empty if all were given back.
        is_read: whether a reader is reading it now.
        failing_since: when the first of its failed reads failed, in seconds of `clock`.
        result: of the last read: the content, or the reason why its messages cannot run.
    """

    __slots__ = ("failing_since", "is_read", "pause_s", "pieces", "result", "source")

    def __init__(self, source: str) -> None:
        self.source = source
        self.pieces: list[Piece] = []
        self.is_read = False
        self.failing_since: float | None = None
        self.pause_s = FIRST_PAUSE_S
        self.result: Body | tuple[str, float, str, str] | None = None


class Sources:
    """Reads sources.

    Args:
        budget: bytes, as in the setting ``prefetch_bytes``.
        ready: the queue of the slots; None ends a slot.
        send: sends a note to the agent.
    """

    def __init__(
        self,
        driver: Driver,
        layout: Layout,
        journal: WorkerJournal,
        budget: int,
        *,
        ready: SimpleQueue[Item | None],
        send: Callable[[Note], None],
        events: Events,
    ) -> None:
        self._driver = driver
        self._layout = layout
        self._journal, self._states = journal, journal.bytes
        self._ready = ready
        self._send = send
        self._events = events
        #: Guards what follows.
        self._lock = threading.Lock()
        self._wanted: dict[str, Wanted] = {}
        self._pending: deque[Wanted] = deque()
        self._paused: list[tuple[float, int, Wanted]] = []
        self._tie = count()
        self._room = Room(budget)
        self._free = self._room.freed.append
        self._waits_for_room = False
        self._troubles = Troubles()
        self._requests: SimpleQueue[Wanted | None] = SimpleQueue()
        self._threads: list[threading.Thread] = []
        is_far = driver.store.capabilities.requests_cost
        self._most = READERS if is_far else 1
        self._bite = 1 if is_far else LOCAL_BITE

    # ---- for the worker's main thread ----------------------------------------------------------------------

    def add(self, dealt: Dealt, parts: tuple[Part, ...]) -> None:
        """Ask for the messages of a deal."""
        first, states_at = 0, self._journal.states_at(dealt.row)
        with self._lock:
            for part in parts:
                piece = Piece(dealt, part, first, states_at + first)
                first += part.stop - part.start
                source = part.source
                kept = self._room.kept(source)
                if kept is not None:
                    piece.fill(kept)
                    self._feed(piece)
                    continue
                wanted = self._wanted.get(source)
                if wanted is None:
                    wanted = self._wanted[source] = Wanted(source)
                    self._pending.append(wanted)
                elif wanted.is_read:
                    self._mark((piece,), READING)
                wanted.pieces.append(piece)
            self._pump()
            missing = min(len(self._wanted), self._most) - len(self._threads)
        for _ in range(missing):
            self._start_reader()

    def tick(self) -> float | None:
        """Retry due sources. Returns seconds until the next call; None: not before more messages are dealt."""
        if not self._paused:
            return None
        now = clock()
        with self._lock:
            while self._paused and self._paused[0][0] <= now:
                wanted = heapq.heappop(self._paused)[2]
                if wanted.pieces:
                    self._pending.append(wanted)
            self._pump()
        return FIRST_PAUSE_S

    def take_back(self) -> list[Item]:
        """Take all messages that no slot has taken yet; slots will not get them."""
        items: list[Item] = []
        with self._lock:
            while not self._ready.empty():
                try:
                    item = self._ready.get_nowait()
                except Empty:  # a slot was faster
                    break
                if item is not None:
                    items.append(item)
            for wanted in self._wanted.values():
                if wanted.is_read:
                    self._mark(wanted.pieces, READY)
                items.extend((piece, number) for piece in wanted.pieces for number in range(piece.size))
                wanted.pieces = []  # its reader finds that the source is no longer needed
            self._wanted.clear()
            self._pending.clear()
            self._paused.clear()
        return items

    def stop(self) -> None:
        for _ in self._threads:
            self._requests.put(None)
        for thread in self._threads:
            thread.join()

    # ---- for slots -----------------------------------------------------------------------------------------

    def release(self, piece: Piece) -> None:
        """The messages of the piece are over."""
        body = piece.body
        if body is None:
            return
        piece.body = None
        if body.shared:
            with self._lock:
                self._room.drop(body)
        else:
            self._free(body.size)
        if self._waits_for_room:  # read after the append: `_pump` looks again after it said so
            with self._lock:
                self._pump()

    def _pump(self) -> None:
        """Start as many reads as there is room for."""
        self._waits_for_room = False
        pending, room = self._pending, self._room
        while pending:
            left = room.left()
            if left <= 0:
                self._waits_for_room = True
                if (left := room.left()) <= 0:
                    return
                self._waits_for_room = False
            for _ in range(min(left, len(pending))):
                wanted = pending.popleft()
                if wanted.pieces:
                    room.under_way += 1
                    self._requests.put(wanted)

    # ---- the readers ---------------------------------------------------------------------------------------

    def _start_reader(self) -> None:
        thread = threading.Thread(target=self._work, name=f"s3queue-read-{len(self._threads)}", daemon=True)
        try:
            thread.start()
        except RuntimeError as full:  # "can't start new thread": the existing ones do it
            if not self._threads:
                raise
            self._events.warn(
                "reader", f"cannot start another reader thread, reading with {len(self._threads)}: {full}"
            )
            return
        self._threads.append(thread)

    def _work(self) -> None:
        try:
            self._read()
        except BaseException:  # noqa: BLE001 - a bug, not a failed read: end the whole process
            traceback.print_exc()
            os._exit(1)

    def _read(self) -> None:
        done: list[Wanted] = []
        while True:
            try:
                wanted = self._requests.get(block=not done)
            except Empty:
                self._publish(done)
                continue
            if wanted is None:
                self._publish(done)
                return
            if not self._begins(wanted, done):
                continue
            failed = self._ask(wanted)
            if failed is None:
                done.append(wanted)
                if len(done) >= self._bite:
                    self._publish(done)
            else:
                self._publish(done)
                self._failed(wanted, failed)

    def _begins(self, wanted: Wanted, done: list[Wanted]) -> bool:
        """From here on a death of this process may count as an attempt of these messages, and no longer of earlier
        ones. False: the messages are no longer needed.
        """
        with self._lock:
            if done and done[-1].is_read:
                self._was_read(done[-1])
            if not wanted.pieces:
                self._room.under_way -= 1
                self._pump()
                return False
            wanted.is_read = True
            self._mark(wanted.pieces, READING)
            return True

    def _ask(self, wanted: Wanted) -> Exception | None:
        """Read the source. Returns the error; None: there is a result."""
        key = self._layout.source(wanted.source)
        try:
            found = self._driver.perform(Get(key))
            if isinstance(found, Found):
                body = found.body
                if wanted.source.startswith(BORROWED):
                    body = self._driver.run(with_payload(self._layout, wanted.source, key, body))
                wanted.result = Body(batch_in(wanted.source, key, body).messages, len(body))
            else:
                # Only settled sources are deleted. Either this host was fenced long ago, and its ledger cannot store the
                # outcome; or the object was deleted by hand, and the message must neither vanish nor loop.
                wanted.result = ("retry", GONE_DELAY_S, "corrupt", "its batch is missing from the store")
        except CorruptRecord as corrupt:
            wanted.result = ("dead", 0.0, "corrupt", str(corrupt))
        except Exception as fault:  # noqa: BLE001 - not the fault of the messages; the reader goes on
            return fault
        return None

    def _was_read(self, wanted: Wanted) -> None:
        wanted.is_read = False
        self._mark(wanted.pieces, READY)

    def _publish(self, done: list[Wanted]) -> None:
        """Hand the messages of read sources to the slots."""
        if not done:
            return
        with self._lock:
            for wanted in done:
                if wanted.is_read:
                    self._was_read(wanted)
                self._troubles.worked(wanted.source)
                self._room.under_way -= 1
                if self._wanted.get(wanted.source) is wanted:
                    del self._wanted[wanted.source]
                result = wanted.result
                if isinstance(result, Body):
                    self._keep(wanted, result)
                elif result is not None:
                    for piece in wanted.pieces:
                        piece.fail(*result)
                for piece in wanted.pieces:
                    self._feed(piece)
            self._pump()
        done.clear()

    def _keep(self, wanted: Wanted, body: Body) -> None:
        """Count the bytes of an object that was read, as long as it is needed."""
        self._room.holds(body)
        pieces = wanted.pieces
        for piece in pieces:
            piece.fill(body)
        if body.pieces == 1 and pieces[0].messages is body.messages:
            return
        body.shared = True
        if any(piece.size < len(body.messages) for piece in wanted.pieces):
            self._room.keep(wanted.source, body)
        else:
            self._room.let_go(body)

    def _feed(self, piece: Piece) -> None:
        put = self._ready.put
        if piece.last == 0:
            put((piece, 0))
            return
        for number in range(piece.size):
            put((piece, number))

    def _mark(self, pieces: Iterable[Piece], state: int) -> None:
        states = self._states
        for piece in pieces:
            at = piece.states_at
            if piece.last == 0:
                states[at] = state
            else:
                states[at : at + piece.size] = bytes((state,)) * piece.size

    # ---- failed reads --------------------------------------------------------------------------------------

    def _failed(self, wanted: Wanted, fault: Exception) -> None:
        """A read failed: it is tried again later, or parked."""
        with self._lock:
            self._room.under_way -= 1
            self._was_read(wanted)
            told = self._back_off(wanted, fault) if wanted.pieces else None
            self._pump()
        if told is not None:
            self._send(told)
            for piece in wanted.pieces:
                self._feed(piece)

    def _back_off(self, wanted: Wanted, fault: Exception) -> Unreadable | None:
        """Returns the note to the agent if the source is parked now."""
        source, now = wanted.source, clock()
        since = wanted.failing_since = wanted.failing_since or now
        why = f"{type(fault).__name__}: {fault}"[:WHY_CHARS]
        parked = self._troubles.failed(source, fault, now - since, now)
        if parked is None:
            self._explain(source, why, fault)
            heapq.heappush(self._paused, (now + wanted.pause_s, next(self._tie), wanted))
            wanted.pause_s = min(LAST_PAUSE_S, wanted.pause_s * 2)
            return None
        del self._wanted[source]
        for piece in wanted.pieces:
            piece.fail("snooze", parked.delay_s, "unreadable", why)
        return Unreadable(source, why, parked.tries, parked.delay_s)

    def _explain(self, source: str, why: str, fault: Exception) -> None:
        text = why if isinstance(fault, StoreError) else "".join(traceback.format_exception(fault))
        self._events.warn("read", f"cannot read {source}, retrying: {text}")
