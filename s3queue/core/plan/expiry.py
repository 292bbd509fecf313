"""Ends messages that have not begun by the time that their keys say. That costs them no attempt."""

from __future__ import annotations

from s3queue.core.keys import Source
from s3queue.core.plan.planned import Settled
from s3queue.core.plan.planning import Planning
from s3queue.core.records import Part, SourceState
from s3queue.core.settle import Draft

#: Most batches outside the board that expire in one plan: each is on the board until it is deleted.
MOST_NEW = 1000
#: Milliseconds between two cycles that only end messages.
_TOGETHER_MS = 1000


def is_over(planning: Planning, source: Source) -> bool:
    """Whether its messages that have not begun expire now."""
    return source.expires_ms is not None and source.expires_ms <= planning.now_ms


def ready(planning: Planning, source: Source, state: Draft | SourceState) -> Draft | SourceState:
    """End the ready messages of a batch on the board that have not begun, if it is time. Returns its state."""
    assert source.expires_ms is not None
    if source.expires_ms > planning.now_ms:
        planning.comes([max(source.expires_ms, planning.now_ms + _TOGETHER_MS)])
        return state
    draft = state if isinstance(state, Draft) else Draft(state, alone=source.alone)
    gone = draft.expire_ready()
    if not gone:
        return state
    planning.drafts[source.path] = draft
    planning.planned.changed = True
    for start, stop in gone:
        part = Part(source.path, start, stop, 1)
        planning.count(part, "expired", stop - start)
        planning.planned.settled.append(Settled("", source.path, start, stop, 1, "expired"))
    return draft


def new(planning: Planning, source: Source) -> None:
    """Expire a batch that is not on the board yet, when it would be admitted."""
    ready(planning, source, planning.draft(source.path))
