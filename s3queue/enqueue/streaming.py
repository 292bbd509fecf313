"""Messages sent as they come, in constant memory."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, NamedTuple

from msgspec import Raw

from s3queue.core import produce
from s3queue.core.keys import MAX_BATCH
from s3queue.errors import ConfigError

if TYPE_CHECKING:
    from s3queue.enqueue.sending import Sending


class Progress(NamedTuple):
    """How far a stream of messages is.

    Attributes:
        stored: so many of the first messages are stored.
        ids: of those that the last PUT stored, in order.
    """

    stored: int
    ids: list[str]


def stream(
    send: Callable[[list[Raw]], Sending],
    payloads: Iterable[Raw],
    batch: int,
    progress: Callable[[Progress], object] | None,
) -> int:
    """Send payloads as they come, and return how many there were. Holds one batch of them at a time.

    Raises: ConfigError: ``batch`` is out of range. Exceptions of a send, of ``payloads`` and of ``progress`` come with a
        note.
    """
    if type(batch) is not int or not 1 <= batch <= MAX_BATCH:
        raise ConfigError(f"batch is {batch!r}", f"from 1 to {MAX_BATCH:,}")
    stored = size = 0
    held: list[Raw] = []

    def store() -> None:
        nonlocal stored, size
        ids = send(held.copy()).run()
        stored += len(ids)
        held.clear()
        size = 0
        if progress is not None:
            progress(Progress(stored, ids))

    try:
        for payload in payloads:
            held.append(payload)
            size += len(payload)
            if len(held) == batch or size >= produce.BATCH_BYTES:
                store()
        if held:
            store()
    except BaseException as fault:
        fault.add_note(f"the first {stored} messages of this stream are stored")
        raise
    return stored
