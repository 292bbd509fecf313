"""Where one message is, and how far: in its batch, on the board, in the ledger of its host, or in its letter."""

from __future__ import annotations

import time
from typing import Any, Literal, NamedTuple, TypeAlias

import msgspec
from msgspec import Struct

from s3queue.core import results
from s3queue.core.keys import Layout, MessageRef, is_source, parse_source
from s3queue.core.ops import get
from s3queue.core.records import Board, DeadLetter, Ledger, Memo, Totals, decode, decode_batch, decode_moved
from s3queue.core.results import find_moved
from s3queue.io.drive import Driver
from s3queue.store import Found

__all__ = ["MessageProgress", "OneMessage", "Status"]

Status: TypeAlias = Literal[
    "scheduled", "ready", "running", "waiting", "done", "dead", "cancelled", "expired", "unknown"
]
#: The status of a message by its ending; a message with another ending is not over yet.
_ENDED: dict[str, Status] = {"cancelled": "cancelled", "expired": "expired", "purged": "unknown", "done": "done"}


class MessageProgress(Struct, frozen=True):
    """The last notes of the attempts of a message; see `s3queue.Context.progress` and `s3queue.Context.state`.

    Attributes:
        done, total: in the unit of the task; ``total`` is 0 where the task does not say.
        text: of the task, for people.
        state: the dict that the next attempt gets.
    """

    done: float = 0.0
    total: float = 0.0
    text: str = ""
    state: dict[str, Any] = {}

    def __str__(self) -> str:
        if not (self.done or self.total):
            return self.text
        told = f"{self.done:g} of {self.total:g}" if self.total else f"{self.done:g}"
        return f"{told}, {self.text}" if self.text else told


class Place(NamedTuple):
    """Where a message is that was moved off the board while it waited, and its id there."""

    id: str
    ref: MessageRef


class OneMessage:
    """One message, as it is found in the store.

    Attributes:
        driver: performs what is asked for; counts it.
        id: as `enqueue` returned it.
        queue: the name of its queue.
    """

    def __init__(self, driver: Driver, layout: Layout, id: str, ref: MessageRef) -> None:
        self.driver, self.layout, self.id, self._ref = driver, layout, id, ref
        self.queue = parse_source(ref.path).queue

    def status(self) -> Status:
        """Where it is now. See `s3queue.messages.MessageHandle.status`."""
        layout = self.layout
        # In this order: a message that is no longer in the first place has moved on to the next.
        body = self.driver.run(get(layout.source(self._ref.path)))
        board = self._board()
        status = _on_board(board, self._living(board)) if board is not None else None
        if status is not None and status != "done":
            return status
        is_borrowed = parse_source(self._ref.path).is_borrowed  # then its object may be kept for other messages
        if status is None and not is_borrowed and isinstance(body, Found) and body.body:
            return self._unadmitted(self._ref, board)
        if (ended := self._letter()) is not None:
            return ended
        if (moved := self.moved()) is not None:
            status = _on_board(board, moved.ref) if board is not None else None
            return status or self._unadmitted(moved.ref, board)
        totals = board.totals.get(self.queue, Totals()) if board is not None else Totals()
        expires = parse_source(self._ref.path).expires_ms is not None
        unsure = totals.cancelled or (totals.expired and expires)
        if status == "done" and not unsure:
            return "done"
        return "done" if board is not None and self._has_result(board) else "unknown"

    def _has_result(self, board: Board) -> bool:
        """Whether a result is kept that proves that it is done."""
        looked = self.driver.run(results.look(self.layout, self.id, board))
        kept = looked.result
        return looked.verdict is results.Verdict.DONE and kept is not None and kept.expires_ms > time.time() * 1000

    def progress(self) -> MessageProgress | None:
        """What its attempts have noted last. See `s3queue.messages.MessageHandle.progress`."""
        board = self._board()
        ref, body = self._ref, None
        if board is not None and ref.path not in board.sources and (moved := self.moved()) is not None:
            ref = moved.ref
            body = self.driver.run(get(self.layout.source(ref.path)))
        memo = None if board is None else self._told(board, ref)
        if memo is None and isinstance(body, Found):
            origin = decode_moved(ref.path, decode_batch(ref.path, body.body).messages[ref.index]).origin
            memo = None if origin is None else origin.memo
        if memo is None:
            return None
        return MessageProgress(
            memo.done, memo.total, memo.text, msgspec.msgpack.decode(memo.state) if memo.state else {}
        )

    def _told(self, board: Board, ref: MessageRef) -> Memo | None:
        """In the ledger of its host, or on the board."""
        for name, ticket in board.tickets.items():
            if (offset := ticket.offset_of(ref.path, ref.index)) >= 0:
                key = self.layout.host(ticket.session)
                found = self.driver.run(get(key))
                report = decode(Ledger, key, found.body).reports.get(name) if isinstance(found, Found) else None
                if report is not None and (memo := report.memos.get(offset)) is not None:
                    return memo
        return board.memos.get(ref.path, {}).get(ref.index)

    def _unadmitted(self, ref: MessageRef, board: Board | None) -> Status:
        if board is not None and ref.index in board.marks.get(ref.path, ()):
            return "cancelled"
        source = parse_source(ref.path)
        if source.due_ms is not None and source.due_ms > time.time() * 1000:
            return "waiting" if source.moved else "scheduled"
        return "ready"

    def _living(self, board: Board) -> MessageRef:
        """The path and index under which this board would list it: other ones if it was redriven."""
        for path in board.sources:
            if path.startswith("dead/") and is_source(path) and parse_source(path).message == self.id:
                return MessageRef(self._ref.part, path, 0)
        return self._ref

    def _letter(self) -> Status | None:
        key = self.layout.dead(self.queue, self.id)
        found = self.driver.run(get(key))
        if not isinstance(found, Found):
            return None
        letter = decode(DeadLetter, key, found.body)
        if not letter.tombstone:
            return "dead"
        return _ENDED.get(letter.ending, "unknown")

    def moved(self) -> Place | None:
        """Where it is, if it was moved off the board while it waited."""
        ref = self.driver.run(find_moved(self.layout, self.id))
        return None if ref is None else Place(self.layout.message_id(ref.path, ref.index), ref)

    def _board(self) -> Board | None:
        found = self.driver.run(get(self.layout.board))
        return decode(Board, self.layout.board, found.body) if isinstance(found, Found) else None


def _on_board(board: Board, ref: MessageRef) -> Status | None:
    """None: its batch does not exist."""
    path, index = ref.path, ref.index
    state = board.sources.get(path)
    if state is None:
        return None
    if any(one.start <= index < one.stop for one in state.ready):
        return "ready"
    if any(one.index == index for one in state.waiting):
        return "waiting"
    if index in state.dying:
        return _ENDED.get(state.endings[index].kind, "ready") if index in state.endings else "dead"
    if any((path, index) in members for members in board.moves.values()):
        return "waiting"
    for ticket in board.tickets.values():
        for part in ticket.spans(ticket.left_ranges):
            if part.source == path and part.start <= index < part.stop:
                return "running"
    return "done"
