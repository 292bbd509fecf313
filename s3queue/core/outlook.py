"""How far the next survey looks, and where it begins."""

from __future__ import annotations

from collections.abc import Collection

from s3queue.core.keys import parse_source
from s3queue.core.plan import Planned
from s3queue.core.survey import Survey
from s3queue.core.sweeps import Sweep

#: New batches of one queue that a survey looks for at most. A thousand hosts of four slots start that many in five
#: seconds.
_MOST_WANTED = 20_000
#: New batches of a queue that it looks for at least, where any host has room.
_LEAST_WANTED = 32


class Outlook:
    """What a coordinator remembers from one survey to the next.

    Attributes:
        wanted: by queue, how many new batches to look for.
        deep: queues of which the last survey saw only the head.
        sweep: how far due batches, and queues with crowds, were listed.
        lanes: by queue, the key after which to begin. ageing: queues in which a wait counts as priority.
        turns: by queue whose keys take turns, the key that was served last.
    """

    def __init__(self) -> None:
        self.wanted: dict[str, int] = {}
        self.deep: Collection[str] = ()
        self.sweep = Sweep()
        self.lanes: dict[str, str] = {}
        self.ageing: frozenset[str] = frozenset()
        self.turns: dict[str, str] = {}

    @property
    def most_new(self) -> int:
        """New batches of all queues together."""
        return sum(self.wanted.values())

    def learn(self, seen: Survey, planned: Planned, known: Collection[str]) -> None:
        """Look for twice as many batches of a queue as this cycle started, and at once for as many as hosts have room for.

        Args:
            known: paths of the batches that were on the board before.
        """
        started: dict[str, int] = {}
        for path in planned.board.sources:
            if path not in known:
                queue = parse_source(path).queue
                started[queue] = started.get(queue, 0) + 1
        self.deep = seen.deep
        self.turns.update(planned.turns)
        # Where some lanes were left out, the next survey goes on behind the one that was served last, or, where keys take
        # no turns, or none was served, behind those that were seen.
        self.lanes = {queue: planned.turns.get(queue) or key for queue, key in seen.lanes.items()}
        self.ageing = planned.ageing
        self.wanted = {
            queue: min(_MOST_WANTED, max(_LEAST_WANTED, 2 * started.get(queue, 0), room))
            for queue, room in planned.room.items()
        }
