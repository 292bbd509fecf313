"""Checks that the fields of a board fit together. Each field by itself is checked when the board is decoded."""

from __future__ import annotations

from collections.abc import Iterator

from s3queue.core.keys import parse_source
from s3queue.core.records.board import Board, SourceState
from s3queue.errors import CorruptRecord


def check_board(key: str, board: Board) -> None:
    """Check a board before leading with it: a leader adds to and subtracts from its counts.

    Raises:
        CorruptRecord: a name that is no batch's, a message that its batch does not have, or more messages of a batch than
            there are.
    """
    for why in _faults(board):
        raise CorruptRecord(key, f"the board contradicts itself: {why}")


def _faults(board: Board) -> Iterator[str]:
    out: dict[str, int] = {}
    for name, ticket in board.tickets.items():
        if not ticket.parts:
            yield f"ticket {name} is empty"
        for part in ticket.parts:
            if not part.start < part.stop <= _count(part.source):
                yield f"ticket {name} holds an impossible range, {part}"
        for part in ticket.spans(ticket.left_ranges):
            if part.source not in board.sources:
                yield f"ticket {name} names a source that is not listed, {part.source}"
            out[part.source] = out.get(part.source, 0) + part.stop - part.start
    for target, members in board.moves.items():
        if len(members) != _count(target) or len(set(members)) < len(members) or target in board.sources:
            yield f"{target} is made of {members}"
        for path, index in members:
            if path not in board.sources or index >= _count(path):
                yield f"{target} is made of message {index} of {path}, which is not there"
            out[path] = out.get(path, 0) + 1
    for path, state in board.sources.items():
        count = _count(path)
        listed = _listed(state)
        if len(set(listed)) < len(listed) or any(index >= count for index in (*listed, *state.failures)):
            yield f"{path} is {state}"
        if state.settled + len(listed) + out.get(path, 0) > count:
            yield f"{path} has {count} messages, and here are more"


def _listed(state: SourceState) -> list[int]:
    listed = [index for ready in state.ready for index in range(ready.start, ready.stop)]
    return [*listed, *(one.index for one in state.waiting), *state.dying]


def _count(path: str) -> int:
    return parse_source(path).count
