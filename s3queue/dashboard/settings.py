"""The settings of one queue: its limits, who set them, and their use; its keys, its breaker, its schedules."""

from __future__ import annotations

from datetime import datetime
from typing import NamedTuple, TypeVar

from s3queue.core.keys import Layout, parse_source
from s3queue.core.ops import get, get_all, list_page
from s3queue.core.records import Board, Control, Ledger, decode, known_of
from s3queue.core.records.limits import NO_LIMITS, Fuse, Limit, Limits, overlaid, strictest
from s3queue.errors import CorruptRecord
from s3queue.io.drive import Driver
from s3queue.operate.views import time_of
from s3queue.store import Found

T = TypeVar("T", Control, Board)

__all__ = ["KeyUse", "LimitRow", "QueueSettings", "read_settings"]

#: Keys that are shown: those with the most messages on the board.
_MOST_KEYS = 50


class LimitRow(NamedTuple):
    """One limit that applies.

    Attributes:
        scope: the queue, each key, or one key.
        by: ``operator`` or ``task``: who set it.
        max_running: messages at once; 0: any number; None: not limited here.
        rate: messages per second; 0: any number; None: not limited here.
    """

    scope: str
    max_running: int | None
    rate: float | None
    by: str


class KeyUse(NamedTuple):
    """How many messages of a key are on the board: ``running`` and ``ready``."""

    key: str
    running: int
    ready: int


class QueueSettings(NamedTuple):
    """The settings of one queue, and how far they are used.

    Attributes:
        running: messages assigned to hosts.
        paused_until: None: until it is resumed, or it is not paused.
        fuse: the state of the breaker; None: it has seen no failure.
    """

    limits: list[LimitRow]
    holds: Limits
    running: int
    keys: list[KeyUse]
    fuse: Fuse | None
    is_paused: bool
    paused_until: datetime | None
    is_purged: bool


def read_settings(driver: Driver, layout: Layout, queue: str, now_ms: int) -> QueueSettings:
    """Read the settings of a queue.

    Asks: one GET for the control, one for the board, one LIST, and one GET for each host.
    """
    control = _record(driver, layout.control, Control) or Control("")
    board = _record(driver, layout.board, Board) or Board("", 0)
    said = control.limits.get(queue, NO_LIMITS)
    declared = _declared(driver, layout, queue)
    holds = overlaid(said, declared)
    running, keys = _keys(board, queue)
    until_ms = control.paused.get(queue) or 0
    is_paused = control.holds(queue, now_ms)
    return QueueSettings(
        list(_rows(said, holds)),
        holds,
        running,
        keys,
        board.fuses.get(queue),
        is_paused,
        time_of(until_ms) if is_paused and until_ms else None,
        queue in board.purges,
    )


def _record(driver: Driver, key: str, kind: type[T]) -> T | None:
    found = driver.run(get(key))
    return decode(kind, key, found.body) if isinstance(found, Found) else None


def _declared(driver: Driver, layout: Layout, queue: str) -> Limits:
    keys = [item.key for item in driver.run(list_page(layout.hosts))]
    declared: Limits | None = None
    for key, found in zip(keys, driver.run(get_all(keys)), strict=True):
        if not isinstance(found, Found):
            continue
        try:
            ledger = decode(Ledger, key, found.body)
        except CorruptRecord:
            continue
        if not ledger.over and queue in ledger.limits:
            own = ledger.limits[queue]
            declared = own if declared is None else strictest(declared, own)
    return declared or NO_LIMITS


def _rows(said: Limits, holds: Limits) -> list[LimitRow]:
    rows = [
        ("the whole queue", said.queue, holds.queue),
        ("each key", said.each, holds.each),
        *((f"key {key}", said.keys.get(key, Limit()), limit) for key, limit in sorted(holds.keys.items())),
    ]
    return [
        LimitRow(scope, limit.max_running, limit.rate, "operator" if own != Limit() else "task")
        for scope, own, limit in rows
        if limit != Limit()
    ]


def _keys(board: Board, queue: str) -> tuple[int, list[KeyUse]]:
    running: dict[str, int] = {}
    ready: dict[str, int] = {}
    board = known_of(board)
    for ticket in board.tickets.values():
        for part in ticket.spans(ticket.left_ranges):
            source = parse_source(part.source)
            if source.queue == queue:
                running[source.key] = running.get(source.key, 0) + part.stop - part.start
    for path, state in board.sources.items():
        source = parse_source(path)
        if source.queue == queue:
            ready[source.key] = ready.get(source.key, 0) + sum(one.stop - one.start for one in state.ready)
    uses = [KeyUse(key, running.get(key, 0), ready.get(key, 0)) for key in {*running, *ready} if key]
    uses.sort(key=lambda use: (-use.running, -use.ready, use.key))
    return sum(running.values()), uses[:_MOST_KEYS]
