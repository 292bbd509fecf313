"""Where a board has each message."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple, TypeAlias

from s3queue.core import ranges
from s3queue.core.keys import parse_source
from s3queue.core.records import (
    Board,
    SourceState,
)

#: Path and index.
Message: TypeAlias = tuple[str, int]
#: Name of a ticket and a place in it.
Offset: TypeAlias = tuple[str, int]


class Post(NamedTuple):
    """Where a board has a message.

    Attributes:
        kind: ``ticket``, ``ready``, ``waiting``, ``dying``, ``editing``, ``moving``, ``settled``.
        attempt: 0 where the board does not say.
        ticket: its ticket, and its offset there.
        target: the source that it moves to.
    """

    kind: str
    attempt: int = 0
    ticket: str = ""
    offset: int = 0
    target: str = ""


SETTLED = Post("settled")
DYING = Post("dying")
#: Its letter gets another payload before it may run.
EDITING = Post("editing")


class Move(NamedTuple):
    """A board has a message elsewhere than the one before. None: the source is not on it."""

    n: int
    message: Message
    old: Post | None
    new: Post | None


def posts(board: Board, doubled: list[str]) -> dict[str, dict[int, Post]]:
    """Where each message of each admitted source is. Those that are nowhere are settled."""
    found: dict[str, dict[int, Post]] = {path: {} for path in board.sources}

    def put(path: str, index: int, post: Post) -> None:
        place = found.setdefault(path, {})
        if index in place:
            doubled.append(f"turn {board.turn}: message {index} of {path} is in {place[index]} and in {post}")
        place[index] = post

    for path, state in board.sources.items():
        for index, post in _listed(state):
            put(path, index, post)
    for target, members in board.moves.items():
        for path, index in members:
            put(path, index, Post("moving", parse_source(target).attempt, target=target))
    for name, ticket in board.tickets.items():
        taken = ticket.taken
        offset = 0
        for part in ticket.parts:
            for index in range(part.start, part.stop):
                if not taken or not ranges.contains(taken, offset):
                    put(part.source, index, Post("ticket", part.attempt, name, offset))
                offset += 1
    for path, place in found.items():
        count = parse_source(path).count
        listed = board.sources.get(path)
        if listed is None:
            doubled.append(f"turn {board.turn}: tickets name {path}, which is not on the board")
        elif listed.settled + len(place) != count or any(not 0 <= index < count for index in place):
            doubled.append(f"turn {board.turn}: {path} has {listed.settled} settled and {len(place)} listed of {count}")
        for index in range(count):
            place.setdefault(index, SETTLED)
    return found


def _listed(state: SourceState) -> Iterator[tuple[int, Post]]:
    for ready in state.ready:
        for index in range(ready.start, ready.stop):
            yield index, Post("ready", ready.attempt)
    for waiting in state.waiting:
        yield waiting.index, Post("waiting", waiting.attempt)
    for index in state.dying:
        yield index, EDITING if index in state.endings and state.endings[index].kind == "edited" else DYING
