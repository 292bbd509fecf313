"""The coordinator's decisions: a pure function of board, survey, time and settings.

In this order: take over what hosts report, and the tickets of sessions that are over; drop sources whose retirement is on
record; let waiting messages become ready, and move off the board what waits beyond a bound; assign what is ready, and
batches not seen before, to hosts with room. A batch is admitted to the board by its first assignment, and never while its
id is in the deduplication window.

The order of messages, their priority, groups and the shares of queues are decided here, by the only writer that sees
everything.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping

from s3queue.core.keys import Source
from s3queue.core.plan import assign, park, redrive, requests, take_over
from s3queue.core.plan.hosts import capacity
from s3queue.core.plan.park import Parking
from s3queue.core.plan.planned import Planned, Settled, is_finished
from s3queue.core.plan.planning import Planning
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
        board_bytes: size of the stored board; None if it is not known.
    """
    parking = parking or Parking()
    size = len(encode(board)) if board_bytes is None else board_bytes
    planning = Planning(board, ledgers, now_ms, settings, heard_ms, size, control)
    take_over.tickets(planning)
    planning.settle_dead(letters_written)
    planning.retire(retired)
    park.settle(planning, parking)
    planning.wake()
    planning.expire()
    if asked:
        requests.handle(planning, asked, there, window)
    redrive.handle(planning, letters or {})
    park.choose(planning, parking)
    if control is not None:
        assign.tickets(planning, sources, window)
    return planning.result()
