"""The election of the coordinator. The board is the lease.

A candidate that has seen the same version of the board for ``leader_lease`` on its own steady clock replaces it by
compare-and-swap, with the next epoch. That write is the whole election. Clocks only decide when a candidate tries: of two
that try at once, one gets a Conflict.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from msgspec.structs import replace

from s3queue.core.keys import Layout, forget_parsed
from s3queue.core.ops import Overtaken, Step, Unknown, contradiction, get, write
from s3queue.core.records import Board, Leader, Newer, check_board, decode, encode_with, known_of, newer
from s3queue.store import Found, Missing, Stored, Unchanged


@dataclass
class View:
    """The board as one process knows it. Never goes back to an older one.

    Attributes:
        board: None before the first read, and where there is none.
        version: of ``board``; "" where there is none.
        since: steady time from which the board is known to be unchanged; None until it is known. Not the time at which the
            first read was sent: its answer may have come long after that.
        looked: whether the board was read yet.
        is_gone: a board was known, but the last read found none, or one of an earlier epoch: it was deleted or overwritten.
    """

    board: Board | None = None
    version: str = ""
    since: float | None = None
    looked: bool = False
    is_gone: bool = False
    body: bytes = field(default=b"", repr=False)
    newer: Newer | None = None

    def encoded(self, board: Board) -> bytes:
        """Encode a new board with the fields of the read one that this release does not know."""
        if self.newer is None:
            self.newer = newer(self.board, self.body) if self.board is not None else {}
            self.body = b""
        return encode_with(board, self.newer)

    def learn(self, board: Board, version: str, body: bytes = b"") -> bool:
        """Take a board that this process read or wrote, unless it is older. Returns whether it was new.

        Args:
            body: as it was read. Empty: the board was written here, and its unknown fields are unchanged.

        Raises:
            StoreUnsupported: there are two boards of one turn: the store let two writers replace the same version.
        """
        if self.board is not None and (board.epoch, board.turn) == (self.board.epoch, self.board.turn):
            if board.nonce != self.board.nonce:
                raise contradiction("the board")
            return False
        if self.board is not None and (board.epoch, board.turn) <= (self.board.epoch, self.board.turn):
            return False
        self.board, self.version, self.since, self.looked, self.is_gone = board, version, None, True, False
        if body:
            self.body, self.newer = body, None
        forget_parsed(len(board.sources))
        return True

    def answered(self, now: float) -> None:
        """The read of this version was answered before ``now``. Called after each read by drivers with a clock; otherwise
        the wait for a silent leader begins with the second read."""
        if self.board is not None and self.since is None:
            self.since = now

    def silent_at(self, lease_s: float) -> float:
        """Steady time at which the leader will have been silent for a lease. Infinity: not known yet."""
        return math.inf if self.since is None else self.since + patience(self.board, lease_s)


def look(view: View, layout: Layout, now: float) -> Step[bool]:
    """Read the board. Returns whether it was replaced since the last read.

    Args:
        now: steady time, taken before this step was started.

    Raises:
        CorruptRecord: this release cannot read the board. Do not lead, do not claim.

    Asks: one Get, without a body where nothing changed.
    """
    known = view.version
    outcome = yield from get(layout.board, known or None)
    # A board that this process has stored since the read began is newer than the one that was read.
    is_late = view.version != known
    match outcome:
        case Found(body, version):
            board = decode(Board, layout.board, body)
            if view.board is not None and board.epoch < view.board.epoch and not is_late:
                view.is_gone = True  # an old board was put back, or a new one founded while hosts run
                return False
            return view.learn(board, version, body)
        case Unchanged():
            if view.since is None:
                view.since = now
            return False
        case Missing():
            view.looked, view.is_gone = True, view.board is not None and not is_late
            return False


def patience(board: Board | None, lease_s: float) -> float:
    """Seconds to wait for a silent leader: our lease or the leader's, whichever is longer. A leader with a longer lease
    writes less often."""
    return lease_s if board is None else max(lease_s, board.leader_lease)


def may_stand(view: View, now: float, lease_s: float, *, me: str, leader_gone: bool, knows_more: bool = False) -> bool:
    """Whether to try to replace the leader.

    Args:
        knows_more: this process knows of work that the board does not show. An idle leader announces a longer lease, and
            work does not wait for that: an election is always safe.
        now: steady time, taken before the last look.
        me: our session. A board that names it while we do not lead is an election of ours that was never answered.
        leader_gone: the leader ran on this machine, and its processes are known to have ended.
    """
    if view.board is None:
        return view.looked
    leader = view.board.leader
    if leader is None or leader.session == me or leader_gone:
        return True
    return view.since is not None and now - view.since > (lease_s if knows_more else patience(view.board, lease_s))


def stand(
    view: View, layout: Layout, me: Leader, nonce: str, *, lease_s: float = 0.0
) -> Step[Stored | Overtaken | Unknown]:
    """Try to become the leader of the next epoch, once.

    Args:
        lease_s: seconds of silence after which this leader may be replaced; 0: not stated.

    Raises:
        CorruptRecord: the board contradicts itself. Do not lead with it.

    Returns:
        Stored: elected. ``view`` holds the board to lead with; load the retired pages before assigning anything.
        Overtaken: another candidate was faster. Read the board again.
        Unknown: no trace yet. Read the board again; it may turn out to name us.

    Asks: one Put; where that is refused or not answered, one Get.
    """
    if view.board is None:
        board = Board(nonce, epoch=1, turn=1, leader=me, leader_lease=lease_s)
    else:
        check_board(layout.board, known_of(view.board))
        board = replace(
            view.board,
            nonce=nonce,
            epoch=view.board.epoch + 1,
            turn=view.board.turn + 1,
            leader=me,
            sequence=0,
            leader_lease=lease_s,
        )
    outcome = yield from write(layout.board, view.encoded(board), nonce=nonce, if_version=view.version or None, tries=1)
    if isinstance(outcome, Stored):
        view.learn(board, outcome.version)
    return outcome


def resign(view: View, layout: Layout, nonce: str) -> Step[None]:
    """Allow another candidate to lead at once. Best effort: without an answer the lease runs out.

    Asks: one Put; where that is refused or not answered, one Get.
    """
    if view.board is None or view.board.leader is None:
        return
    board = replace(view.board, nonce=nonce, turn=view.board.turn + 1, leader=None)
    outcome = yield from write(layout.board, view.encoded(board), nonce=nonce, if_version=view.version, tries=1)
    if isinstance(outcome, Stored):
        view.learn(board, outcome.version)


def decline(view: View, layout: Layout, me: str, nonce: str, now: float) -> Step[bool]:
    """Resign from a term that an election of ours has begun, though this session is leaving. Without it the next candidate
    waits for a lease that nobody keeps.

    Returns:
        Whether the board named us.

    Asks: one Get, and what `resign` asks.
    """
    yield from look(view, layout, now)
    if view.board is None or view.board.leader is None or view.board.leader.session != me:
        return False
    yield from resign(view, layout, nonce)
    return True
