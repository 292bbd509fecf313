"""Results: the return values of tasks, stored by workers and read by callers that wait for them.

A worker stores a result before its outcome is reported, so it may be there and never count: its host may be fenced in
between. Three things tell whether it counts, looked at in this order:

1. **A board that is newer than the result's ticket**, of any age otherwise, and that does not list the message: it was
   settled before that board. (A message that was not admitted yet is on no board either; but then no ticket of it is older
   than the board.)
2. **The result, read after that board.** Only a later ticket replaces a result, and of a settled message there is none:
   what is there now is of its last ticket, or of one before it that was fenced.
3. **The letter, read after that board.** Every ending but the first life's ``done`` goes through it, so without one the
   outcome was ``done``, by the last ticket, whose result is there.

A message that waits may have been moved off the board. Where any of its queue is (`Totals.moved`), it is looked for there
first: what is not there any more, and on no board, is settled.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from enum import Enum
from typing import Any, NamedTuple

from msgspec.structs import replace

from s3queue.core.keys import Layout, MessageRef, fencing_token, life_path, parse_message_id, parse_source, ticket_id
from s3queue.core.ops import Op, Step, get, get_all, list_all, put
from s3queue.core.records import (
    Board,
    DeadLetter,
    Result,
    decode,
    decode_batch,
    decode_moved,
    decode_result,
    encode_result,
)
from s3queue.errors import CorruptRecord
from s3queue.store import Found, Missing, Stored

#: Batches of moved messages that are read at once.
_AT_ONCE = 64


class Kept(Enum):
    """What became of a result.

    STORED: it is there. LATER: that of a later ticket is; this host was fenced. NOT_NOW: the trust window is over; try
    again when the ledger was written.
    """

    STORED = "stored"
    LATER = "later"
    NOT_NOW = "not now"


def keep(layout: Layout, result: Result, stamp: Callable[[], int | None]) -> Step[Kept]:
    """Store what a task returned, over the result of an earlier ticket, never over that of a later one.

    It is stamped and sent within the trust window, like the start of a message. So a put of a fenced host, whenever it
    lands, was stamped before the result of its successor, and expires before that one is swept.

    Args:
        stamp: when the result expires, in milliseconds of the wall clock, if the window is open; else None. Both by
            one look at the clock, just before each put.

    Asks: one Put; where another result is there, or there was no answer, one Get and one Put more.
    """
    key, match = layout.result(result.message, result.life), None
    while (expires_ms := stamp()) is not None:
        outcome = yield from put(key, encode_result(replace(result, expires_ms=expires_ms)), match)
        if isinstance(outcome, Stored):
            return Kept.STORED
        found = yield from get(key)
        match = found.version if isinstance(found, Found) else None
        there = _read(key, found) if isinstance(found, Found) else None
        if there is None:
            continue  # nothing, or something unreadable
        if there.nonce == result.nonce:
            return Kept.STORED
        if there.token > result.token:
            return Kept.LATER
    return Kept.NOT_NOW


class Verdict(Enum):
    """What is known of a message that a board does not list.

    DONE: this is its result. DEAD, CANCELLED (or expired, or purged): as its letter says. OPEN: it goes on, or it is
    unknown yet: read a newer board. NOTHING: it has no result and no letter.
    """

    DONE = "done"
    DEAD = "dead"
    CANCELLED = "cancelled"
    OPEN = "open"
    NOTHING = "nothing"


class Looked(NamedTuple):
    verdict: Verdict
    result: Result | None = None
    letter: DeadLetter | None = None
    moved: MessageRef | None = None


def look(layout: Layout, message: str, board: Board) -> Step[Looked]:
    """What became of a message that this board does not list.

    Args:
        board: read before this step was started.

    Asks: two Gets at once; of a message that was redriven and is done, one more. Where messages of its queue are moved
    off the board, before that: one List per 1,000 scheduled batches, and one Get for each batch of moved messages of
        its queue.
    """
    queue = parse_source(parse_message_id(message).path).queue
    totals = board.totals.get(queue)
    if totals is not None and totals.moved:
        moved = yield from find_moved(layout, message)
        # What is settled in a batch that is not deleted yet is settled.
        if moved is not None and (moved.path not in board.sources or is_listed(board, moved)):
            return Looked(Verdict.OPEN, moved=moved)
    key, dead = layout.result(message), layout.dead(queue, message)
    found, letter = yield from get_all([key, dead])
    if isinstance(letter, Found):
        return (yield from _as_the_letter_says(layout, decode(DeadLetter, dead, letter.body), board))
    if not isinstance(found, Found):
        return Looked(Verdict.NOTHING)
    result = decode_result(key, found.body)
    return Looked(Verdict.DONE if is_older(result, board) else Verdict.OPEN, result)


class Look(NamedTuple):
    """Yielded by `wait_for`: the board, or None where there is none.

    Attributes:
        since: ``ever``: any that is known. ``lately``: one that was read in the pause that is over. ``now``: one that
            is read from now on.
    """

    since: str


class Pause(NamedTuple):
    """Yielded by `wait_for`: wait for a while."""


def wait_for(layout: Layout, message: str) -> Generator[Op | Look | Pause, Any, Looked]:
    """Wait until a message has ended, or is known not to exist.

    Returns:
        DONE, DEAD, CANCELLED: see `Verdict`. NOTHING: there is no such message, or nothing is left of it.

    Asks: two Gets if a board is known that is newer than its end, else one for the board more; of a dead message two more
    than that, and a look at its batch. While it waits, per
    pause one Get of the board, which waiters share, without a body if it is unchanged; and until a board lists the
    message, one of its batch, without a body. At its end the first two again. `look` says what is added for moved messages.
    """
    first = parse_message_id(message)
    source, version, present = layout.source(first.path), "", False
    is_borrowed = parse_source(
        first.path
    ).is_borrowed  # a source without an object of its own is on a board, or it is over
    refs, seen, since = [first], False, "now"
    board: Board | None = yield Look("ever")
    if board is not None and not is_listed(board, first):
        looked = yield from look(layout, message, board)
        # A dead message may have been redriven since that board.
        if looked.verdict not in (Verdict.OPEN, Verdict.NOTHING, Verdict.DEAD):
            return looked
    while True:
        if not seen:
            found = yield from get(
                source, version or None
            )  # before the board: a message that is no longer here is there
            present = not isinstance(found, Missing) and not is_borrowed
            version = found.version if isinstance(found, Found) else version
        board = yield Look(since if present or seen else "now")
        if board is not None and any(is_listed(board, ref) for ref in refs):
            seen = True
        elif board is None or (not seen and present and first.path not in board.sources):
            if not present:
                return Looked(Verdict.NOTHING)
        else:
            looked = yield from look(layout, message, board)
            if looked.verdict is not Verdict.OPEN:
                return looked
            if looked.moved is not None:
                refs, seen = [first, looked.moved], True
        yield Pause()
        since = "lately"


def _as_the_letter_says(layout: Layout, letter: DeadLetter, board: Board) -> Step[Looked]:
    """A letter is read after the board: a message that the board does not list has ended as the letter says, or in an
    earlier life."""
    part = parse_message_id(letter.message).part
    if not letter.tombstone:
        following = MessageRef(part, life_path(letter.message, letter.life + 1), 0)
        if is_listed(board, following):
            return Looked(Verdict.OPEN, letter=letter, moved=following)
        return Looked(Verdict.DEAD, letter=letter)
    if letter.ending != "done":
        return Looked(Verdict.CANCELLED, letter=letter)
    key = layout.result(letter.message, letter.life)
    found = yield from get(key)
    result = decode_result(key, found.body) if isinstance(found, Found) else None
    if result is None or result.ticket != letter.ticket:
        return Looked(Verdict.NOTHING, letter=letter)
    return Looked(Verdict.DONE, result, letter)


def is_listed(board: Board, ref: MessageRef) -> bool:
    """Whether this board says where the message is, and not that it is settled."""
    path, index = ref.path, ref.index
    state = board.sources.get(path)
    if state is None:
        return False
    if index in state.dying or any(one.start <= index < one.stop for one in state.ready):
        return True
    if any(one.index == index for one in state.waiting):
        return True
    if any((path, index) in members for members in board.moves.values()):
        return True
    if state.settled == parse_source(path).count:
        return False
    return any(
        part.source == path and part.start <= index < part.stop
        for ticket in board.tickets.values()
        for part in ticket.spans(ticket.left_ranges)
    )


def is_older(result: Result, board: Board) -> bool:
    """Whether the board was committed when, or after, the result's ticket was assigned."""
    return result.token < fencing_token(ticket_id(board.epoch, board.sequence))


def find_moved(layout: Layout, message: str) -> Step[MessageRef | None]:
    """Where a message is that was moved off the board while it waited. It may have been moved more than once, and a batch
    stays while others of it wait: its place is in the newest batch.

    Asks: one List per 1,000 scheduled batches, and one Get for each batch of moved messages of its queue; where one of
    those is gone by then, the same for those that are new, since what was in it may have been moved on.
    """
    first = parse_message_id(message)
    queue = parse_source(first.path).queue
    read: set[str] = set()
    while True:
        paths = {layout.path(item.key) for item in (yield from list_all(layout.later))}
        moved = sorted((path for path in paths - read if _is_moved(path, queue)), key=_number, reverse=True)
        read.update(moved)
        is_gone = False
        for start in range(0, len(moved), _AT_ONCE):
            some = moved[start : start + _AT_ONCE]
            for path, found in zip(some, (yield from get_all([layout.source(one) for one in some])), strict=True):
                index = _index_in(path, found, message)
                if index is not None:
                    return MessageRef(first.part, path, index)
                is_gone = is_gone or isinstance(found, Missing)
        if not is_gone:
            return None


def _number(path: str) -> str:
    """Moves are numbered in their order, see `s3queue.core.keys.moved_batch`."""
    return parse_source(path).batch


def _is_moved(path: str, queue: str) -> bool:
    try:
        source = parse_source(path)
    except CorruptRecord:
        return False
    return source.moved and source.queue == queue


def _index_in(path: str, found: Found | Missing, message: str) -> int | None:
    if isinstance(found, Found):
        try:
            for index, raw in enumerate(decode_batch(path, found.body).messages):
                origin = decode_moved(path, raw).origin
                if origin is not None and origin.message == message:
                    return index
        except CorruptRecord:
            pass
    return None


def _read(key: str, found: Found) -> Result | None:
    try:
        return decode_result(key, found.body)
    except CorruptRecord:
        return None
