"""Stores the sources that moves on the committed board name: waiting messages, copied to ``later/`` with their history.

Two coordinators that do this for one board store the same bytes, so the first put serves both.
"""

from __future__ import annotations

from msgspec import Raw

from s3queue.core.chores.troubles import Troubles
from s3queue.core.histories import shortened
from s3queue.core.keys import MAX_BATCH, Layout
from s3queue.core.ops import Missed, Step, Unknown, get, get_within, put
from s3queue.core.plan.park import Parking
from s3queue.core.produce import BATCH_BYTES
from s3queue.core.records import (
    Board,
    Moved,
    Origin,
    decode_batch,
    decode_moved,
    encode_batch,
    encode_message,
)
from s3queue.errors import CorruptRecord, StoreError
from s3queue.store import Found, Missing, Stored

#: Bytes of a source of waiting messages at most, as for producers; a single message may be larger.
_MOST_BYTES = BATCH_BYTES
#: Sources read concurrently at most; doubles from read to read while they fit that size.
_AT_ONCE = 128
#: Seconds: time-out of a read.
_READ_S = 10.0


class Moves:
    """
    Attributes:
        parking: results of the moves, for the next plan.
        done: stored moves, not reported yet: the new source, and the unchanged ids of its messages.
    """

    def __init__(self, layout: Layout, troubles: Troubles) -> None:
        self._layout, self._troubles = layout, troubles
        self._board: Board | None = None
        self._under_way: set[str] = set()
        self.parking = Parking()
        self.done: list[tuple[str, list[str]]] = []

    def follow(self, board: Board) -> None:
        self._board = board if board.moves else None
        self.parking.committed(board)

    def take(self, now: float) -> Step[bool] | None:
        parking, board = self.parking, self._board
        for target in board.moves if board is not None else ():
            is_open = target not in parking.stored and target not in parking.refused and target not in self._under_way
            if is_open and self._troubles.allow(self._layout.source(target), now):
                assert board is not None
                self._under_way.add(target)
                return self._store(board, target, now)
        return None

    def _store(self, board: Board, target: str, now: float) -> Step[bool]:
        """Store the source of one move.

        Asks: one Get for each source that its messages come from, one Put; after a Conflict, one Get.
        """
        key = self._layout.source(target)
        try:
            copied = yield from self._copy(board, target, now)
            if copied is None:
                return target in self.parking.refused
            body, ids = copied
            outcome = yield from put(key, body, None)
            if isinstance(outcome, Unknown):
                self._troubles.met(key, StoreError("put", key), now)
                return False
            if not isinstance(outcome, Stored):
                there = yield from get(key)
                if not isinstance(there, Found) or there.body != body:
                    self.parking.refused.add(target)  # truncated: the next move has another name
                    return True
        except StoreError as fault:
            if len(board.moves[target]) == 1 and self._troubles.has(key):
                self._refuse(target, board.moves[target][0][0])  # too large for the store, with its history
            self._troubles.met(key, fault, now)
            return target in self.parking.refused
        finally:
            self._under_way.discard(target)
        self._troubles.over(key)
        self.parking.stored.add(target)
        self.done.append((target, ids))
        self.parking.most = min(MAX_BATCH, 2 * self.parking.most)
        return True

    def _copy(self, board: Board, target: str, now: float) -> Step[tuple[bytes, list[str]] | None]:
        """The body of the new source, and the ids in it; None if it cannot be made, now or ever."""
        members, parking = board.moves[target], self.parking
        messages: list[Raw] = []
        ids: list[str] = []
        sent_ms = size = at_once = 0
        bodies: dict[str, Found | Missing | Missed] = {}
        ahead = list(dict.fromkeys(path for path, _ in members))
        for path, index in members:
            if path not in bodies:
                largest = max((len(one.body) for one in bodies.values() if isinstance(one, Found)), default=1)
                at_once = max(1, min(2 * at_once, _AT_ONCE, _MOST_BYTES // max(1, largest)))
                portion, ahead = ahead[:at_once], ahead[at_once:]
                bodies.clear()  # they are in the order of their sources
                found = yield from get_within([self._layout.source(one) for one in portion], _READ_S)
                bodies.update(zip(portion, found, strict=True))
            body = bodies[path]
            if isinstance(body, Missed):
                self._missed(target, path, body, now)
                return None
            message = self._moved(board, path, index, body)
            if message is None:
                self._refuse(target, path)
                return None
            size += len(message[0])
            if messages and size > _MOST_BYTES:
                parking.refused.add(target)
                parking.most = len(messages)
                return None
            messages.append(message[0])
            ids.append(message[1].message)
            sent_ms = max(sent_ms, message[1].sent_ms)
        return encode_batch(messages, sent_ms), ids

    def _missed(self, target: str, path: str, missed: Missed, now: float) -> None:
        """A source that repeatedly cannot be read is not moved, and delays no others."""
        key = self._layout.source(path)
        if self._troubles.has(key):
            self._refuse(target, path)
        self._troubles.met(key, missed.fault or StoreError("get", key), now)
        self._troubles.met(self._layout.source(target), missed.fault or StoreError("get", key), now)

    def _refuse(self, target: str, path: str) -> None:
        self.parking.refused.add(target)
        self.parking.unmovable.add(path)

    def _moved(self, board: Board, path: str, index: int, body: Found | Missing) -> tuple[Raw, Origin] | None:
        """The message with its origin. None if it cannot be read."""
        if isinstance(body, Missing):
            return None
        try:
            batch = decode_batch(path, body.body)
            message = decode_moved(path, batch.messages[index])
        except (CorruptRecord, IndexError):
            return None
        before = message.origin or Origin(self._layout.message_id(path, index), batch.sent_ms)
        history = shortened((*before.failures, *board.sources[path].failures.get(index, ())))
        memo = board.memos.get(path, {}).get(index, before.memo)
        origin = Origin(before.message, before.sent_ms, history, memo)
        return encode_message(Moved(message.task, message.payload, message.headers, origin)), origin
