"""The limits of a namespace as they stand: set, declared, and used up."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from msgspec import Struct

from s3queue.core.keys import Layout
from s3queue.core.ops import get, get_all, list_all
from s3queue.core.plan.rules import in_force, reached
from s3queue.core.records import NO_LIMITS, Board, Control, Ledger, Limit, Limits, decode, known_of
from s3queue.errors import CorruptRecord
from s3queue.io.drive import Driver
from s3queue.io.meter import Meter
from s3queue.store import Found, ObjectStore

__all__ = ["LimitInfo", "read_limits"]


class LimitInfo(Struct, frozen=True):
    """The limits of one queue, a line for each.

    Attributes:
        set: by operators; these hold. declared: by the tasks of living hosts, where no operator says otherwise.
        reached: which of them are used up, or hold up messages.
    """

    set: list[str]
    declared: list[str]
    reached: list[str]


def read_limits(store: ObjectStore, namespace: str, meter: Meter | None = None) -> dict[str, LimitInfo]:
    """By queue, of those that have any.

    Raises:
        CorruptRecord: the control or the board cannot be decoded.

    Asks: one LIST per 1,000 hosts, one GET for each, and two more.
    """
    layout, driver = Layout(namespace), Driver(store, meter or Meter())
    found = driver.run(get(layout.control))
    control = decode(Control, layout.control, found.body) if isinstance(found, Found) else Control("")
    found = driver.run(get(layout.board))
    board = known_of(decode(Board, layout.board, found.body)) if isinstance(found, Found) else None
    keys = [item.key for item in driver.run(list_all(layout.hosts))]
    ledgers = []
    for key, one in zip(keys, driver.run(get_all(keys)), strict=True):
        if isinstance(one, Found):
            with contextlib.suppress(CorruptRecord):  # an unreadable ledger declares nothing
                ledgers.append(decode(Ledger, key, one.body))
    declared = in_force(ledgers, None)
    full = reached(board, in_force(ledgers, control)) if board is not None else {}
    return {
        queue: LimitInfo(
            list(_lines(control.limits.get(queue, NO_LIMITS))),
            list(_lines(declared.get(queue, NO_LIMITS))),
            list(full.get(queue, ())),
        )
        for queue in sorted({*control.limits, *declared})
    }


def _lines(limits: Limits) -> Iterator[str]:
    yield from _limit("", limits.queue)
    yield from _limit("each key: ", limits.each)
    for key, limit in sorted(limits.keys.items()):
        yield from _limit(f"key {key}: ", limit)
    if limits.fair is not None:
        yield "keys take turns" if limits.fair else "keys take no turns"
    for key, weight in sorted(limits.weights.items()):
        yield f"key {key}: {weight} messages in its turn"
    if limits.ageing_s is not None:
        yield (
            f"{limits.ageing_s:g} s of wait count as one priority" if limits.ageing_s else "no wait counts as priority"
        )
    if limits.breaker is not None:
        it = limits.breaker
        yield f"held for {it.pause_s:g} s after {it.failures} failures within {it.window_s:g} s"


def _limit(whose: str, limit: Limit) -> Iterator[str]:
    if limit.max_running is not None:
        yield f"{whose}{limit.max_running or 'any number'} running"
    if limit.rate is not None:
        yield f"{whose}{f'{limit.rate:g}' if limit.rate else 'any number'}/s"
