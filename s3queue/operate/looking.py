"""Lists the messages of a queue, and reads only those that are shown.

The board is read first, then listings, then batches, while the queue goes on. Messages that end meanwhile are left out;
messages that start meanwhile are shown as they were.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any, Literal, NamedTuple, TypeAlias, get_args

import msgspec
from msgspec import Struct

from s3queue.core.bodies import batch_in
from s3queue.core.halts import is_held, task_of
from s3queue.core.keys import MAX_ORDER, Layout, parse_message_id, parse_source
from s3queue.core.ops import get, get_all, list_page
from s3queue.core.records import Batch, Board, Ledger, SourceState, decode, decode_moved, known_of
from s3queue.core.settle import Draft
from s3queue.errors import ConfigError, CorruptRecord
from s3queue.io.drive import Driver
from s3queue.operate.asking import check_limit
from s3queue.operate.views import FailedAttempt, decode_payload, history, preview, time_of, with_payload
from s3queue.store import Found

__all__ = ["QueuedMessage", "State"]

State: TypeAlias = Literal["ready", "scheduled", "running", "waiting"]
STATES: tuple[State, ...] = get_args(State)

#: Batches that are read at once: few at first, then up to eight times as many.
_FIRST, _MOST = 8, 64
#: Bytes of batches that are read at once. One always fits.
_MOST_BYTES = 16_000_000
_PAGE = 1000


class QueuedMessage(Struct, frozen=True, kw_only=True):
    """A message that is not done and not dead.

    Attributes:
        id: as `Queue.enqueue` returned it. Empty for a message that was moved off the board and cannot be read.
        state: ``scheduled`` (its time has not come), ``ready``, ``running`` (assigned to a host: it runs, or is next
            there), ``waiting`` (failed or snoozed, and waits for its next start).
        task: empty for a handler, and where the message cannot be read.
        attempt: the current or next one, counted from 1.
        priority: 0 goes first, 9 last.
        sent_at: when it was enqueued.
        due_at: when a scheduled or waiting message may start.
        host: of a running message: the name of its host, or the session of a host without a name.
        unfit: the task, if hosts gave the message back because they do not know the task, or not with these arguments.
        held: whether a host gave it back because its task is paused.
        failures: earlier attempts that failed, oldest first; the last few.
        raw: whether it cannot be read: the object holds no message, or is larger than ``max_message_bytes`` allows.
        body: the payload, encoded (MessagePack).
        place: its place in the listing, as ``after`` takes it: the id, unless it was moved off the board.
        ticket: of a running message: the id of its ticket.
        session: of a running message: the session of its host.
        started_at: when its task began, of the 20 that have run longest on its host; None: not known, or less than 5 s ago.
    """

    id: str
    queue: str
    state: State
    task: str
    attempt: int
    priority: int
    group: str | None
    sent_at: datetime
    due_at: datetime | None
    host: str | None
    unfit: str
    failures: tuple[FailedAttempt, ...]
    headers: dict[str, str]
    raw: bool
    body: bytes
    place: str
    ticket: str = ""
    session: str = ""
    started_at: datetime | None = None
    held: bool = False

    @property
    def payload(self) -> Any:
        """The payload, decoded to builtins. For a task: its arguments by name.

        Raises:
            CorruptRecord: it cannot be decoded.
        """
        return decode_payload(self.id, self.body)

    @property
    def preview(self) -> str:
        """The payload as JSON, up to 10,000 characters; empty if it has no such form."""
        return "" if self.raw else preview(self.body)

    def as_dict(self) -> dict[str, Any]:
        """All of it in values that JSON can hold: ``payload`` if it has such a form, otherwise ``payload_base64``."""
        return with_payload(msgspec.to_builtins(self), raw=self.raw)


class _Spot(NamedTuple):
    """Where one message of a batch is.

    Attributes:
        at: its index.
    """

    at: int
    state: State
    attempt: int
    due_ms: int | None = None
    session: str = ""
    unfit: str = ""
    ticket: str = ""
    held: bool = False


class _Entry(NamedTuple):
    """A batch, and those of its messages that are wanted, in order.

    Attributes:
        size: in bytes; 0 where that was not asked for.
        known: what the board says of it; None where it is not there.
    """

    path: str
    spots: Sequence[_Spot]
    size: int
    known: SourceState | None


def read_queue(
    driver: Driver,
    layout: Layout,
    queue: str,
    *,
    state: State | None = None,
    task: str | None = None,
    limit: int | None = None,
    after: str | None = None,
    now_ms: int,
    largest: float,
) -> Iterator[QueuedMessage]:
    """The messages of a queue, without those that are done or dead: as they are listed, so those that are not scheduled in
    the order in which they were to start, and then by due time.

    Args:
        after: `QueuedMessage.place` of a message: only those behind it.
        now_ms: wall clock.
        largest: bytes of the largest batch that is read.

    Raises:
        ConfigError: no such state, or no such place. CorruptRecord: the board cannot be decoded.

    Asks: one Get for the board; one Get for each batch, one for each host that runs what is shown. One List per 1,000
        batches of the queue that are not scheduled, and one per 1,000 scheduled batches of all queues; none for what is
        running.
    """
    check_limit(limit)
    if state is not None and state not in STATES:
        raise ConfigError(f"no state {state!r}", ", ".join(STATES) + "; for dead ones see Queue.dead_letters")
    return _read(_Look(driver, layout, queue, state, now_ms, largest), task, limit, _place(after))


def read_message(driver: Driver, layout: Layout, place: str, *, now_ms: int, largest: float) -> QueuedMessage | None:
    """One message that is neither done nor dead; None: it is not there, or was moved off the board.

    Args:
        place: as `QueuedMessage.place` told it; the id of a message that was not moved.

    Raises:
        ConfigError: no such place. CorruptRecord: the board cannot be decoded.

    Asks: one Get for the board, one for its batch, and one for the host that runs it. One List where it is not on the
        board.
    """
    path, index = _place(place)
    look = _Look(driver, layout, parse_source(path).queue, None, now_ms, largest)
    entry = look.entry(path)
    if entry is None:
        return None
    spots = [spot for spot in entry.spots if spot.at == index]
    return next(look.messages([entry._replace(spots=spots)]), None) if spots else None


def _place(after: str | None) -> tuple[str, int]:
    if after is None:
        return "", -1
    try:
        ref = parse_message_id(after)
    except CorruptRecord as wrong:
        raise ConfigError(f"not the place of a message: {after!r}", "what comes before it tells its place") from wrong
    return ref.path, ref.index


def _read(look: _Look, task: str | None, limit: int | None, after: tuple[str, int]) -> Iterator[QueuedMessage]:
    at_once, given = _FIRST, 0
    entries = look.entries(after)
    while portion := list(_portion(entries, at_once, None if limit is None or task is not None else limit - given)):
        for message in look.messages(portion):
            if task is not None and message.task != task:
                continue
            yield message
            given += 1
            if given == limit:
                return
        at_once = min(2 * at_once, _MOST)


def _portion(entries: Iterator[_Entry], batches: int, messages: int | None) -> Iterator[_Entry]:
    """The batches to read at once: few, of few bytes, and of no more messages than wanted."""
    size = many = 0
    for number, entry in enumerate(entries, 1):
        yield entry
        size += entry.size
        many += len(entry.spots)
        if number >= batches or size >= _MOST_BYTES or (messages is not None and many >= messages):
            return


class _Look:
    """One look at one queue."""

    def __init__(
        self, driver: Driver, layout: Layout, queue: str, state: State | None, now_ms: int, largest: float
    ) -> None:
        self._driver, self._layout, self._queue, self._largest = driver, layout, queue, largest
        self._state, self._now_ms = state, now_ms
        self._board = Board(nonce="", epoch=0)
        self._names: dict[str, str] = {}
        self._since: dict[str, dict[str, dict[int, int]]] = {}  # by session, as of `About.since`

    # ---- which ---------------------------------------------------------------------------------------------

    def entries(self, after: tuple[str, int]) -> Iterator[_Entry]:
        """The batches in which something is wanted, by path."""
        found = self._driver.run(get(self._layout.board))
        if isinstance(found, Found):
            self._board = known_of(decode(Board, self._layout.board, found.body))
        on_board = self._on_board()
        listed = (entry for entry in self._listed(after[0]) if entry.path not in on_board)
        for entry in heapq.merge((on_board[path] for path in sorted(on_board)), listed, key=lambda entry: entry.path):
            wanted = [
                spot
                for spot in sorted(entry.spots, key=lambda spot: spot.at)
                if (entry.path, spot.at) > after and self._state in (None, spot.state)
            ]
            if wanted:
                yield entry._replace(spots=wanted)

    def entry(self, path: str) -> _Entry | None:
        """One batch, wherever it is."""
        found = self._driver.run(get(self._layout.board))
        if isinstance(found, Found):
            self._board = known_of(decode(Board, self._layout.board, found.body))
        if path in self._board.sources or path in self._board.moves:
            return self._on_board().get(path)
        key = self._layout.source(path)
        listed = self._list(key, "")
        return next((entry for entry in listed if entry.path == path), None)

    def _on_board(self) -> dict[str, _Entry]:
        board = self._board
        spots: dict[str, list[_Spot]] = {
            path: list(_on_source(path, state))
            for path, state in board.sources.items()
            if parse_source(path).queue == self._queue
        }
        for target, members in board.moves.items():
            source = parse_source(target)
            if source.queue == self._queue:
                spots[target] = []  # it does not count before the board names it
                for path, index in members:
                    spots.setdefault(path, []).append(_Spot(index, "waiting", source.attempt, source.due_ms))
        for name, ticket in board.tickets.items():
            if ticket.queue == self._queue:
                for part in ticket.spans(ticket.left_ranges):
                    spots.setdefault(part.source, []).extend(
                        _Spot(index, "running", part.attempt, session=ticket.session, ticket=name)
                        for index in range(part.start, part.stop)
                    )
        return {path: _Entry(path, found, 0, board.sources.get(path)) for path, found in spots.items()}

    def _listed(self, after: str) -> Iterator[_Entry]:
        """Batches that are not on the board, or were not when it was read."""
        layout, state = self._layout, self._state
        if state in (None, "ready"):
            yield from self._list(layout.queue(self._queue), after)
        if state is None:
            yield from self._list(layout.later, after)
        elif state == "ready":
            yield from self._list(layout.later, after, until=f"{layout.later}{self._now_ms + 1:013}")
        elif state in ("scheduled", "waiting"):
            yield from self._list(layout.later, max(after, f"later/{self._now_ms:013}"))

    def _list(self, prefix: str, after: str, *, until: str | None = None) -> Iterator[_Entry]:
        key = self._layout.source(after)[:-1] if after else ""  # the batch itself, too
        if key < prefix:
            key = ""
        elif not key.startswith(prefix):
            return
        while True:
            page = self._driver.run(list_page(prefix, key))
            for item in page:
                if until is not None and item.key >= until:
                    return
                path = self._layout.path(item.key)
                try:
                    source = parse_source(path)
                except CorruptRecord:
                    continue
                if source.queue == self._queue:
                    state: State = "ready"
                    if source.due_ms is not None and source.due_ms > self._now_ms:
                        state = "waiting" if source.moved else "scheduled"
                    due_ms = None if state == "ready" else source.due_ms
                    every = [_Spot(index, state, source.attempt, due_ms) for index in range(source.count)]
                    yield _Entry(path, every, item.size, None)
            if len(page) < _PAGE:
                return
            key = page[-1].key

    # ---- what ----------------------------------------------------------------------------------------------

    def messages(self, entries: list[_Entry]) -> Iterator[QueuedMessage]:
        small = [entry for entry in entries if entry.size <= self._largest]
        bodies = dict(
            zip(
                (entry.path for entry in small),
                self._driver.run(get_all([self._layout.source(entry.path) for entry in small])),
                strict=True,
            )
        )
        self._hear({spot.session for entry in entries for spot in entry.spots if spot.session})
        for entry in entries:
            found = bodies.get(entry.path)
            if found is not None and not isinstance(found, Found):
                continue  # it has ended meanwhile
            try:
                batch = None if found is None else batch_in(entry.path, entry.path, found.body)
            except CorruptRecord:
                batch = None
            for spot in entry.spots:
                yield self._message(entry, spot, batch)

    def _hear(self, sessions: set[str]) -> None:
        """Learn the names of hosts, and since when they run what. One Get for each that is new."""
        new = sorted(sessions - self._names.keys())
        for session, found in zip(new, self._driver.run(get_all([self._layout.host(one) for one in new])), strict=True):
            self._names[session] = session
            if isinstance(found, Found):
                try:
                    ledger = decode(Ledger, session, found.body)
                except CorruptRecord:
                    continue
                self._names[session] = ledger.place.name or session
                self._since[session] = ledger.about.since

    def _message(self, entry: _Entry, spot: _Spot, batch: Batch | None) -> QueuedMessage:
        path, source = entry.path, parse_source(entry.path)
        place = self._layout.message_id(path, spot.at)
        try:
            message = None if batch is None else decode_moved(path, batch.messages[spot.at])
        except (CorruptRecord, IndexError):
            message = None
        origin = None if message is None else message.origin
        failures = () if entry.known is None else entry.known.failures.get(spot.at, ())
        since = self._since.get(spot.session, {}).get(spot.ticket)
        started_ms = since and since.get(self._board.tickets[spot.ticket].offset_of(path, spot.at))
        sent_ms = min(source.order, MAX_ORDER - source.order) if batch is None else batch.sent_ms
        if origin is not None:
            failures, sent_ms = (*origin.failures, *failures), origin.sent_ms
        return QueuedMessage(
            id=origin.message if origin is not None else "" if source.moved else place,
            queue=source.queue,
            state=spot.state,
            task="" if message is None else message.task,
            attempt=spot.attempt,
            priority=source.priority,
            group=source.group,
            sent_at=time_of(sent_ms),
            due_at=None if spot.due_ms is None else time_of(spot.due_ms),
            host=self._names.get(spot.session),
            unfit=spot.unfit,
            held=spot.held,
            failures=history(failures),
            headers={} if message is None else message.headers,
            raw=message is None,
            body=b"" if message is None else bytes(message.payload),
            place=place,
            ticket=spot.ticket,
            session=spot.session,
            started_at=time_of(started_ms) if started_ms else None,
        )


def _on_source(path: str, state: SourceState) -> Iterator[_Spot]:
    """The messages of a batch on the board, without those in tickets and moves. Dying messages count as dead."""
    unfit = Draft(state).unfit if state.unfit else {}
    for ready in state.ready:
        for index in range(ready.start, ready.stop):
            token = unfit[index][0] if index in unfit else ""
            held = is_held(token)
            yield _Spot(index, "ready", ready.attempt, unfit="" if held else task_of(token), held=held)
    for one in state.waiting:
        yield _Spot(one.index, "waiting", one.attempt, one.due_ms)
