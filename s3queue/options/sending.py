"""Options of calls that enqueue, for type checkers. Nothing imports this at run time."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import TypedDict

from s3queue.options.once import Unique

__all__ = ["OnceOptions", "SendOptions"]


class SendOptions(TypedDict, total=False):
    """Options that `s3queue.Queue.enqueue` explains, as far as they apply to any number of messages."""

    delay: float | timedelta | None
    at: datetime | None
    priority: int
    group: str | None
    headers: Mapping[str, str] | None
    key: str | None
    expires_in: float | timedelta | None


class OnceOptions(SendOptions, total=False):
    """The same, and those that apply to a single message."""

    dedup_id: str | None
    dedup_window: float | timedelta | None
    unique: Unique
    debounce: float | timedelta | None
