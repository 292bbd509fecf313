"""The result of a plan."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

from s3queue.core.keys import parse_source
from s3queue.core.records import Board, SourceState


class Settled(NamedTuple):
    """Messages whose outcome this plan decides: ``done``, ``dead``, ``cancelled``, ``expired`` or ``purged``."""

    ticket: str
    source: str
    start: int
    stop: int
    attempt: int
    outcome: str


@dataclass
class Planned:
    """The board to commit, and what follows from it.

    Attributes:
        changed: whether the board differs from the one the plan was made from.
        settled: for the history.
        redriven: further lives that begin: paths.
        ended: sessions whose ledgers said that they are over.
        refused: paths of listed batches and requests that were finished before: late puts. Delete them.
        assigned: how many messages were put into tickets.
        room: by queue, how many more messages the hosts could have taken, one by one.
        unfit: messages that wait for a host that they fit: queue, token (see `Unfit`), how many.
        ageing: queues in which a wait counts as priority.
        turns: by queue whose keys take turns, the key that was served last.
        opening: paths of batches that are admitted when their gate is free.
        next_due_ms: when the next waiting message is due, or the next pause ends; None if there is none.
    """

    board: Board
    changed: bool = False
    settled: list[Settled] = field(default_factory=list)
    redriven: list[str] = field(default_factory=list)
    ended: frozenset[str] = frozenset()
    refused: list[str] = field(default_factory=list)
    assigned: int = 0
    room: dict[str, int] = field(default_factory=dict)
    next_due_ms: int | None = None
    unfit: list[tuple[str, str, int]] = field(default_factory=list)
    opening: list[str] = field(default_factory=list)
    turns: dict[str, str] = field(default_factory=dict)
    ageing: frozenset[str] = frozenset()


def is_over(path: str, settled: int) -> bool:
    return settled > 0 and settled == parse_source(path).count


def is_finished(path: str, state: SourceState) -> bool:
    return state.settled > 0 and state.settled == parse_source(path).count
