"""Counts messages by queue and state: those that a board lists, and those of batches that it does not."""

from __future__ import annotations

from s3queue.core.halts import is_held, task_of
from s3queue.core.keys import MAX_ORDER, Layout, Source, parse_source
from s3queue.core.records import Board
from s3queue.core.records.summary import Tally
from s3queue.core.settle import Draft


def count_board(board: Board, layout: Layout) -> tuple[dict[str, Tally], list[str]]:
    """By queue, the counts of messages on the board, and the keys of batches that workers could not read when they last
    tried."""
    queues: dict[str, Tally] = {}
    unreadable: list[str] = []
    for name, totals in board.totals.items():
        queues[name] = Tally(
            done=totals.done,
            dead=totals.dead_now,
            failed=totals.failed,
            expired=totals.expired,
            deaths=totals.dead,
            cancelled=totals.cancelled,
            purged=totals.purged,
            redriven=totals.redriven,
        )
    for path, state in board.sources.items():
        source = parse_source(path)
        tally = of(queues, source.queue)
        marked = Draft(state).marked() if state.unfit else {}
        ready = sum(one.stop - one.start for one in state.ready) - sum(marked.values())
        tally.ready += ready
        for token, many in marked.items():
            where, name = (tally.held, task_of(token)) if is_held(token) else (tally.unfit, token)
            where[name] = where.get(name, 0) + many
        tally.waiting += len(state.waiting)
        if ready:
            _older(tally, source)
        if any(history and history[-1].cause == "unreadable" for history in state.failures.values()):
            unreadable.append(layout.source(path))
    for target, members in board.moves.items():
        of(queues, parse_source(target).queue).waiting += len(members)
    for ticket in board.tickets.values():
        of(queues, ticket.queue).running += ticket.left
    return queues, unreadable


def count_batch(queues: dict[str, Tally], source: Source, now_ms: int) -> None:
    """Add a batch that is not on the board."""
    tally = of(queues, source.queue)
    if source.due_ms is not None and source.due_ms > now_ms:
        if source.moved:
            tally.waiting += source.count
        else:
            tally.scheduled += source.count
        return
    tally.ready += source.count
    _older(tally, source)


def of(queues: dict[str, Tally], name: str) -> Tally:
    tally = queues.get(name)
    if tally is None:
        tally = queues[name] = Tally()
    return tally


def _older(tally: Tally, source: Source) -> None:
    sent_ms = min(source.order, MAX_ORDER - source.order)  # one of the two is the complement of the other
    tally.oldest_ms = min(tally.oldest_ms or sent_ms, sent_ms)
