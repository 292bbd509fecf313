"""The operator's side: changes the control that the coordinator plans with.

An operator changes the one `Control` of a namespace by compare-and-swap. A board names the turn of the control that it
was planned with, and no later board a lower one. So an operator waits for a board that names at least their turn: a later
change of another operator may replace it before any board names it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

from msgspec.structs import replace

from s3queue.core.keys import Layout
from s3queue.core.ops import Step, Unknown, get, write
from s3queue.core.produce import Accepted, Outgoing, Unanswered, enqueue
from s3queue.core.records import (
    NO_LIMITS,
    Answer,
    Board,
    Control,
    LetterRequest,
    Limits,
    Request,
    decode,
    encode,
    encode_over,
    known_of,
)
from s3queue.core.records.limits import overlaid
from s3queue.store import Found, Stored

#: From the stored control to the changed one.
Edit: TypeAlias = Callable[[Control], Control]


def pause(queue: str, until_ms: int = 0) -> Edit:
    """Assign nothing of this queue until then (wall clock in milliseconds); 0: until it is resumed."""
    return lambda control: replace(control, paused={**control.paused, queue: until_ms})


def resume(*queues: str) -> Edit:
    return lambda control: replace(
        control, paused={queue: until for queue, until in control.paused.items() if queue not in queues}
    )


def pause_task(queue: str, task: str, until_ms: int = 0) -> Edit:
    """Start no message of this task of this queue until then (wall clock in milliseconds); 0: until it is resumed."""

    def edit(control: Control) -> Control:
        tasks = {**control.paused_tasks.get(queue, {}), task: until_ms}
        return replace(control, paused_tasks={**control.paused_tasks, queue: tasks})

    return edit


def resume_task(queue: str, *tasks: str) -> Edit:
    """End the pauses of these tasks of a queue; none: of all of them."""

    def edit(control: Control) -> Control:
        paused = control.paused_tasks.get(queue, {})
        left = {task: until_ms for task, until_ms in paused.items() if tasks and task not in tasks}
        others = {name: one for name, one in control.paused_tasks.items() if name != queue}
        return replace(control, paused_tasks=others | ({queue: left} if left else {}))

    return edit


def limit(queue: str, limits: Limits) -> Edit:
    """Set these limits of a queue, in addition to those that were set before."""
    return lambda control: replace(
        control, limits={**control.limits, queue: overlaid(limits, control.limits.get(queue, NO_LIMITS))}
    )


def unlimit(queue: str, key: str | None = None) -> Edit:
    """Remove the limits that were set for a queue, or for one key of it: those that tasks declare apply again."""

    def edit(control: Control) -> Control:
        limits = control.limits.get(queue, NO_LIMITS)
        rest = {name: one for name, one in control.limits.items() if name != queue}
        if key is not None:
            keys = {name: one for name, one in limits.keys.items() if name != key}
            weights = {name: one for name, one in limits.weights.items() if name != key}
            left = replace(limits, keys=keys, weights=weights)
            rest |= {queue: left} if left != NO_LIMITS else {}
        return replace(control, limits=rest)

    return edit


def unschedule(queue: str) -> Edit:
    """Remove all schedules that enqueue to this queue."""
    return lambda control: replace(
        control, schedules={name: one for name, one in control.schedules.items() if one.queue != queue}
    )


def forget(queue: str) -> Edit:
    """Remove everything that was set for this queue: schedules, limits, pauses of it and of its tasks."""

    def edit(control: Control) -> Control:
        left = unschedule(queue)(resume_task(queue)(resume(queue)(control)))
        return replace(left, limits={name: one for name, one in left.limits.items() if name != queue})

    return edit


def change(layout: Layout, edit: Edit, nonce: str) -> Step[Control | Unknown]:
    """Make this change stand, whatever others change meanwhile.

    A control that is gone is replaced by one that says nothing but this, and is newer than any that a board has named.

    Args:
        nonce: fresh.

    Returns:
        Control: stored, now or before. Wait for a board of which `has_planned` is true.
        Unknown: no answer. It may yet take effect, unless another change comes first; try it again.

    Raises:
        CorruptRecord: the stored control is damaged, or of a newer release; or the changed one could not be read again, and
            nothing was stored: one such change would end all others.

    Asks: one Get and one Put, and again for each change of others in between; one Get more where there was none before.
    """
    tries = 0
    while True:
        found = yield from get(layout.control)
        version: str | None = None
        if isinstance(found, Found):
            before, body, version = decode(Control, layout.control, found.body), found.body, found.version
        else:
            before, body = Control("", (yield from _named(layout))), b""
        after = edit(before)
        if after == before and (version is not None or not before.turn):
            return before
        after = replace(after, nonce=f"{nonce}.{tries}", turn=before.turn + 1)
        will = encode_over(after, before, body)
        decode(Control, layout.control, will)
        outcome = yield from write(layout.control, will, nonce=after.nonce, if_version=version)
        if isinstance(outcome, Stored):
            return after
        if isinstance(outcome, Unknown):
            return outcome
        tries += 1


def _named(layout: Layout) -> Step[int]:
    found = yield from get(layout.board)
    return decode(Board, layout.board, found.body).control if isinstance(found, Found) else 0


def has_planned(board: Board | None, turn: int) -> bool:
    """Whether every ticket from now on is assigned under a control of at least this turn. Without a leader this is true:
    the next one reads the control before it assigns anything."""
    return board is None or board.leader is None or board.control >= turn


def has_halted(board: Board | None, turn: int, queue: str, task: str) -> bool:
    """Whether a host that reads the board from now on starts no message of this task, which the control of this turn
    pauses. Without a leader this is true: the next one reads the control before it assigns anything. A leader of a release
    that knows no paused tasks never makes it true."""
    if board is None or board.leader is None or board.control > turn:  # a later change may have ended it
        return True
    return board.control == turn and task in board.halted.get(queue, ())


def tickets_of(board: Board | None, queue: str) -> frozenset[str]:
    """The tickets with messages of this queue that hosts hold."""
    return (
        frozenset()
        if board is None
        else frozenset(name for name, ticket in known_of(board).tickets.items() if ticket.queue == queue)
    )


def is_idle(board: Board | None, queue: str) -> bool:
    """Whether no host holds a message of this queue."""
    return board is None or all(ticket.queue != queue for ticket in known_of(board).tickets.values())


def ask(layout: Layout, path: str, request: Request | LetterRequest) -> Step[Accepted | Unanswered]:
    """Try once to make this request exist. Repeating it is safe for as long as ``dedup_window``, as with a batch: it is
    handled once.

    Args:
        path: from `s3queue.core.keys.request_path`, never used before.

    Asks: as `s3queue.core.produce.enqueue`.
    """
    return (yield from enqueue(layout, Outgoing(path, encode(request), 1)))


def read_answer(layout: Layout, path: str) -> Step[str | None]:
    """The answer to a request; None: there is none yet. Asks: one Get."""
    key = layout.answer(path)
    found = yield from get(key)
    return decode(Answer, key, found.body).answer if isinstance(found, Found) else None
