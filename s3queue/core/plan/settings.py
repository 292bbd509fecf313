"""The settings of a plan."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple, TypeAlias

#: The first tick of a cron expression in a time zone after a time (wall clock in milliseconds); None: there is none.
#: Raises `ValueError`: it cannot tell.
Timetable: TypeAlias = Callable[[str, str, int], int | None]


def no_timetable(cron: str, tz: str, after_ms: int) -> int | None:
    """Used where no timetable is given: schedules with cron expressions do not tick."""
    raise ValueError("no timetable")


class Settings(NamedTuple):
    """The settings of a plan.

    Attributes:
        visibility_timeout: seconds of silence after which a session is fenced.
        leader_lease: seconds after which a silent leader may be replaced.
        idle_lease: the same while there is no work; 0: no other.
        ticket_target: seconds of work to assign per slot.
        ack_s: seconds for which outcomes are batched in their host at most.
        window_s: seconds for which the id of a finished source is kept. ``dedup_window`` counts from the producer's last
            try, which it may make ``enqueue_deadline`` after the first, so this is the sum of both.
        max_parked: waiting messages of a queue on the board; beyond it those with the longest wait are moved off.
        unfit_timeout: seconds after which a message that fits no host is dead.
        unfit_pause: seconds of wait for unfit messages beyond the ``max_parked`` that wait for a host on the board.
        max_source_bytes: larger batches are never read.
        summary_s: seconds between two summaries, at least; infinity: none are written.
        census_s: seconds between two pages of the census, and of the walk through results, at least.
        result_grace_s: seconds for which an expired result is kept: the clocks of hosts may differ by less.
        max_attempts: for tickets of sessions whose ledgers do not state it.
        max_out: the most messages in the tickets of one host. max_ranges: the most message ranges in them. A one-message
            object has a range of its own, so this bounds the board and what a dead host leaves behind.
        max_parts: the most message ranges in one ticket. A host with more room gets another one in the same cycle.
        max_board_bytes: the largest board. New batches fill half of it, those that are on it three quarters.
        max_failure_bytes: of the histories of messages on the board, and of what waits there.
        dead_retention: seconds for which a tombstone is kept. letter_retention: for which a dead letter is; infinity: until
            somebody redrives or purges it.
        purge_page: batches that a purge takes onto the board in one cycle.
        timetable: when cron expressions tick.
        letters_at_once: chores that write dead letters at once. 1: the store has one writer at a time, and each of them
            stands in the way of the board; so no chore writes while a cycle is under way.
        max_dying: messages that are dead and whose letters are not written yet.
    """

    visibility_timeout: float = 30.0
    leader_lease: float = 15.0
    ticket_target: float = 1.0
    ack_s: float = 0.2
    window_s: float = 1260.0
    max_parked: int = 1000
    max_attempts: int = 3
    max_out: int = 10_000
    max_ranges: int = 4000
    max_parts: int = 500
    max_board_bytes: int = 32 * 2**20
    max_failure_bytes: int = 2**20
    max_dying: int = 500
    unfit_timeout: float = 86_400.0
    unfit_pause: float = 300.0
    max_source_bytes: float = math.inf
    summary_s: float = math.inf
    census_s: float = 5.0
    purge_page: int = 1000
    dead_retention: float = math.inf
    letter_retention: float = math.inf
    idle_lease: float = 0.0
    timetable: Timetable = no_timetable
    result_grace_s: float = 3600.0
    letters_at_once: int = 4
