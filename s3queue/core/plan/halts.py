"""Holds the messages of paused tasks that hosts have given back, until their task goes on.

Each costs one assignment and one read of its batch, and no attempt. Up to ``max_parked`` of a queue wait on the board, and
are ready as soon as a plan finds the pause over. The others are snoozed for ``unfit_pause`` seconds, and tried again then.
"""

from __future__ import annotations

from s3queue.core.halts import is_held, task_of
from s3queue.core.keys import parse_source
from s3queue.core.plan.planning import Planning
from s3queue.core.records import Failed, Part


def hold(planning: Planning, part: Part, token: str) -> None:
    """A host has given back this message, since its task was paused on the board that it had read."""
    queue, draft = parse_source(part.source).queue, planning.draft(part.source)
    if task_of(token) not in planning.halted.get(queue, ()):
        draft.released(part.start, part.stop, part.attempt)
    elif part.start not in draft.unfit and planning.unfit.get(queue, 0) >= planning.settings.max_parked:
        later = Failed("snooze", planning.settings.unfit_pause)
        draft.failed(part.start, part.attempt, later, max_attempts=part.attempt + 1, now_ms=planning.now_ms)
    else:
        planning.unfit[queue] = planning.unfit.get(queue, 0) + 1
        draft.hold(part.start, part.attempt, token)


def go_on(planning: Planning) -> None:
    """Make ready what is held for tasks that are no longer paused."""
    if planning.control is not None:
        for tasks in planning.control.paused_tasks.values():
            planning.comes(until_ms for until_ms in tasks.values() if until_ms > planning.now_ms)
    if not planning.unfit:
        return
    for path, state in list(planning.states()):
        if state.unfit:
            halted = planning.halted.get(parse_source(path).queue, ())
            over = {token for token in state.tokens if is_held(token) and task_of(token) not in halted}
            if over:
                planning.draft(path).let_go(over, planning.now_ms)
