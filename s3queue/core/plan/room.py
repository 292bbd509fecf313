"""The room for failures on the board: number of messages, and bytes of text.

Many failures at once, on any number of hosts, must not make the board too large to write. Failures without room stay in
the ledgers that report them: an outcome stays there until a board no longer lists its message in the ticket. A later
cycle takes them over, once letters are written and waiting messages are moved off.
"""

from __future__ import annotations

from s3queue.core.histories import weigh
from s3queue.core.keys import BORROWED
from s3queue.core.plan.settings import Settings
from s3queue.core.records import Board, SourceState

#: Failures taken over in each cycle even without room, so that hosts that hold only failures make progress.
_AT_LEAST = 16
#: Bytes of a waiting message besides its history.
_WAITING = 30


class Room:
    """
    Attributes:
        bytes: left for failures and waiting messages; below 0 if there are too many already.
        deaths: messages that may still die before some letters are written.
    """

    def __init__(self, board: Board, settings: Settings, full: set[str]) -> None:
        self._most = settings.max_failure_bytes
        self.bytes = self._most - sum(map(_weigh, board.sources.values()))
        self.bytes -= sum(memo.size for noted in board.memos.values() for memo in noted.values())
        self.deaths = settings.max_dying - sum(
            len(state.dying) for path, state in board.sources.items() if state.dying and not path.startswith(BORROWED)
        )
        self._full = full
        self._at_least = _AT_LEAST

    @property
    def is_tight(self) -> bool:
        """Whether more than half of it is taken."""
        return self.bytes < self._most // 2

    def takes(self, size: int, *, dies: bool) -> bool:
        """Whether to take over a message that adds this many bytes. If so, it is charged."""
        if dies and self.deaths <= 0:
            self._full.add("dead letters")
            return False
        if size > self.bytes:
            self._full.add("failures")
            if self._at_least <= 0:
                return False
            self._at_least -= 1
        self.bytes -= size
        self.deaths -= dies
        return True


def _weigh(state: SourceState) -> int:
    if not state.failures and not state.waiting:
        return 0
    return _WAITING * len(state.waiting) + sum(map(weigh, state.failures.values()))


def added(text: str, most: int, *more: str) -> int:
    """Estimated bytes of one more failure with at most this much text, and these words."""
    return _WAITING + 50 + sum(map(len, more)) + min(most, len(text)) * (1 if text.isascii() else 3)
