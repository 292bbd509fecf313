"""Handles requests of operators: effect and answer are one commit.

A request whose answer is on the board, whose id is in the window, or that a mark names, was handled before. One that cannot
be handled now stays where it is until the next cycle.
"""

from __future__ import annotations

import contextlib
from collections.abc import Collection, Iterator, Mapping

from s3queue.core.histories import LAST_TEXT
from s3queue.core.keys import LETTER, MessageRef, Source, parse_message_id, parse_source
from s3queue.core.plan import purge, schedules
from s3queue.core.plan.marking import mark
from s3queue.core.plan.planning import Planning
from s3queue.core.plan.room import added
from s3queue.core.records import (
    CANCEL,
    CODES,
    PURGE,
    REPLACE,
    RUN_NOW,
    TICK,
    UNREADABLE,
    Board,
    Mark,
    Part,
    Request,
    SourceState,
    ends_unknown,
)
from s3queue.core.settle import Draft
from s3queue.errors import CorruptRecord

#: Answers on the board at most: those of requests that are not known to be gone.
MOST_ANSWERS = 10_000


def pending(board: Board | Planning) -> set[str]:
    """Requests that were handled, and are not forgotten."""
    marked = (one for marks in board.marks.values() for mark in marks.values() for one in mark.requests)
    return {*board.answers, *board.edits, *marked, *(purge.request for purge in board.purges.values())}


def handle(planning: Planning, asked: Mapping[str, Request], there: Collection[str], window: Collection[str]) -> None:
    """
    Args:
        asked: by path, requests that were read.
        there: paths of sources that were seen to exist, of those that they are about.
        window: ids of finished sources.
    """
    lives = {parse_source(path).message: path for path in planning.sources if path.startswith(LETTER)}
    about = {path for request in asked.values() for path in paths_of(request)}
    out = _in_tickets(planning, about | set(lives.values()))
    handled = pending(planning)
    for path in sorted(asked):
        if path in handled or len(planning.answers) >= MOST_ANSWERS:
            continue
        request, ref = asked[path], refers(asked[path])
        if ref is not None and request.message in lives:
            ref = MessageRef(ref.part, lives[request.message], 0)
        if request.kind == PURGE:
            purge.begin(planning, path, request)
            continue
        if request.kind == TICK:
            if (done := schedules.run_now(planning, path, request)) is not None:
                planning.answer(path, done)
            continue
        if request.messages and request.kind in (CANCEL, RUN_NOW):
            answers = (_one_of(planning, path, request, one, there, out, window, lives) for one in request.messages)
            planning.answer(path, "".join(CODES[answer] for answer in answers))
            continue
        if ref is None or request.kind not in (CANCEL, REPLACE, RUN_NOW):
            planning.answer(path, "unknown")
            continue
        one = _One(planning, path, request, ref, ref.path in there, (ref.path, ref.index) in out, window)
        answer = one.run_now() if request.kind == RUN_NOW else one.cancel()
        if answer is not None:
            planning.answer(path, answer)


def give_up(planning: Planning, spoiled: Collection[str]) -> None:
    """Answer what nobody can read, so that it is deleted, and refused should it come late."""
    handled = pending(planning)
    for path in sorted(spoiled):
        if path not in handled and len(planning.answers) < MOST_ANSWERS:
            planning.answer(path, UNREADABLE)


def refers(request: Request) -> MessageRef | None:
    """Where the message is that a request is about. None: that is no id."""
    try:
        return parse_message_id(request.at or request.message)
    except CorruptRecord:
        return None


def _how(state: Draft | SourceState, index: int) -> str | None:
    """How a message that is dying ends. None: it does not, and has its turn when its letter has another payload; or only a
    newer release can tell."""
    ending = state.endings.get(index)
    how = "dead" if ending is None else ending.kind
    return None if how == "edited" or ends_unknown(ending) else how


def paths_of(request: Request) -> set[str]:
    """Of the batches that hold what a request is about."""
    if not request.messages:
        ref = refers(request)
        return set() if ref is None else {ref.path}
    paths = set()
    for message in request.messages:
        with contextlib.suppress(CorruptRecord):
            paths.add(parse_message_id(message).path)
    return paths


def _one_of(
    planning: Planning,
    path: str,
    request: Request,
    message: str,
    there: Collection[str],
    out: Collection[tuple[str, int]],
    window: Collection[str],
    lives: Mapping[str, str],
) -> str:
    """What becomes of one of several messages, at once: nothing is waited for."""
    try:
        ref = parse_message_id(message)
    except CorruptRecord:
        return "unknown"
    if message in lives:
        ref = MessageRef(ref.part, lives[message], 0)
    one = _One(planning, path, request, ref, ref.path in there, (ref.path, ref.index) in out, window)
    return (one.cancel() if request.kind == CANCEL else one.run_now()) or "later"


def _in_tickets(planning: Planning, paths: Collection[str]) -> set[tuple[str, int]]:
    return {(part.source, index) for part in _parts(planning, paths) for index in range(part.start, part.stop)}


def _parts(planning: Planning, paths: Collection[str]) -> Iterator[Part]:
    if paths:
        for ticket in planning.tickets.values():
            if any(part.source in paths for part in ticket.parts):
                yield from (part for part in ticket.spans(ticket.left_ranges) if part.source in paths)


class _One:
    """One request. Each verb returns its answer; None: not now, or when the message has ended."""

    def __init__(
        self,
        planning: Planning,
        path: str,
        request: Request,
        ref: MessageRef,
        is_there: bool,
        is_out: bool,
        window: Collection[str],
    ) -> None:
        self._planning, self._path, self._request = planning, path, request
        self._source: Source = parse_source(ref.path)
        self._index, self._is_there, self._is_out = ref.index, is_there, is_out
        self._is_over = self._source.id in window

    @property
    def _is_moving(self) -> bool:
        moves = self._planning.moves
        return self._source.path in moves or (self._source.path, self._index) in {
            member for members in moves.values() for member in members
        }

    def cancel(self) -> str | None:
        planning, path, index = self._planning, self._source.path, self._index
        if path not in planning.sources and path not in planning.drafts:
            return self._cancel_new()
        if self._request.kind == REPLACE and self._has_begun(path):
            return "running"
        if self._is_out:
            self._mark(() if self._request.messages else (self._path,))
            return "running" if self._request.messages and self._is_marked else None
        state = planning.state(path)
        if index in state.dying:
            return _how(state, index)
        if self._is_moving:
            return None
        draft = planning.draft(path)
        found = draft.withdraw(index)
        if found is None:
            return "over"
        attempt, began = found
        if began and not planning.room.takes(added(self._request.reason, LAST_TEXT), dies=True):
            draft.stays(index, attempt, planning.now_ms)
            return None
        planning.cancel(Part(path, index, index + 1, attempt), began=began, reason=self._request.reason)
        return "cancelled"

    def _has_begun(self, path: str) -> bool:
        """Whether it is, or was, in a ticket, as far as can be told."""
        state = self._planning.state(path)
        ready = [one for one in state.ready if one.start <= self._index < one.stop]
        return not ready or ready[0].attempt > 1 or self._index in state.failures or self._index in state.spared

    def _cancel_new(self) -> str | None:
        """No board has named its source yet."""
        planning, source = self._planning, self._source
        if self._is_over or source.is_borrowed:
            return "over"
        if self._is_moving:
            return None
        if self._index in planning.marks.get(source.path, ()):
            return "cancelled"
        if source.count == 1 and not source.moved:
            # As if it were finished: it is deleted, and refused for the window, should it come late.
            planning.sources[source.path] = SourceState(settled=1)
            if not self._is_there:
                return "absent"
            planning.ended(Part(source.path, 0, 1, source.attempt), "cancelled")
            return "cancelled"
        if not self._is_there:
            return "absent"
        # The others of its batch have their turn, and it is cancelled in that.
        self._mark(())
        if not self._is_marked:
            return None
        if len(planning.marks[source.path]) == source.count and not source.moved:
            planning.draft(source.path)  # nothing is left of it
            planning.sources[source.path] = SourceState()
        return "cancelled"

    @property
    def _is_marked(self) -> bool:
        return self._index in self._planning.marks.get(self._source.path, ())

    def _mark(self, requests: tuple[str, ...]) -> None:
        wanted = Mark(requests, self._request.reason, self._request.force_after)
        mark(self._planning, self._source.path, self._index, wanted)

    def run_now(self) -> str | None:
        planning, source, index = self._planning, self._source, self._index
        if source.path not in planning.sources and source.path not in planning.drafts:
            return self._run_new()
        if self._is_out:
            return "running"
        state = planning.state(source.path)
        if index in state.dying:
            return _how(state, index)
        if self._is_moving:
            return None
        if any(one.start <= index < one.stop for one in state.ready):
            return "ready"
        if not any(one.index == index for one in state.waiting):
            return "over"
        planning.draft(source.path).hasten(index)
        return "ready"

    def _run_new(self) -> str | None:
        """No board has named its source yet."""
        planning, source = self._planning, self._source
        if self._is_over or source.is_borrowed:
            return "over"
        if self._is_moving:
            return None
        if self._is_marked:
            return "cancelled"
        if not self._is_there:
            return "absent"
        if source.due_ms is None or source.due_ms <= planning.now_ms:
            return "ready"
        if source.group is not None:
            return "grouped"
        draft = planning.draft(source.path)
        planning.sources[source.path] = SourceState()  # its draft says what is in it
        for other in range(source.count):
            if other != self._index and (found := draft.withdraw(other)) is not None:
                draft.stays(other, found[0], source.due_ms)
        return "ready"
