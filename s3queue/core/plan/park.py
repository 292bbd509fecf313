"""Moves waiting messages off the board, so that their queue goes on however many there are.

A move makes one new source of messages that wait for the same attempt at about the same time. The board names the source
and the origin of each message. A chore (`s3queue.core.chores.moves`) copies the messages to ``later/``. Once that object
is known to be stored, the messages are settled in their old source and the board drops the move. The new source is not
admitted before. Its id is unique, so a late request of a replaced coordinator is recognised: as the same object while
that exists, and by the deduplication window afterwards.

Messages of a group stay on the board, since their group waits for them. So do further lives of dead messages, whose number
is bounded, and ticks of schedules.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

from s3queue.core.histories import is_suspect
from s3queue.core.keys import MAX_BATCH, moved_batch, moved_path, parse_source
from s3queue.core.plan.planning import Planning
from s3queue.core.records import Board, SourceState
from s3queue.core.settle import Draft

#: Most moves under way, since their sources are read into memory.
_MOVES = 4
#: Share of its wait, and at least milliseconds, by which a moved message may start late.
_LATE, _LATE_MS = 0.05, 1000


@dataclass
class Parking:
    """Results of the moves on the committed board.

    Attributes:
        stored: their sources are stored. refused: their sources cannot be stored.
        unmovable: paths of which a message cannot be read.
        most: messages that fit one source, estimated from the last ones.
    """

    stored: set[str] = field(default_factory=set)
    refused: set[str] = field(default_factory=set)
    unmovable: set[str] = field(default_factory=set)
    most: int = MAX_BATCH

    def committed(self, board: Board) -> None:
        """Forget what this board does not name any more."""
        self.stored &= board.moves.keys()
        self.refused &= board.moves.keys()
        self.unmovable &= board.sources.keys()


class _Candidate(NamedTuple):
    due_ms: int
    path: str
    number: int
    attempt: int
    alone: bool

    @property
    def kind(self) -> tuple[str, int, int, bool]:
        source = parse_source(self.path)
        return source.key, source.priority, self.attempt, self.alone


def settle(planning: Planning, parking: Parking) -> None:
    """Take finished moves off the board."""
    for target in [path for path in planning.moves if path in parking.stored or path in parking.refused]:
        source = parse_source(target)
        for path, index in planning.moves.pop(target):
            if target in parking.stored:
                planning.draft(path).moved(index)
            else:
                planning.draft(path).stays(index, source.attempt, source.due_ms or 0)
        if target not in parking.stored:
            # A coordinator that was replaced may still send its object: it counts as finished, so that it is refused.
            planning.sources[target] = SourceState(settled=source.count)
        planning.count_moved(source, source.count)  # until it leaves the board again
        planning.planned.changed = True


def choose(planning: Planning, parking: Parking) -> None:
    """Begin to move the waiting messages beyond the bound, those with the longest wait first."""
    if len(planning.moves) >= _MOVES:
        return
    paths = list(planning.waiting)
    if "failures" in planning.full:
        # No room for more histories: ready messages with a history move, too.
        paths = [path for path, state in planning.states() if state.waiting or (state.ready and state.failures)]
    elif not paths:
        return
    candidates: dict[str, list[_Candidate]] = {}
    for path in paths:
        source = parse_source(path)
        if not source.stays and path not in parking.unmovable and not planning.is_emptied(source.queue):
            found = _candidates(planning, path, source.alone)
            if source.expires_ms is not None:  # what is moved has begun, or never expires
                state = planning.state(path)
                draft = state if isinstance(state, Draft) else Draft(state)
                found = (one for one in found if draft.has_begun(one.number, one.attempt))
            candidates.setdefault(source.queue, []).extend(found)
    bound = 0 if planning.room.is_tight else planning.settings.max_parked
    for queue in sorted(candidates, key=lambda queue: len(candidates[queue]), reverse=True):
        if len(candidates[queue]) <= bound:
            break
        _begin(planning, candidates[queue], len(candidates[queue]) - bound // 2, parking.most)


def _candidates(planning: Planning, path: str, alone: bool) -> Iterator[_Candidate]:
    state = planning.state(path)
    if not isinstance(state, Draft):
        state = Draft(state)
    fixed = state.spared.keys() | state.unfit.keys()
    for one in state.waiting:
        if one.index not in fixed:
            suspect = alone or is_suspect(state.failures, state.spared, one.index)
            yield _Candidate(one.due_ms, path, one.index, one.attempt, suspect)
    if "failures" not in planning.full:
        return
    for ready in state.ready:
        for index in state.failures.keys() & set(range(ready.start, ready.stop)) - fixed:
            suspect = alone or is_suspect(state.failures, state.spared, index)
            yield _Candidate(planning.now_ms, path, index, ready.attempt, suspect)


def _begin(planning: Planning, candidates: list[_Candidate], excess: int, most: int) -> None:
    candidates.sort(reverse=True)
    while excess > 0 and candidates and len(planning.moves) < _MOVES:
        first = candidates[0]
        late = max(_LATE_MS, int((first.due_ms - planning.now_ms) * _LATE))
        alike = [one for one in candidates if one.kind == first.kind and one.due_ms >= first.due_ms - late]
        chosen = alike[: min(excess, most)]
        _move(planning, chosen)
        excess -= len(chosen)
        gone = set(chosen)
        candidates = [one for one in candidates if one not in gone]


def _move(planning: Planning, chosen: list[_Candidate]) -> None:
    in_order = sorted(chosen, key=lambda one: (parse_source(one.path).rank, one.number))
    first = in_order[0]
    target = moved_path(
        parse_source(first.path),
        due_ms=max(one.due_ms for one in chosen),
        batch=moved_batch(planning.board.epoch, planning.next_number()),
        count=len(chosen),
        attempt=first.attempt,
        alone=first.alone,
    )
    for one in in_order:
        planning.draft(one.path).moving(one.number)
    planning.moves[target] = tuple((one.path, one.number) for one in in_order)
