"""Entries of a board under paths of a kind that this release does not know, written by a newer release. A coordinator of
this release sets them aside when it takes office, plans with the rest, and puts them back into every board that it writes:
it does not drop or settle them, or wait for them. Hosts leave such tickets alone. So both go on
while a release that adds a kind of path is rolled out, and back.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from msgspec import Struct
from msgspec.structs import replace

from s3queue.core.keys import REQUESTS, is_source
from s3queue.core.records.board import Board, Ending, Mark, SourceState, Ticket
from s3queue.core.records.format import Index
from s3queue.core.records.limits import Allowed
from s3queue.core.records.memos import Memo

#: Of a board, what is named by sources; and what is named by requests.
_BY_SOURCE = ("sources", "marks", "memos")
_BY_REQUEST = ("answers", "edits")
#: Endings of messages that this release knows, see `Ending`.
ENDINGS = frozenset({"dead", "done", "cancelled", "expired", "purged", "edited"})


class Foreign(Struct, frozen=True):
    """Parts of a board that are laid aside. All are as on a `Board`.

    Attributes:
        tickets: with any part of a source that is not known, whole.
        moves: the same.
        memos: also of messages of known sources that are in these tickets or moves.
        pinned: known sources of which messages are in these tickets or moves.
    """

    sources: dict[str, SourceState] = {}
    tickets: dict[str, Ticket] = {}
    moves: dict[str, tuple[tuple[str, Index], ...]] = {}
    marks: dict[str, dict[Index, Mark]] = {}
    memos: dict[str, dict[Index, Memo]] = {}
    answers: dict[str, str] = {}
    edits: dict[str, str] = {}
    allowed: dict[str, Allowed] = {}
    pinned: frozenset[str] = frozenset()

    @property
    def sessions(self) -> set[str]:
        """Whose ledgers tell of these tickets, and have to stay."""
        return {ticket.session for ticket in self.tickets.values()}

    @property
    def messages(self) -> int:
        """How many messages only a newer release can handle, as far as known."""
        listed = sum(
            sum(one.stop - one.start for one in state.ready) + len(state.waiting) + len(state.dying)
            for state in self.sources.values()
        )
        return listed + sum(ticket.left for ticket in self.tickets.values()) + sum(map(len, self.moves.values()))


#: Of most boards.
NOTHING_FOREIGN = Foreign()


def is_known(ticket: Ticket) -> bool:
    """Whether this release knows every path in a ticket."""
    return bool(ticket.parts) and all(is_source(part.source) for part in ticket.parts)


def divide(board: Board) -> tuple[Board, Foreign]:
    """The part of a board that this release knows, and the rest. Looks at every path on the board."""
    aside: dict[str, dict[str, Any]] = {}
    for name in _BY_SOURCE:
        aside[name] = {path: one for path, one in getattr(board, name).items() if not is_source(path)}
    for name in _BY_REQUEST:
        aside[name] = {path: one for path, one in getattr(board, name).items() if not path.startswith(REQUESTS)}
    aside["tickets"] = {name: one for name, one in board.tickets.items() if one.parts and not is_known(one)}
    aside["moves"] = {target: members for target, members in board.moves.items() if not _is_known(target, members)}
    if not any(aside.values()):
        return board, NOTHING_FOREIGN
    known = replace(
        board, **{name: _less(getattr(board, name), those) for name, those in aside.items()},
    )  # fmt: skip
    aside["allowed"] = {name: one for name, one in board.allowed.items() if name in aside["tickets"]}
    out: dict[str, set[int]] = {}
    for ticket in aside["tickets"].values():
        for part in ticket.spans(ticket.left_ranges):
            out.setdefault(part.source, set()).update(range(part.start, part.stop))
    for members in aside["moves"].values():
        for path, index in members:
            out.setdefault(path, set()).add(index)
    for path in out.keys() & known.memos.keys():
        aside["memos"][path] = {index: memo for index, memo in known.memos[path].items() if index in out[path]}
    return known, Foreign(**aside, pinned=frozenset(out.keys() & known.sources.keys()))


def join(board: Board, foreign: Foreign) -> Board:
    """The whole board, from the part that this release knows and what was set aside."""
    if foreign is NOTHING_FOREIGN:
        return board
    memos = {path: {**board.memos.get(path, {}), **noted} for path, noted in foreign.memos.items()}
    return replace(
        board,
        sources={**board.sources, **foreign.sources},
        tickets={**board.tickets, **foreign.tickets},
        moves={**board.moves, **foreign.moves},
        marks={**board.marks, **foreign.marks},
        memos={**board.memos, **memos},
        answers={**board.answers, **foreign.answers},
        edits={**board.edits, **foreign.edits},
        allowed={**board.allowed, **foreign.allowed},
    )


def known_of(board: Board) -> Board:
    """The part of a board that this release knows, to be shown to people."""
    return divide(board)[0]


def ends_unknown(ending: Ending | None) -> bool:
    """Whether only a newer release knows how a message ends."""
    return ending is not None and ending.kind not in ENDINGS


def _is_known(target: str, members: Collection[tuple[str, int]]) -> bool:
    return is_source(target) and all(is_source(path) for path, _ in members)


def _less(one: Mapping[str, Any], those: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in one.items() if name not in those} if those else dict(one)
