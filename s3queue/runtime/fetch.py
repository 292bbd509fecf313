"""Reads the sources of what a worker was dealt, several at a time, and feeds their messages to its slots in order.

A source is fetched once, however many of its messages and deals ask for it. One that is dealt in slices is kept,
decoded, for the slices to come; one that is dealt whole is not.

Threads: the one that calls `Sources.add` and `Sources.take_back`, and the readers. Whoever makes the head of the line
ready feeds it, so no thread exists just to pass things on.
"""

from __future__ import annotations

import threading
import time
from collections import OrderedDict, deque
from itertools import count
from queue import Empty, SimpleQueue
from typing import TypeAlias

from msgspec import Raw

from s3queue.core.keys import Layout, fencing_token, parse_source
from s3queue.core.ops import Get
from s3queue.core.records import Failed, Failure, Part, decode_batch
from s3queue.errors import CorruptRecord
from s3queue.runtime.drive import Driver
from s3queue.runtime.events import Events
from s3queue.runtime.notes import Deal
from s3queue.store import Found

#: Reads in flight at a store that is far away. One message per object needs several to keep a slot busy.
READERS = 8
#: The same at a store on this machine, where more only get into each other's way.
LOCAL_READERS = 2
#: Decoded sources kept for later slices, in bytes of their objects.
CACHE_BYTES = 32_000_000
#: Pause before a read is tried again that failed for longer than the driver's patience, in seconds.
PAUSE_S = 1.0
#: How long a message waits whose source is gone, in seconds: if it is a mistake, somebody may put it back.
GONE_DELAY_S = 30.0


class Dealt:
    """A `Deal` at work.

    Attributes:
        token: fencing token of the ticket. last: the end that is the last of the row; `ended` hands out their
        numbers, each once, to whichever thread ends one. over: its session was fenced; nothing of it counts any more.
        cancelled: says the same to tasks that look at their context. busy_s: slot time by slot, so that no two
        threads add to one number.
    """

    __slots__ = ("busy_s", "cancelled", "ended", "last", "over", "queue", "row", "ticket", "token")

    def __init__(self, deal: Deal, slots: int, cancelled: threading.Event) -> None:
        self.row = deal.row
        self.ticket = deal.ticket
        self.queue = deal.queue
        self.token = fencing_token(deal.ticket)
        self.last = sum(part.stop - part.start for part in deal.parts) - 1
        self.ended = count()
        self.over = False
        self.cancelled = cancelled
        self.busy_s = [0.0] * slots


class Piece:
    """The messages of one part of a deal.

    Attributes:
        first: index of its first message in the row.
        messages: still encoded; None until read, or where there is a fault.
        fault: why none of them can run: outcome, cause and text.
        dropped: given back or cancelled; nobody waits for it.
    """

    __slots__ = ("dealt", "dropped", "fault", "first", "messages", "part")

    def __init__(self, dealt: Dealt, part: Part, first: int) -> None:
        self.dealt = dealt
        self.part = part
        self.first = first
        self.messages: list[Raw] | None = None
        self.fault: Failed | None = None
        self.dropped = False


#: What a slot takes: a piece, and which of its messages.
Item: TypeAlias = tuple[Piece, int]


class Sources:
    """The line of pieces that wait for their source, and the readers.

    Args:
        ready: where the messages go, in the order in which they were dealt; None ends a slot.
    """

    def __init__(self, driver: Driver, layout: Layout, ready: SimpleQueue[Item | None], events: Events) -> None:
        self._driver = driver
        self._layout = layout
        self._ready = ready
        self._events = events
        self._lock = threading.Lock()
        self._line: deque[Piece] = deque()
        self._wanted: dict[str, list[Piece]] = {}
        self._requests: SimpleQueue[str | None] = SimpleQueue()
        self._cache: OrderedDict[str, tuple[list[Raw], int]] = OrderedDict()
        self._cached_bytes = 0
        self._threads: list[threading.Thread] = []
        self._most = READERS if driver.store.capabilities.requests_cost else LOCAL_READERS
        self._stopped = threading.Event()

    # ---- for the worker's main thread ----------------------------------------------------------------------

    def add(self, dealt: Dealt, parts: tuple[Part, ...]) -> None:
        """Put the messages of a deal in line."""
        first = 0
        with self._lock:
            for part in parts:
                piece = Piece(dealt, part, first)
                first += part.stop - part.start
                self._line.append(piece)
                kept = self._cache.get(part.source)
                if kept is not None:
                    self._cache.move_to_end(part.source)
                    _fill(piece, kept[0])
                elif part.source in self._wanted:
                    self._wanted[part.source].append(piece)
                else:
                    self._wanted[part.source] = [piece]
                    self._requests.put(part.source)
            self._feed()
            missing = min(len(self._wanted), self._most) - len(self._threads)
        for _ in range(missing):
            thread = threading.Thread(target=self._read, name=f"s3queue-read-{len(self._threads)}", daemon=True)
            self._threads.append(thread)
            thread.start()

    def take_back(self) -> list[Item]:
        """Everything that no slot has taken yet; it will not be fed any more."""
        items: list[Item] = []
        with self._lock:
            while not self._ready.empty():
                try:
                    item = self._ready.get_nowait()
                except Empty:  # a slot was faster
                    break
                if item is not None:
                    items.append(item)
            for piece in self._line:
                piece.dropped = True
                items.extend((piece, number) for number in range(piece.part.stop - piece.part.start))
            self._line.clear()
        return items

    def stop(self) -> None:
        self._stopped.set()
        for _ in self._threads:
            self._requests.put(None)
        for thread in self._threads:
            thread.join()

    # ---- the readers ---------------------------------------------------------------------------------------

    def _read(self) -> None:
        while (source := self._requests.get()) is not None:
            found = self._found(source)
            if found is None:
                continue
            messages, size, fault = found
            with self._lock:
                pieces = self._wanted.pop(source)
                for piece in pieces:
                    if fault is None:
                        _fill(piece, messages)
                    else:
                        piece.fault = _fault(piece.part.attempt, *fault)
                if fault is None and any(piece.part.stop - piece.part.start < len(messages) for piece in pieces):
                    self._keep(source, messages, size)
                self._feed()

    def _found(self, source: str) -> tuple[list[Raw], int, tuple[str, float, str] | None] | None:
        """Messages, size and fault of a source, when the store has answered; None when nobody waits for it any more."""
        key = self._layout.source(source)
        while True:
            with self._lock:
                if all(piece.dropped for piece in self._wanted[source]):
                    del self._wanted[source]
                    return None
            try:
                found = self._driver.perform(Get(key))
            except Exception as fault:  # noqa: BLE001 - whatever it is, the messages are not to blame
                self._events.warn("read", f"cannot read {source}, trying again: {fault}")
                if self._stopped.wait(PAUSE_S):
                    return None
                continue
            if not isinstance(found, Found):
                # Only settled sources are deleted. Either this host was fenced long ago, and then the ledger refuses
                # what it reports; or somebody removed the object by hand, and then the message must neither vanish
                # nor loop.
                return [], 0, ("retry", GONE_DELAY_S, "its batch is gone from the store")
            try:
                messages = decode_batch(key, found.body).messages
                if len(messages) != parse_source(source).count:
                    raise CorruptRecord(key, f"holds {len(messages)} messages, not what its key says")
            except CorruptRecord as fault:
                return [], 0, ("dead", 0.0, str(fault))
            return messages, len(found.body), None

    def _keep(self, source: str, messages: list[Raw], size: int) -> None:
        self._cache[source] = messages, size
        self._cached_bytes += size
        while self._cached_bytes > CACHE_BYTES and len(self._cache) > 1:
            _, (_, less) = self._cache.popitem(last=False)
            self._cached_bytes -= less

    def _feed(self) -> None:
        """Hand on what is ready at the head of the line."""
        line, put = self._line, self._ready.put
        while line and (line[0].messages is not None or line[0].fault is not None):
            piece = line.popleft()
            for number in range(piece.part.stop - piece.part.start):
                put((piece, number))


def _fill(piece: Piece, messages: list[Raw]) -> None:
    part = piece.part
    if part.stop > len(messages):
        piece.fault = _fault(part.attempt, "dead", 0.0, f"{part.source} has no message {part.stop - 1}")
    elif part.start == 0 and part.stop == len(messages):
        piece.messages = messages
    else:
        piece.messages = messages[part.start : part.stop]


def _fault(attempt: int, kind: str, delay_s: float, text: str) -> Failed:
    return Failed(kind, delay_s, Failure(attempt, "corrupt", text, round(time.time() * 1000)))
