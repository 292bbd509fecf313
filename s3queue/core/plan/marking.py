"""Marks messages to cancel, if only their host or their batch can tell whether they have begun."""

from __future__ import annotations

from s3queue.core.plan.planning import Planning
from s3queue.core.records import Mark

#: Most marks on the board; further requests wait. And characters of the reason that each mark keeps.
MOST_MARKS, REASON = 10_000, 200


def mark(planning: Planning, path: str, index: int, wanted: Mark) -> bool:
    """Add a mark to this message. False: there is no room for another mark."""
    marked = planning.marks.get(path, {})
    before = marked.get(index)
    if before is None:
        if sum(map(len, planning.marks.values())) >= MOST_MARKS:
            return False
        before = Mark()
    forces = [one for one in (before.force_s, wanted.force_s) if one is not None]
    requests = tuple(dict.fromkeys((*before.requests, *wanted.requests)))
    after = Mark(
        requests, wanted.reason[:REASON] or before.reason, min(forces, default=None), before.purge or wanted.purge
    )
    if after != before or index not in marked:
        planning.marks.setdefault(path, {})[index] = after
        planning.planned.changed = True
    return True
