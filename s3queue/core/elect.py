"""Who leads. The board is the lease.

A candidate watches the board. One that has seen the same version for ``leader_lease`` on its own steady clock replaces it
by compare-and-swap with the next epoch; that write is the election, and there is nothing else to it. Clocks decide only
when somebody tries: of two that try at once, one gets a Conflict.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from msgspec.structs import replace

from s3queue.core.keys import Layout, forget_parsed
from s3queue.core.ops import Overtaken, Step, Unknown, contradiction, get, write
from s3queue.core.records import Board, Leader, Newer, check_board, decode, encode_with, newer
from s3queue.store import Found, Missing, Stored, Unchanged


@dataclass
class View:
    """What one process knows of the board. Never goes back.

    Attributes:
        board: None before the first look, and where there is none.
        version: of ``board``; "" where there is none.
        since: steady time from which on the board is known to have stood unchanged; None until that can be said. Not the
            time at which the first look was asked, since it may have been answered long after that.
        looked: whether anything was read yet.
        is_gone: a board was known, and the last look found none, or one of an earlier term: somebody meddled with it.
    """

    board: Board | None = None
    version: str = ""
    since: float | None = None
    looked: bool = False
    is_gone: bool = False
    body: bytes = field(default=b"", repr=False)
    newer: Newer | None = None

    def encoded(self, board: Board) -> bytes:
        """What follows the board that was read, with all that this release does not know of it."""
        if self.newer is None:
            self.newer = newer(self.board, self.body) if self.board is not None else {}
            self.body = b""
        return encode_with(board, self.newer)

    def learn(self, board: Board, version: str, body: bytes = b"") -> bool:
        """Take what was read or written elsewhere in this process, unless it is older. Returns whether it was new.

        Args:
            body: what was read. Without it the board was written here, and says what this release does not know as before.

        Raises:
            StoreUnsupported: there are two boards of one turn: the store let two writers replace the one before.
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
        """The look that brought this version has been answered before ``now``. A driver that has a clock says so after
        each look; without it the wait for a silent leader begins with the second look."""
        if self.board is not None and self.since is None:
            self.since = now

    def silent_at(self, lease_s: float) -> float:
        """When the leader will have been silent for a lease, if the board stands until then. Infinity: nobody knows yet."""
        return math.inf if self.since is None else self.since + patience(self.board, lease_s)


def look(view: View, layout: Layout, now: float) -> Step[bool]:
    """Bring the view up to date. Returns whether the board was replaced since the last look.

    Args:
        now: steady time, taken before this step was started.

    Raises:
        CorruptRecord: what stands there is no board that this release can read. Do not lead, do not claim.

    Asks: one Get, without a body where nothing changed.
    """
    known = view.version
    outcome = yield from get(layout.board, known or None)
    # What this process has stored itself since the look began is younger than what the look found.
    is_late = view.version != known
    match outcome:
        case Found(body, version):
            board = decode(Board, layout.board, body)
            if view.board is not None and board.epoch < view.board.epoch and not is_late:
                view.is_gone = True  # somebody put an old one, or began anew beside hosts that run
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
    """How long to wait for a silent leader, in seconds: a lease, ours or the leader's, whichever is longer. A leader whose
    lease is longer than ours writes less often than we would."""
    return lease_s if board is None else max(lease_s, board.leader_lease)


def may_stand(view: View, now: float, lease_s: float, *, me: str, leader_gone: bool) -> bool:
    """Whether to try to replace the leader.

    Args:
        now: steady time, taken before the last look.
        me: our session. A board that names it while we do not lead is an election of ours that was never answered.
        leader_gone: the leader ran on this machine, and its processes are known to be gone.
    """
    if view.board is None:
        return view.looked
    leader = view.board.leader
    if leader is None or leader.session == me or leader_gone:
        return True
    return view.since is not None and now - view.since > patience(view.board, lease_s)


def stand(
    view: View, layout: Layout, me: Leader, nonce: str, *, lease_s: float = 0.0
) -> Step[Stored | Overtaken | Unknown]:
    """Try to become the leader of the next epoch, once.

    Args:
        lease_s: how long this leader may be silent before it is replaced; 0: not said.

    Raises:
        CorruptRecord: the board cannot be true. Do not lead with it.

    Returns:
        Stored: elected. ``view`` holds the board to lead with; load the retired pages before assigning anything.
        Overtaken: somebody else was faster. Look again.
        Unknown: no trace yet. Look again; the board may turn out to name us.

    Asks: one Put; where that is refused or not answered, one Get.
    """
    if view.board is None:
        board = Board(nonce, epoch=1, turn=1, leader=me, leader_lease=lease_s)
    else:
        check_board(layout.board, view.board)
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
    """Let somebody else lead at once. Best effort: unanswered, the lease just runs out.

    Asks: one Put; where that is refused or not answered, one Get.
    """
    if view.board is None or view.board.leader is None:
        return
    board = replace(view.board, nonce=nonce, turn=view.board.turn + 1, leader=None)
    outcome = yield from write(layout.board, view.encoded(board), nonce=nonce, if_version=view.version, tries=1)
    if isinstance(outcome, Stored):
        view.learn(board, outcome.version)
