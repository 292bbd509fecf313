"""Counts of everything, read from the outside: one board, one listing, the ledgers of the hosts.

The parts are read one after the other while the queue goes on, so the figures are those of slightly different moments.
The board is read first: whatever finishes meanwhile is then counted where it was, and nothing is counted twice.
"""

from __future__ import annotations

import time
from typing import Any

import msgspec
from msgspec import Struct, field

from s3queue.config import current_config, current_store
from s3queue.core import ranges
from s3queue.core.keys import MAX_ORDER, Layout, parse_source
from s3queue.core.ops import get, get_all, list_all
from s3queue.core.produce import largest_source
from s3queue.core.records import Board, Control, Ledger, decode
from s3queue.core.settle import Draft
from s3queue.errors import CorruptRecord
from s3queue.runtime.drive import Driver
from s3queue.runtime.meter import Meter
from s3queue.store import Found, Listed, ObjectStore

__all__ = ["HostStats", "QueueStats", "Stats", "stats"]


class QueueStats(Struct):
    """Messages of one queue.

    Attributes:
        ready: could run now.
        scheduled: have not reached their due time.
        running: assigned to a host: running, or next there.
        waiting: failed or snoozed, and wait for their next start; on the board or off it.
        dead: dead letters in the bucket, decided ones included, and messages whose letter is being written.
        done, failed: committed since the namespace began: messages done; attempts that failed.
        oldest_s: age in seconds of the oldest batch that no host has begun; None where there is none.
        unfit: messages that wait for a host that knows their task, or takes their arguments, by ``task@digests``: the
            signatures that the hosts which gave them back know. They are none of those that are ready.
        paused: no message of it is assigned, since an operator has said so.
    """

    ready: int = 0
    scheduled: int = 0
    running: int = 0
    waiting: int = 0
    dead: int = 0
    done: int = 0
    failed: int = 0
    oldest_s: float | None = None
    unfit: dict[str, int] = field(default_factory=dict)
    paused: bool = False


class HostStats(Struct):
    """One session: a supervisor with its workers.

    Attributes:
        usage: store requests since its supervisor started, by role (``coordinator``, ``host``, ``worker``):
            requests by kind, bytes of objects sent and received, retries, conflicts, puts without an answer; as of its
            last write.
    """

    session: str
    name: str = ""
    slots: int = 0
    queues: list[str] = field(default_factory=list)
    assigned: int = 0
    over: bool = False
    usage: dict[str, dict[str, int]] = field(default_factory=dict)


class Stats(Struct):
    """A namespace.

    Attributes:
        coordinator: session that leads; None between two.
        full: bounds of the board that hold back work: ``board`` (its size), ``failures`` (histories on it), ``dead
            letters`` (that are not written yet).
        unreadable: keys of objects that could not be decoded, of batches that workers could not read when they last
            tried, and of those that are larger than ``max_message_bytes`` allows, which are never read.
        requests: what looking cost, by kind.
    """

    store: str
    namespace: str
    coordinator: str | None = None
    epoch: int = 0
    queues: dict[str, QueueStats] = field(default_factory=dict)
    hosts: list[HostStats] = field(default_factory=list)
    unreadable: list[str] = field(default_factory=list)
    requests: dict[str, int] = field(default_factory=dict)
    full: list[str] = field(default_factory=list)

    def as_dict(self) -> dict[str, Any]:
        builtins: dict[str, Any] = msgspec.to_builtins(self)
        return builtins


def stats(store: ObjectStore | None = None, namespace: str | None = None, *, meter: Meter | None = None) -> Stats:
    """Count the messages and hosts of a namespace.

    One GET for the board, one for each host, and one where an operator has set anything; one LIST per 1,000 objects, and
    one per queue for its dead letters.
    """
    store = current_store() if store is None else store
    layout = Layout(namespace or current_config().namespace)
    driver = Driver(store, meter or Meter())
    before = driver.meter.as_dict()
    seen = Stats(store.url, layout.root)
    board = _read_board(seen, layout, driver)
    listing = driver.run(list_all(layout.home))
    _count_board(seen, layout, board)
    _count_sources(seen, layout, board, listing, time.time())
    _read_hosts(seen, layout, board, listing, driver)
    _read_control(seen, layout, listing, driver)
    live, dying = _letters(layout, board)
    for queue, counts in seen.queues.items():
        letters = {item.key for item in driver.run(list_all(layout.dead(queue)))}
        counts.dead = len((letters | dying.get(queue, set())) - live)
    seen.queues = dict(sorted(seen.queues.items()))
    seen.requests = {kind: count - before[kind] for kind, count in driver.meter.as_dict().items()}
    return seen


def _queue(seen: Stats, name: str) -> QueueStats:
    return seen.queues.setdefault(name, QueueStats())


def _read_board(seen: Stats, layout: Layout, driver: Driver) -> Board | None:
    found = driver.run(get(layout.board))
    if not isinstance(found, Found):
        return None
    try:
        return decode(Board, layout.board, found.body)
    except CorruptRecord:
        seen.unreadable.append(layout.board)
        return None


def _letters(layout: Layout, board: Board | None) -> tuple[set[str], dict[str, set[str]]]:
    """Keys of the letters that messages would have which are counted as alive already: one that has died since the board
    was read is not counted twice. And by queue, those of messages that are dying: their letters may be there or not."""
    live: set[str] = set()
    dying: dict[str, set[str]] = {}
    if board is None:
        return live, dying
    for ticket in board.tickets.values():
        for part in ticket.spans(ranges.minus((0, ticket.size), ticket.taken)):
            live.update(_letter(layout, part.source, index) for index in range(part.start, part.stop))
    for path, state in board.sources.items():
        for ready in state.ready:
            live.update(_letter(layout, path, index) for index in range(ready.start, ready.stop))
        live.update(_letter(layout, path, one.index) for one in state.waiting)
        if state.dying:
            letters = dying.setdefault(parse_source(path).queue, set())
            letters.update(_letter(layout, path, index) for index in state.dying)
    return live, dying


def _letter(layout: Layout, path: str, index: int) -> str:
    return layout.dead(parse_source(path).queue, layout.message_id(path, index))


def _count_board(seen: Stats, layout: Layout, board: Board | None) -> None:
    if board is None:
        return
    seen.epoch = board.epoch
    seen.coordinator = board.leader.session if board.leader else None
    for name, totals in board.totals.items():
        counts = _queue(seen, name)
        counts.done, counts.failed = totals.done, totals.failed
    for path, state in board.sources.items():
        counts = _queue(seen, parse_source(path).queue)
        marked = Draft(state).marked() if state.unfit else {}
        counts.ready += sum(ready.stop - ready.start for ready in state.ready) - sum(marked.values())
        for token, many in marked.items():
            counts.unfit[token] = counts.unfit.get(token, 0) + many
        counts.waiting += len(state.waiting)
        if any(history and history[-1].cause == "unreadable" for history in state.failures.values()):
            seen.unreadable.append(layout.source(path))
    for target, members in board.moves.items():
        _queue(seen, parse_source(target).queue).waiting += len(members)
    seen.full = list(board.full)
    for ticket in board.tickets.values():
        _queue(seen, ticket.queue).running += ticket.size - ranges.size(ticket.taken)


def _count_sources(seen: Stats, layout: Layout, board: Board | None, listing: list[Listed], now_s: float) -> None:
    """Batches that are not on the board yet."""
    known = {**board.sources, **board.moves} if board else {}
    largest = largest_source(current_config().max_message_bytes)
    for item in listing:
        path = layout.path(item.key)
        if path in known or not item.key.startswith((layout.inbox, layout.later)):
            continue
        try:
            source = parse_source(path)
        except CorruptRecord:
            seen.unreadable.append(item.key)
            continue
        if item.size > largest:
            seen.unreadable.append(item.key)
            continue
        counts = _queue(seen, source.queue)
        if source.due_ms is not None and source.due_ms > now_s * 1000:
            if source.moved:
                counts.waiting += source.count
            else:
                counts.scheduled += source.count
            continue
        counts.ready += source.count
        sent_ms = min(source.order, MAX_ORDER - source.order)  # one of them is the complement
        age = max(0.0, now_s - sent_ms / 1000)
        counts.oldest_s = age if counts.oldest_s is None else max(counts.oldest_s, age)


def _read_control(seen: Stats, layout: Layout, listing: list[Listed], driver: Driver) -> None:
    if not any(item.key == layout.control for item in listing):
        return
    found = driver.run(get(layout.control))
    if not isinstance(found, Found):
        return
    try:
        control = decode(Control, layout.control, found.body)
    except CorruptRecord:
        seen.unreadable.append(layout.control)
        return
    for queue in control.paused:
        if control.holds(queue, int(time.time() * 1000)):
            _queue(seen, queue).paused = True


def _read_hosts(seen: Stats, layout: Layout, board: Board | None, listing: list[Listed], driver: Driver) -> None:
    assigned: dict[str, int] = {}
    for ticket in board.tickets.values() if board else ():
        assigned[ticket.session] = assigned.get(ticket.session, 0) + ticket.size - ranges.size(ticket.taken)
    keys = [item.key for item in listing if item.key.startswith(layout.hosts)]
    for key, found in zip(keys, driver.run(get_all(keys)), strict=True):
        if not isinstance(found, Found):
            continue
        session = layout.session(key)
        try:
            ledger = decode(Ledger, key, found.body)
        except CorruptRecord:
            seen.unreadable.append(key)
            continue
        seen.hosts.append(
            HostStats(
                session,
                ledger.place.name,
                ledger.slots,
                sorted(ledger.offers),
                assigned.get(session, 0),
                ledger.over,
                {role: usage.as_dict() for role, usage in ledger.usage.items()},
            )
        )
