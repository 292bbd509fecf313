"""Everything that is known of one message."""

from __future__ import annotations

import time
from datetime import datetime

from msgspec import Struct

from s3queue.core.keys import fencing_token
from s3queue.core.produce import largest_source
from s3queue.operate import letters, looking
from s3queue.operate.status import MessageProgress, OneMessage, Status
from s3queue.operate.views import FailedAttempt

__all__ = ["MessageDetails"]


class MessageDetails(Struct, frozen=True, kw_only=True):
    """One message, as far as it is known. Attributes that are not known have their defaults.

    Attributes:
        status: as `MessageHandle.status` returns it.
        task: empty for a handler, and where the message is over or cannot be read.
        attempt: of a message that runs or waits, the current or next one; of a dead one, the last. 0: not known.
        failures: earlier attempts that failed, oldest first, the last few: with cause, host and fencing token.
        host, session, fencing_token: of a running message.
        started_at: when its task began, if that is some seconds ago.
        sent_at: when it was enqueued.
        due_at: when a scheduled or waiting message may start.
        died_at: when a dead message died, or one that was redriven died last.
        progress: the last notes of its attempts.
        preview: the payload as JSON, up to 10,000 characters; empty if it has no such form.
    """

    id: str
    queue: str
    status: Status
    task: str = ""
    attempt: int = 0
    failures: tuple[FailedAttempt, ...] = ()
    host: str = ""
    session: str = ""
    fencing_token: int | None = None
    started_at: datetime | None = None
    sent_at: datetime | None = None
    due_at: datetime | None = None
    died_at: datetime | None = None
    progress: MessageProgress | None = None
    preview: str = ""


def read_details(one: OneMessage, max_message_bytes: int) -> MessageDetails:
    """What is known of it now. See `s3queue.messages.MessageHandle.details`."""
    # In this order: a message that is no longer in the first place has moved on to the next.
    queued = looking.read_message(
        one.driver,
        one.layout,
        one.id,
        now_ms=int(time.time() * 1000),
        largest=largest_source(max_message_bytes),
    )
    if queued is not None:
        return MessageDetails(
            id=one.id,
            queue=one.queue,
            status=queued.state,
            task=queued.task,
            attempt=queued.attempt,
            failures=queued.failures,
            host=queued.host or "",
            session=queued.session,
            fencing_token=fencing_token(queued.ticket) if queued.ticket else None,
            started_at=queued.started_at,
            sent_at=queued.sent_at,
            due_at=queued.due_at,
            progress=None if queued.state == "scheduled" else one.progress(),
            preview=queued.preview,
        )
    status = one.status()
    letter = letters.read_one(one.driver, one.layout, one.id, tombstones=True)
    if letter is None:
        return MessageDetails(id=one.id, queue=one.queue, status=status)
    return MessageDetails(
        id=one.id,
        queue=one.queue,
        status=status,
        task=letter.task,
        attempt=letter.attempt if status == "dead" else 0,
        failures=letter.failures,
        sent_at=letter.sent_at,
        died_at=letter.died_at if status != "cancelled" else None,
        progress=one.progress() if status in ("running", "waiting", "ready") else None,
        preview=letter.preview,
    )
