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
from typing import NamedTuple, TypeAlias

from msgspec import Raw

from s3queue.core.keys import Layout, fencing_token, parse_source
from s3queue.core.ops import Get
from s3queue.core.records import Failed, Failure, Part, decode_batch
from s3queue.errors import CorruptRecord
from s3queue.observe.events import Events
from s3queue.runtime.drive import Driver
from s3queue.runtime.local.wire import Deal
from s3queue.store import Found

#: Reads in flight at a store that is far away. One message per object needs several to keep a slot busy.
READERS = 8
#: At a store on this machine one reader is enough, more would get into each other's way; and each time that it wakes a
#: slot costs as much as a read, so it reads so many sources, if so many are asked for, before it does.
LOCAL_BITE = 8
#: Decoded sources kept for later slices: bytes of their objects, and how many, since the other slices of one are dealt soon
#: or to somebody else.
CACHE_BYTES, CACHE_SOURCES = 32_000_000, 64
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


class _Answer(NamedTuple):
    """What became of reading one source. ``fault``: outcome, delay and text for each message of it."""

    source: str
    messages: list[Raw]
    size: int
    fault: tuple[str, float, str] | None


#: What a slot takes: a piece, and which of its messages.
Item: TypeAlias = tuple[Piece, int]


class Sources:
    """The line of pieces that wait for their source, and the readers.

    Args:
        ready: where the messages go, in the order in which they were dealt; None ends a slot.
    """

    def __init__(self, driver: Driver, layout: Layout, ready: SimpleQueue[Item | None], events: Events) -> None:
        self._driver = driver
        self._home = layout.home
        self._ready = ready
        self._events = events
        self._lock = threading.Lock()
        self._line: deque[Piece] = deque()
        self._wanted: dict[str, list[Piece]] = {}
        self._requests: SimpleQueue[str | None] = SimpleQueue()
        self._cache: OrderedDict[str, tuple[list[Raw], int]] = OrderedDict()
        self._cached_bytes = 0
        self._threads: list[threading.Thread] = []
        is_far = driver.store.capabilities.requests_cost
        self._most = READERS if is_far else 1
        self._bite = 1 if is_far else LOCAL_BITE
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
        answers: list[_Answer] = []
        while True:
            try:
                source = self._requests.get(block=not answers)
            except Empty:
                self._publish(answers)
                continue
            if source is None:
                self._publish(answers)
                return
            answer = self._ask(source, answers)
            if answer is not None:
                answers.append(answer)
            if len(answers) >= self._bite:
                self._publish(answers)

    def _publish(self, answers: list[_Answer]) -> None:
        """Hand the sources to those that wait for them, and forget them here."""
        with self._lock:
            for source, messages, size, fault in answers:
                sliced = False
                for piece in self._wanted.pop(source):
                    part = piece.part
                    if fault is not None:
                        piece.fault = _fault(part.attempt, *fault)
                    else:
                        _fill(piece, messages)
                        sliced = sliced or part.stop - part.start < len(messages)
                if sliced:
                    self._keep(source, messages, size)
            self._feed()
        answers.clear()

    def _ask(self, source: str, answers: list[_Answer]) -> _Answer | None:
        """What the store says of a source; None when nobody waits for it any more.

        Args:
            answers: those that wait to be published; they do not wait longer for a store that does not answer.
        """
        key = self._home + source
        while not self._is_abandoned(source):
            try:
                found = self._driver.perform(Get(key))
            except Exception as fault:  # noqa: BLE001 - whatever it is, the messages are not to blame
                self._publish(answers)
                self._events.warn("read", f"cannot read {source}, trying again: {fault}")
                if self._stopped.wait(PAUSE_S):
                    return None
                continue
            if not isinstance(found, Found):
                # Only settled sources are deleted. Either this host was fenced long ago, and then the ledger refuses
                # what it reports; or somebody removed the object by hand, and then the message must neither vanish
                # nor loop.
                return _Answer(source, [], 0, ("retry", GONE_DELAY_S, "its batch is gone from the store"))
            try:
                messages = decode_batch(key, found.body).messages
            except CorruptRecord as fault:
                return _Answer(source, [], 0, ("dead", 0.0, str(fault)))
            return _Answer(source, messages, len(found.body), None)
        return None

    def _is_abandoned(self, source: str) -> bool:
        if not all(piece.dropped for piece in self._wanted[source]):
            return False
        with self._lock:  # look again: somebody may just have asked for it
            if all(piece.dropped for piece in self._wanted[source]):
                del self._wanted[source]
                return True
        return False

    def _keep(self, source: str, messages: list[Raw], size: int) -> None:
        self._cache[source] = messages, size
        self._cached_bytes += size
        while len(self._cache) > CACHE_SOURCES or (self._cached_bytes > CACHE_BYTES and len(self._cache) > 1):
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
    if part.start == 0 and part.stop == len(messages):
        piece.messages = messages
    elif part.stop <= len(messages) == parse_source(part.source).count:
        piece.messages = messages[part.start : part.stop]
    else:
        text = f"{part.source} holds {len(messages)} messages, not what its key says"
        piece.fault = _fault(part.attempt, "dead", 0.0, text)


def _fault(attempt: int, kind: str, delay_s: float, text: str) -> Failed:
    return Failed(kind, delay_s, Failure(attempt, "corrupt", text, round(time.time() * 1000)))
