"""The producer's side: one create-only put stores a batch of messages.

A message exists as soon as its source object does. Nothing else is written, so a crash cannot leave a partial state.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from msgspec import Raw

from s3queue.core.keys import Layout, source_path
from s3queue.core.ops import Step, get, put, write
from s3queue.core.records import QueueMeta, decode, encode, encode_batch
from s3queue.errors import CorruptRecord, StoreDenied, StoreUnavailable
from s3queue.store import Conflict, Found, Stored

#: Bytes of messages in one object: small messages share one put, and a worker that needs one of them reads it quickly. A
#: larger message goes alone.
BATCH_BYTES = 4_000_000
#: Bytes that a batch adds to one message at most.
ENVELOPE_BYTES = 1000


#: Bytes that its history adds to a message at most when the message is moved off the board, with what it has noted.
HISTORY_BYTES = 24_000


def largest_source(max_message_bytes: int) -> int:
    """Bytes of the largest source that a producer with this setting, or a coordinator, may have stored. Larger objects are
    not read."""
    return max(max_message_bytes, BATCH_BYTES) + ENVELOPE_BYTES + HISTORY_BYTES


@dataclass(frozen=True, slots=True)
class Outgoing:
    """A batch that is ready to be stored: its path below the partition, and the object's body."""

    path: str
    body: bytes
    count: int


def new_batch(
    queue: str,
    messages: list[Raw],
    *,
    sent_ms: int,
    batch: str,
    priority: int = 5,
    group: str | None = None,
    due_ms: int | None = None,
    newest_first: bool = False,
    key: str | None = None,
    expires_ms: int | None = None,
    gate: str = "",
) -> Outgoing:
    """Encode 1 to 1,000 messages that share queue, priority, group or key, due time and time of expiry.

    Args:
        messages: each from `s3queue.core.records.encode_message`.
        sent_ms: the producer's wall clock; decides the order, nothing else.
        batch: from `s3queue.core.keys.batch_id`, never used before.
    """
    path = source_path(
        queue,
        sent_ms=sent_ms,
        batch=batch,
        count=len(messages),
        priority=priority,
        group=group,
        due_ms=due_ms,
        newest_first=newest_first,
        key=key,
        expires_ms=expires_ms,
        gate=gate,
    )
    return Outgoing(path, encode_batch(messages, sent_ms), len(messages))


class Accepted(NamedTuple):
    """The batch is stored, once. It will not be lost."""


class Unanswered(NamedTuple):
    """No answer. Send the same again, until there is one or ``enqueue_deadline`` has passed."""


def enqueue(layout: Layout, outgoing: Outgoing) -> Step[Accepted | Unanswered]:
    """Try once to make the batch exist.

    Repeating it is safe for as long as ``dedup_window``: the same source is admitted once. No other process creates this
    key, so a Conflict comes from an earlier try of ours. That object is read: if a server kept a truncated put, the whole
    body is put in its place. A missing object means that the batch was settled.

    Raises:
        CorruptRecord: another object has this key. The batch is not stored.

    Asks: one Put; after a Conflict, one Get; where only a part is there, one Put more.
    """
    key = layout.key(outgoing.path)
    outcome = yield from put(key, outgoing.body, None)
    if isinstance(outcome, Conflict):
        try:
            found = yield from get(key)
        except (StoreUnavailable, StoreDenied):  # raised, they would mean that nothing is stored
            return Unanswered()
        if not isinstance(found, Found) or found.body == outgoing.body:
            return Accepted()
        if not outgoing.body.startswith(found.body):
            raise CorruptRecord(
                key,
                "another object has the key of this batch, which was not stored",
            )
        outcome = yield from put(key, outgoing.body, found.version)
    return Accepted() if isinstance(outcome, Stored) else Unanswered()


def ensure_meta(layout: Layout, queue: str, wanted: QueueMeta) -> Step[QueueMeta | Unanswered]:
    """The settings of this queue: the stored ones, or ours if there were none.

    Returns:
        QueueMeta: stored, so every other producer finds the same.
        Unanswered: ours were sent, and may still take effect. Enqueue nothing yet; ask again with the same ``wanted``.

    Raises:
        CorruptRecord: a newer release has changed the format of this queue.

    Asks: one Get; for a queue that is new, one Put more.
    """
    key = layout.meta(queue)
    found = yield from get(key)
    if not isinstance(found, Found):
        outcome = yield from write(key, encode(wanted), nonce=wanted.nonce, if_version=None)
        if isinstance(outcome, Stored):
            return wanted
        found = yield from get(key)
    return decode(QueueMeta, key, found.body) if isinstance(found, Found) else Unanswered()
