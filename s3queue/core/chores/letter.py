"""Dead letters: the record, for people, of a message that is out of attempts; and what becomes of it as its message lives
on."""

from __future__ import annotations

import msgspec
from msgspec.structs import replace

from s3queue.core.bodies import batch_in
from s3queue.core.histories import clipped, shortened
from s3queue.core.keys import Layout, Source, parse_message_id, parse_source
from s3queue.core.records import DeadLetter, Ending, Failure, Life, Origin, decode_moved
from s3queue.errors import CorruptRecord
from s3queue.store import Found, Missing

#: Lives in a letter besides the last one, and characters of the error of each.
_LIVES, _LIFE_TEXT = 10, 400
#: Characters of the payload as JSON. Fewer where the payload is in an object of its own: that object and the letter
#: together are less than a third larger than the message.
_PREVIEW, _BRIEF_PREVIEW = 10_000, 4000
#: Lives before the last one whose payloads are deleted with a letter.
_EDITED = 20
#: Bytes of a larger payload are in an object of their own.
INLINE_BYTES = 32_768

#: Of a message that is out of attempts.
DEAD = Ending("dead")


def dead_letter(
    layout: Layout,
    path: str,
    index: int,
    body: Found | Missing,
    failures: tuple[Failure, ...],
    nonce: str,
    now_ms: int,
    *,
    ending: Ending = DEAD,
    turn: int = 0,
) -> DeadLetter:
    """The letter of the first life of a message, with as much of it as can be read.

    A batch that cannot be decoded gets one letter for all its messages, under the id of the first. A batch with fewer
    messages than its key says gets one letter for the missing ones, under the id of the first of them. So each letter of
    a source has its own id. A message that was moved off the board keeps its first id and its whole history.

    A message that ended otherwise than by death has a tombstone of its own, even if it cannot be read. Of several
    unreadable messages the first has none, since their letter has its id.
    """
    letter = DeadLetter(
        nonce,
        layout.message_id(path, index),
        parse_source(path).queue,
        attempt=failures[-1].attempt if failures else 0,
        failures=failures,
        died_ms=now_ms,
        turn=turn,
    )
    is_dead = ending.kind == "dead"
    ended = replace(letter, tombstone=not is_dead, ending="" if is_dead else ending.kind)
    if isinstance(body, Missing):
        return ended
    try:
        batch = batch_in(path, path, body.body)
        messages, sent_ms = batch.messages, batch.sent_ms
    except CorruptRecord:
        messages, sent_ms = [], 0
    if index >= (readable := len(messages)):
        if not is_dead and (index > readable or readable + 1 == parse_source(path).count):
            return ended
        return replace(letter, message=layout.message_id(path, readable), payload=body.body, raw=True)
    try:
        message = decode_moved(path, messages[index])
    except CorruptRecord:
        return replace(ended, payload=bytes(messages[index]), raw=True, sent_ms=sent_ms)
    origin = message.origin or Origin(letter.message, sent_ms)
    failures = shortened((*origin.failures, *failures))
    return replace(
        ended,
        message=origin.message,
        attempt=failures[-1].attempt if failures else 0,
        failures=failures,
        task=message.task,
        payload=bytes(message.payload),
        preview=preview(bytes(message.payload)),
        headers=message.headers,
        sent_ms=origin.sent_ms,
    )


def further_letter(
    letter: DeadLetter,
    source: Source,
    ending: Ending,
    failures: tuple[Failure, ...],
    nonce: str,
    now_ms: int,
    turn: int,
) -> DeadLetter | None:
    """The letter after this life of its message has ended. None: it says so already."""
    if letter.tombstone or letter.life >= source.life:
        return None
    if ending.kind == "purged":
        gone = replace(letter, failures=(), payload=b"", preview="", headers={}, payload_at=0, lives=())
        gone = replace(gone, life=_last_life(source, ending, failures))
        return replace(gone, nonce=nonce, tombstone=True, ending="purged", ended_ms=now_ms, turn=turn)
    last = letter.failures[-1] if letter.failures else None
    if last is not None:
        last = replace(last, text=clipped(last.text, _LIFE_TEXT))
    lives = (*letter.lives, Life(letter.life, letter.attempt, letter.died_ms, last))[-_LIVES:]
    lived = replace(letter, nonce=nonce, life=source.life, lives=lives, turn=turn)
    if ending.kind == "dead":
        attempt = failures[-1].attempt if failures else 0
        return replace(lived, attempt=attempt, failures=failures, died_ms=now_ms)
    failures = failures or letter.failures
    return replace(
        lived, failures=failures, tombstone=True, ending=ending.kind, ticket=ending.by, ended_ms=now_ms, payload_at=0,
        payload=b"", preview=""
    )  # fmt: skip


def _last_life(source: Source, ending: Ending, failures: tuple[Failure, ...]) -> int:
    """The last one that its message has led. A letter that is purged takes the number of the next life, which never
    existed. One that ended with its queue has at least that entered as its failure."""
    return source.life - (ending.kind == "purged" and not failures)


def tombstone(
    source: Source, ending: Ending, failures: tuple[Failure, ...], nonce: str, now_ms: int, turn: int
) -> DeadLetter:
    """A tombstone for a letter that could not be read: it says no more than the board does."""
    return DeadLetter(
        nonce,
        source.message,
        source.queue,
        died_ms=now_ms,
        ended_ms=now_ms,
        tombstone=True,
        ending=ending.kind,
        ticket=ending.by,
        life=_last_life(source, ending, failures),
        turn=turn,
    )


def payload_keys(layout: Layout, message: str, lives: int) -> list[str]:
    """The keys under which payloads of a letter may be: any of its lives may have begun with another payload."""
    queue = parse_source(parse_message_id(message).path).queue
    return [layout.payload(queue, message, life) for life in sorted({1, *range(max(1, lives - _EDITED), lives + 1)})]


def apart(letter: DeadLetter, life: int) -> DeadLetter:
    """The letter without its payload, if that is so large that it is in an object of its own.

    JSON would take a third more for it, and whoever looks at many letters need not read it.
    """
    size = len(letter.payload)
    if size <= INLINE_BYTES:
        return letter
    brief = letter.preview[:_BRIEF_PREVIEW]
    return replace(letter, payload=b"", preview=brief, payload_at=life, payload_bytes=size)


def preview(payload: bytes) -> str:
    try:
        return msgspec.json.encode(msgspec.msgpack.decode(payload)).decode()[:_PREVIEW]
    except (msgspec.MsgspecError, TypeError, ValueError, RecursionError):
        return ""
