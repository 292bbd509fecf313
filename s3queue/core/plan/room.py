"""What the board has left for failures: of how many messages, and with how much text.

Everything that failed at once, in however many hosts, must not make a board that nobody can write. What the board has no
room for stays in the ledgers that report it: an outcome stays there until a board no longer lists its message in the
ticket, so it is taken over by a later cycle, when letters are written and waiting messages moved off.
"""

from __future__ import annotations

from s3queue.core.plan.settings import Settings
from s3queue.core.records import Board, SourceState
from s3queue.core.settle import weigh

#: Taken over in each cycle whatever the board holds, so that hosts which hold nothing but failures get on.
_AT_LEAST = 16
#: Bytes of a waiting message besides its history.
_WAITING = 30


class Room:
    """
    Attributes:
        bytes: left for failures and what waits; below 0 where there are too many already.
        deaths: messages that may die before some of their letters are written.
    """

    def __init__(self, board: Board, settings: Settings, full: set[str]) -> None:
        self._most = settings.max_failure_bytes
        self.bytes = self._most - sum(map(_weigh, board.sources.values()))
        self.deaths = settings.max_dying - sum(len(state.dying) for state in board.sources.values())
        self._full = full
        self._at_least = _AT_LEAST

    @property
    def is_tight(self) -> bool:
        """Whether more than half of it is taken."""
        return self.bytes < self._most // 2

    def takes(self, size: int, *, dies: bool) -> bool:
        """Whether to take over a message that adds so many bytes. It is then charged."""
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


def added(text: str, most: int) -> int:
    """Bytes that one more failure takes, about, with at most so much of its text."""
    return _WAITING + 50 + min(most, len(text)) * (1 if text.isascii() else 3)
