"""The record by which callers enqueue something only once."""

from __future__ import annotations

from msgspec import Struct, field

from s3queue.core.records.format import FORMAT, Count


class Gate(Struct, frozen=True, omit_defaults=True):
    """One for each ``dedup_id``, and for the arguments of a ``unique`` task. Only ever replaced by compare-and-swap.

    Attributes:
        nonce: fresh for every write.
        path: of the source that it holds for, whether that is stored already or not.
        held: that source is not over, or, where it holds only while the message waits, has no ticket yet.
        made_ms: wall clock of the caller who took it for this source.
        window_ms: from then on, how long it stays taken whatever becomes of the source.
    """

    nonce: str
    path: str
    held: bool = True
    made_ms: Count = 0
    window_ms: Count = 0
    format: int = field(default_factory=lambda: FORMAT)
