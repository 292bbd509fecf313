"""Empties a queue by a walk through what is stored, never by a comparison of clocks.

With a time as the limit, a message that was accepted after the answer would be deleted if its producer's clock is behind,
and an old one would survive if it is ahead. Instead the board names the purge, and from then on the queue is held: nothing
of
it is assigned, admitted or moved off the board. What is on the board ends at once, or is marked where a host has it. What
is stored and not admitted is listed page by page (`s3queue.core.chores.purges`); each page comes onto the board as settled,
and the walk goes on in the same commit. So a new leader goes on where the last one was. When the walk is over the queue is
open again, and the request is answered when nothing is marked any more.

A message that was accepted before the request was there when the walk began: it does not start after the answer. A message
sent after the answer finds no purge. One sent in between may be purged or not.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import NamedTuple

from msgspec.structs import replace

from s3queue.core.histories import LAST_TEXT
from s3queue.core.keys import check_name, parse_source
from s3queue.core.plan.marking import REASON, mark
from s3queue.core.plan.planned import is_finished
from s3queue.core.plan.planning import Planning
from s3queue.core.plan.room import added
from s3queue.core.records import Mark, Part, Purge, Request, SourceState
from s3queue.errors import ConfigError

#: Finished batches on the board beyond which a walk waits until some of them are deleted and retired.
_MOST_FINISHED = 1000


class Walked(NamedTuple):
    """One page of a walk: what is stored behind a path.

    Attributes:
        request: of the purge. after: where the page begins.
        paths: of batches, in order. upto: where the next page begins; None: there is none.
    """

    request: str
    after: str
    paths: tuple[str, ...]
    upto: str | None


def begin(planning: Planning, path: str, request: Request) -> None:
    """Name a purge on the board. A purge under way may have passed messages that came since, so another one waits for its
    end."""
    try:
        check_name(request.queue)
    except ConfigError:
        planning.answer(path, "unknown")
        return
    if request.queue not in planning.purges:
        planning.purges[request.queue] = Purge(path, reason=request.reason[:REASON], force_s=request.force_after)
        planning.planned.changed = True


def go_on(planning: Planning, pages: Mapping[str, Walked], window: Collection[str]) -> None:
    """Take every purge one step further.

    Args:
        pages: by queue, what walks have listed since the last board.
        window: ids of finished sources.
    """
    for queue in sorted(planning.purges):
        if not planning.purges[queue].is_open:
            page, purge = pages.get(queue), planning.purges[queue]
            if page is not None and (page.request, page.after) == (purge.request, purge.after) and _has_space(planning):
                _take(planning, queue, page, window)
            is_empty = _empty(planning, queue)
            purge = planning.purges[queue]
            if purge.is_walked and is_empty:
                planning.purges[queue] = replace(purge, is_open=True)
                planning.planned.changed = True
        purge = planning.purges[queue]
        if purge.is_open and not _is_marked(planning, purge.request):
            del planning.purges[queue]
            planning.answer(purge.request, f"purged {purge.count}")


def _is_marked(planning: Planning, request: str) -> bool:
    return any(request in one.requests for marked in planning.marks.values() for one in marked.values())


def _has_space(planning: Planning) -> bool:
    finished = sum(is_finished(path, state) for path, state in planning.sources.items())
    return finished < _MOST_FINISHED and planning.bytes <= planning.settings.max_board_bytes // 2


def _take(planning: Planning, queue: str, page: Walked, window: Collection[str]) -> None:
    """Settle the batches of this page that no board has named."""
    for path in page.paths:
        if path in planning.sources or path in planning.drafts or path in planning.board.sources:
            continue
        source = parse_source(path)
        if source.id in window:
            planning.planned.refused.append(path)
            continue
        planning.draft(path)  # without those that were cancelled before
        planning.sources[path] = SourceState()
    purge = planning.purges[queue]
    after = purge.after if page.upto is None else page.upto
    planning.purges[queue] = replace(purge, after=after, is_walked=page.upto is None)
    planning.planned.changed = True


def _empty(planning: Planning, queue: str) -> bool:
    """End what is ready or waits, and mark what is in tickets. Returns whether that was all."""
    is_all, purge = True, planning.purges[queue]
    for path in [path for path in planning.sources if parse_source(path).queue == queue]:
        if path not in planning.board.sources and parse_source(path).is_borrowed:
            is_all = False  # it was admitted just now: a board has to name it once, since nothing else does
            continue
        state = planning.state(path)
        if state.ready or state.waiting:
            is_all = _end(planning, path, purge.reason) and is_all
        if any(ending.kind == "edited" for ending in state.endings.values()):
            is_all = False  # ready, once its letter has another payload
    for ticket in planning.tickets.values():
        if ticket.queue != queue:
            continue
        for part in ticket.spans(ticket.left_ranges):
            for index in range(part.start, part.stop):
                wanted = Mark((purge.request,), purge.reason, purge.force_s, purge=True)
                is_all = mark(planning, part.source, index, wanted) and is_all
    return is_all


def _end(planning: Planning, path: str, reason: str) -> bool:
    """End the ready and waiting messages of one source, as far as there is room for tombstones of those that had begun."""
    draft, source, is_all = planning.draft(path), parse_source(path), True
    if not (source.moved or source.kind == "dead"):
        for one in draft.withdraw_new():
            draft.done(one.start, one.stop)
            planning.ended(Part(path, one.start, one.stop, one.attempt), "purged")
    begun = [index for one in draft.ready for index in range(one.start, one.stop)]
    for index in (*begun, *(one.index for one in draft.waiting)):
        found = draft.withdraw(index)
        assert found is not None
        if planning.room.takes(added(reason, LAST_TEXT), dies=True):
            planning.end(Part(path, index, index + 1, found[0]), "purged", began=True, reason=reason)
        else:
            draft.stays(index, found[0], planning.now_ms)
            is_all = False
    return is_all
