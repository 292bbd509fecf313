"""Takes messages that are ready out of a batch, for a ticket."""

from __future__ import annotations

from s3queue.core.keys import Source
from s3queue.core.plan.lines import Line
from s3queue.core.plan.planning import Planning
from s3queue.core.records import Part

#: Bytes of a part of a ticket on the board besides its path.
_PART_BYTES = 20


def take(
    planning: Planning, line: Line, source: Source, busy: set[tuple[str, str]], most: int, token: str = ""
) -> tuple[Part, bool] | None:
    """At most so many messages of the first batch of a line, and whether they need a ticket of their own. None: none can be
    assigned now.

    Args:
        busy: groups of which a message is out or waits. token: see `Draft.take`.
    """
    if source.group is not None:
        if (source.queue, source.group) in busy:
            return None
        most = 1
    if planning.bytes > planning.settings.max_board_bytes // 2 and not _has_space(planning, source):
        if source.group is not None:
            busy.add((source.queue, source.group))
        return None
    draft = planning.draft(source.path)
    taken = draft.take(most, token)
    if taken is None:
        return None
    ready, alone = taken
    planning.bytes += _PART_BYTES + len(source.path)
    line.took(ready.stop - ready.start)
    if not draft.ready and not line.takes_all:
        line.drop()  # asking again would give the same
    if source.group is not None:
        busy.add((source.queue, source.group))
        alone = True
    return Part(source.path, ready.start, ready.stop, ready.attempt), alone


def _has_space(planning: Planning, source: Source) -> bool:
    """Whether a board at more than half of its bound may grow by a part of this source.

    The other half is for sources that are on the board already, so that a full board empties.
    """
    is_there = source.path in planning.sources or source.path in planning.drafts
    if is_there and (planning.bytes <= planning.settings.max_board_bytes * 3 // 4 or not planning.tickets):
        return True
    planning.full.add("board")
    return False
