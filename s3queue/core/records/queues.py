"""The settings that all clients of a queue share."""

from __future__ import annotations

from msgspec import Struct, field

from s3queue.core.records.format import FORMAT


class QueueMeta(Struct, frozen=True, omit_defaults=True):
    """Settings of a queue that all its clients must agree on.

    Attributes:
        order: ``fifo`` or ``lifo``.
        partitions: how many; 1 today.
    """

    nonce: str
    order: str = "fifo"
    partitions: int = 1
    format: int = field(default_factory=lambda: FORMAT)
