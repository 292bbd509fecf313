"""The checker of pauses of tasks."""

from __future__ import annotations

from collections.abc import Iterator

from s3queue.core.halts import task_of
from s3queue.core.keys import parse_source
from s3queue.core.records import Control
from s3queue.testing.simulate.chronicle import Run
from s3queue.testing.simulate.posts import Message
from s3queue.testing.simulate.story import Story, damaged
from s3queue.testing.simulate.verdicts import OK, Verdict, first
from s3queue.testing.simulate.world import EPOCH_MS, SKEW_MS


def a_paused_task_does_not_start(story: Story) -> Verdict:
    """Not on a host that has read a board that names the pause; and nowhere once an operator was told that nobody runs it,
    for as long as boards name it. Boards name what their control pauses, and nothing else. What was given back is not
    assigned again before a board that does not name the pause."""
    if not any(control.paused_tasks for _, control in story.controls):
        return OK
    return first(_faults(story))


def _faults(story: Story) -> Iterator[str]:
    yield from _boards(story)
    for run in story.runs:
        queue, task = _task(run)
        reads = [(n, tasks) for n, session, tasks in story.halts_read if session == run.started.session and n < run.n]
        if reads and (queue, task) in reads[-1][1]:
            yield f"event {run.n}: {run.message} starts; its host read at event {reads[-1][0]} that {task} is paused"
    for n, told, queue, task in story.idled:
        for run in story.runs:
            if _task(run) != (queue, task) or _is_beside(story, run, n):
                continue
            if run.n > n and _is_named(story, told, run.n, queue, task):
                yield f"event {run.n}: {run.message} starts, and {task} was idle at event {n}"
            if run.n < n and (run.ended_n or n + 1) > n and _is_named(story, told, n, queue, task):
                yield f"event {n}: {task} is said to be idle, and {run.message} runs"
    held: dict[Message, tuple[int, str]] = {}
    for move in story.moves:
        outcome = None if move.old is None else story.outcomes.get((move.old.ticket, move.old.offset))
        before = held.pop(move.message, None)
        if move.new is None:
            continue
        if move.new.ticket and before is not None:
            n, task = before
            if _is_named(story, n + 1, move.n + 1, parse_source(move.message[0]).queue, task):
                yield f"event {move.n}: {move.message} gets {move.new.ticket}; it was given back, and {task} is paused"
        elif outcome is not None and outcome.kind == "held" and outcome.n < move.n and move.new.kind == "ready":
            assert outcome.failed is not None
            held[move.message] = move.n, task_of(outcome.failed.token)


def _boards(story: Story) -> Iterator[str]:
    controls = {0: Control("")} | {control.turn: control for _, control in story.controls}
    for state in story.boards:
        control = controls.get(state.board.control)
        if control is None:
            continue  # I19 tells
        named = {(queue, task) for queue, tasks in state.board.halted.items() for task in tasks}
        known = {(queue, task) for queue, tasks in control.paused_tasks.items() for task in tasks}
        # The coordinator's clock may be ahead, and the pause over by it.
        halted = control.halted(EPOCH_MS + int(state.at * 1000) + SKEW_MS)
        if missing := {(queue, task) for queue, tasks in halted.items() for task in tasks} - named:
            yield f"event {state.n}: the board of turn {control.turn} does not name {missing}"
        if more := named - known:
            yield f"event {state.n}: the board of turn {control.turn} names {more}, which is not paused"


def _task(run: Run) -> tuple[str, str]:
    return parse_source(run.started.path).queue, run.started.task


def _is_beside(story: Story, run: Run, n: int) -> bool:
    """Whether its session was over by then: it is a zombie."""
    over = story.ended.get(run.started.session)
    return (over is not None and over.n < max(n, run.n)) or damaged(story, run.started.session, max(n, run.n))


def _is_named(story: Story, since: int, n: int, queue: str, task: str) -> bool:
    """Whether every board from the one before ``since`` to the one before ``n`` names this pause."""
    before = story.board_before(since)
    boards = [*([] if before is None else [before]), *(one.board for one in story.boards if since <= one.n < n)]
    return bool(boards) and all(task in board.halted.get(queue, ()) for board in boards)
