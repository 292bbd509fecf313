"""Settings as keyword arguments, for type checkers. Nothing imports this at run time.

`s3queue.Config` explains each. None stands for "not given".
"""

from __future__ import annotations

from typing import Literal, TypedDict

__all__ = ["HostSettings", "Settings"]


class HostSettings(TypedDict, total=False):
    """Settings that `s3queue.Supervisor` takes by name only."""

    namespace: str | None
    visibility_timeout: float | None
    leader_lease: float | None
    doze_interval: float | None
    idle_lease: float | None
    ack_interval: float | None
    drain_timeout: float | None
    enqueue_deadline: float | None
    dedup_window: float | None
    dead_retention: float | None
    dead_letter_retention: float | None
    max_parked: int | None
    max_board_bytes: int | None
    max_message_bytes: int | None
    prefetch_bytes: int | None
    ticket_target: float | None
    pacing: Literal["latency", "balanced", "frugal"] | None
    knock: str | None
    knock_key: str | None
    overhead: float | None
    start_method: Literal["fork", "spawn", "forkserver"] | None
    max_messages: int | None
    max_rss_bytes: int | None
    max_attempts: int | None
    time_limit: float | None
    tracing: Literal["continue", "link"] | None
    metrics: str | None
    prices: str | None
    history: str | None


class Settings(HostSettings, total=False):
    """Every setting."""

    workers: int | None
    concurrency: int | None
