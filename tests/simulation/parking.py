"""What is taken away from moves of waiting messages off the board."""

from __future__ import annotations

from typing import Any

from s3queue.core.chores import moves
from s3queue.core.plan import assign, park
from s3queue.testing.simulate import Weather
from tests.simulation.mutants import mutant

#: Much that waits, and writes of which nobody hears.
_WAITS: dict[str, Any] = {
    "weather": Weather(fault=0.15, fates=("served", "unanswered", "late", "dropped"), chaos=0.0, ends=0.6),
    "batches": 4,
    "most": 5,
    "shapes": ("plain",),
}


@mutant(assign, "_is_new", "I2 I9 P6", within=300, **_WAITS)
def what_is_moved_is_admitted_while_it_is_still_there(_: Any, planning: Any, path: str) -> bool:
    """A source of moved messages is admitted when they are settled where they come from."""
    return path not in planning.sources and path not in planning.board.sources


@mutant(park, "moved_path", "I7 I6", **_WAITS)
def what_is_moved_begins_anew(moved_path: Any, like: Any, *, attempt: int, **more: Any) -> str:
    """A message that is moved off the board goes on with its next attempt."""
    path: str = moved_path(like, attempt=1, **more)
    return path


@mutant(moves, "shortened", "P1", **_WAITS)
def what_is_moved_loses_its_history(_: Any, failures: Any) -> Any:
    """The history of a message goes along when it is moved off the board."""
    return ()


@mutant(park, "settle", "P1", **_WAITS)
def what_is_moved_is_settled_at_once(settle: Any, planning: Any, parking: Any) -> None:
    """A message that is moved is settled where it was when the source that holds it is known to be stored."""
    settle(planning, park.Parking(stored=set(planning.board.moves)))
