"""The coordinator's decisions: a pure function of board, survey, time and settings.

In this order: take over what hosts report, and the tickets of sessions that are over; drop sources whose retirement is on
record; let waiting messages become ready; admit the ticks of schedules; move off the board what waits beyond a bound;
assign what is ready, and batches not seen before, to hosts with room. A batch is admitted to the board by its first
assignment, and never while its id is in the deduplication window.

The order of messages, their priority, groups and the shares of queues are decided here, by the only writer that sees
everything.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping

from s3queue.core.keys import Source
from s3queue.core.plan import assign, halts, park, purge, redrive, requests, schedules, take_over
from s3queue.core.plan.hosts import capacity
from s3queue.core.plan.park import Parking
from s3queue.core.plan.planned import Planned, Settled, is_finished
from s3queue.core.plan.planning import Planning
from s3queue.core.plan.purge import Walked
from s3queue.core.plan.redrive import Looked
from s3queue.core.plan.settings import Settings
from s3queue.core.plan.share import share_out
from s3queue.core.records import Board, Control, Ledger, Request, encode

__all__ = [
    "NO_CONTROL",
    "Looked",
    "Parking",
    "Planned",
    "Settings",
    "Settled",
    "Walked",
    "capacity",
    "is_finished",
    "plan",
    "share_out",
]

#: Where no operator has ever changed anything.
NO_CONTROL = Control("")


def plan(
    board: Board,
    ledgers: Mapping[str, Ledger],
    sources: Iterable[Source],
    *,
    now_ms: int,
    heard_ms: int | None = None,
    settings: Settings,
    window: Collection[str] = (),
    letters_written: Collection[tuple[str, int]] = (),
    retired: Collection[str] = (),
    parking: Parking | None = None,
    board_bytes: int | None = None,
    control: Control | None = NO_CONTROL,
    asked: Mapping[str, Request] | None = None,
    letters: Mapping[str, Looked] | None = None,
    there: Collection[str] = (),
    walked: Mapping[str, Walked] | None = None,
    quiet: Mapping[str, float] | None = None,
    wall_ms: int | None = None,
    is_clock_off: bool = False,
    deleted: Collection[tuple[str, int]] = (),
    uptime_ms: int | None = None,
    turns: Mapping[str, str] | None = None,
    freed: Collection[str] = (),
    spoiled: Collection[str] = (),
) -> Planned:
    """Decide one cycle.

    Args:
        ledgers: by session; those of living sessions and of sessions that are over.
        sources: listed batches that may run now.
        now_ms: wall clock before the survey; decides when, never who.
        heard_ms: the same after the ledgers were read: the delays of retries count from there. None: as ``now_ms``.
        window: ids of finished sources that are still refused.
        letters_written: (path, index) of messages whose dead letters are stored.
        retired: paths of sources that are gone and whose ids are on a stored page.
        parking: what came of the moves on the board.
        control: the operators' settings. None: not read yet, so nothing is assigned.
        letters: by path, requests about dead letters, and what was found of them.
        asked: by path, requests that were read. there: paths of sources, of those that they are about, that exist.
        walked: by queue, the next page of what a purge has to end.
        wall_ms: wall clock before the survey, also where it was set since the election: schedules tick by it. None: as
            ``now_ms``. is_clock_off: it cannot be right, and no schedule ticks.
        deleted: name and revision of schedules, of those that the board calls old, whose objects are deleted.
        uptime_ms: see `Board.uptime_ms`; None: as the board says. turns: by queue, the key after which its turns begin.
        board_bytes: size of the stored board; None if it is not known.
        freed: paths of sources whose gates are free.
        spoiled: paths of requests that nobody can read, and that are kept aside.
        quiet: by session of a dozing host, seconds since its last write.
    """
    parking = parking or Parking()
    size = len(encode(board)) if board_bytes is None else board_bytes
    planning = Planning(board, ledgers, now_ms, settings, heard_ms, size, control, uptime_ms)
    take_over.tickets(planning)
    planning.settle_dead(letters_written)
    planning.retire(retired)
    park.settle(planning, parking)
    planning.wake()
    halts.go_on(planning)
    planning.expire()
    if asked:
        requests.handle(planning, asked, there, window)
    if spoiled:
        requests.give_up(planning, spoiled)
    if planning.purges:
        purge.go_on(planning, walked or {}, window)
    schedules.admit(planning, now_ms if wall_ms is None else wall_ms, is_held=is_clock_off, deleted=deleted)
    redrive.handle(planning, letters or {})
    park.choose(planning, parking)
    if control is not None:
        assign.tickets(planning, sources, window, quiet or {}, turns or {}, freed)
    return planning.result()
