"""Store the source that a move on the committed board names: what waits, copied to ``later/`` with its history.

Two coordinators that do this for one board store the same bytes, so whoever comes first serves both.
"""

from __future__ import annotations

from msgspec import Raw

from s3queue.core.keys import Layout
from s3queue.core.ops import Step, Unknown, get, get_all, put
from s3queue.core.plan.park import NotYet, Parked, TooLarge, Unreadable
from s3queue.core.records import (
    Board,
    Moved,
    Origin,
    decode_batch,
    decode_moved,
    encode_batch,
    encode_message,
)
from s3queue.core.settle import shortened
from s3queue.errors import CorruptRecord
from s3queue.store import Found, Missing, Stored

#: Bytes that a source which is made of waiting messages has at most, unless it is a single one.
MOVED_BYTES = 8_000_000
#: Sources read at once, at most: twice as many as before, as long as the largest so far leaves them below that size.
_AT_ONCE = 128


def park(layout: Layout, board: Board, target: str) -> Step[Parked | TooLarge | Unreadable | NotYet]:
    """Make the source of one move exist.

    Asks: one Get for each source that its messages come from, one Put; after a Conflict, one Get.
    """
    members = board.moves[target]
    messages: list[Raw] = []
    sent_ms = size = at_once = 0
    bodies: dict[str, Found | Missing] = {}
    ahead = list(dict.fromkeys(path for path, _ in members))
    for path, index in members:
        if path not in bodies:
            largest = max((len(one.body) for one in bodies.values() if isinstance(one, Found)), default=1)
            at_once = max(1, min(2 * at_once, _AT_ONCE, MOVED_BYTES // max(1, largest)))
            portion, ahead = ahead[:at_once], ahead[at_once:]
            bodies.clear()  # they are in the order of their sources
            found = yield from get_all([layout.source(one) for one in portion])
            bodies.update(zip(portion, found, strict=True))
        message = _moved(layout, board, path, index, bodies[path])
        if message is None:
            return Unreadable(path)
        size += len(message[0])
        if messages and size > MOVED_BYTES:
            return TooLarge(len(messages))
        messages.append(message[0])
        sent_ms = max(sent_ms, message[1])
    body = encode_batch(messages, sent_ms)
    outcome = yield from put(layout.source(target), body, None)
    if isinstance(outcome, Stored):
        return Parked()
    if isinstance(outcome, Unknown):
        return NotYet()
    there = yield from get(layout.source(target))
    if isinstance(there, Found) and there.body == body:
        return Parked()
    return Unreadable("")  # somebody's half of it: another move has another name


def _moved(layout: Layout, board: Board, path: str, index: int, body: Found | Missing) -> tuple[Raw, int] | None:
    """The message with where it comes from, and when it was sent. None where it cannot be read."""
    if isinstance(body, Missing):
        return None
    try:
        batch = decode_batch(path, body.body)
        message = decode_moved(path, batch.messages[index])
    except (CorruptRecord, IndexError):
        return None
    before = message.origin or Origin(layout.message_id(path, index), batch.sent_ms)
    history = shortened((*before.failures, *board.sources[path].failures.get(index, ())))
    origin = Origin(before.message, before.sent_ms, history)
    return encode_message(Moved(message.task, message.payload, message.headers, origin)), before.sent_ms
