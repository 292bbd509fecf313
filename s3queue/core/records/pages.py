"""The record of deleted sources: the deduplication window."""

from __future__ import annotations

from msgspec import Struct, field

from s3queue.core.records.format import FORMAT, Count


class RetiredPage(Struct, frozen=True):
    """Ids of finished sources whose objects are gone. They are refused until the page leaves the window.

    Attributes:
        uptime_ms: `Board.uptime_ms` when the page was written.
    """

    sources: tuple[str, ...]
    uptime_ms: Count
    format: int = field(default_factory=lambda: FORMAT)
