"""Enqueue something only once: through a gate that names the source.

A caller takes the gate first, and then stores the source under the path that the gate names. So a caller that finds
the gate taken knows the path, and **completes** it: it stores that source, too. Whichever put lands first counts, and
a caller that died halfway has not swallowed anything.

- A gate is taken with a **new path for each try**. An earlier one may have landed late, been completed by another
caller, and
  be over by now: offered again, it would be refused.
- A coordinator frees a gate when its source is over, before it forgets the source (`s3queue.core.chores.gates`): so every
  completing put comes while the source is on the board, or its id in the window.
- A source is put only within a deadline, counted from before its caller read the gate.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import NamedTuple

from s3queue.core.keys import Layout, parse_source
from s3queue.core.ops import Step, Unknown, carries, get, put
from s3queue.core.produce import Outgoing, Unanswered
from s3queue.core.records import Gate, decode, encode
from s3queue.store import Conflict, Found, Stored


class Once(NamedTuple):
    """The message is stored, or has been.

    Attributes:
        path: of its source.
        is_new: it is this call that has enqueued it.
        replaced: path of the source that it takes the place of, where a later call does; else empty.
    """

    path: str
    is_new: bool
    replaced: str = ""


class Again(NamedTuple):
    """Somebody else has changed the gate meanwhile. Try again at once, with another path."""


@dataclass
class Call:
    """One call, over all of its tries.

    Attributes:
        gate: as in the path of its source.
        window_ms: for how long the gate stays taken, from when it was taken.
        takes_over: take the gate from a source that has not begun.
        offered: by path, what was offered to the gate so far.
        unsure: paths whose source was sent without an answer.
        under_way: path of the source that may be stored.
        is_held: the gate is known to name it.
        free: version of the gate that the next try replaces; None: there is none. replaces: path of the source that it
            held for.
    """

    queue: str
    gate: str
    window_ms: int = 0
    takes_over: bool = False
    offered: dict[str, Outgoing] = field(default_factory=dict)
    unsure: set[str] = field(default_factory=set)
    under_way: str = ""
    is_held: bool = False
    free: str | None = None
    replaces: str = ""


class _Held(NamedTuple):
    """The gate names this path. ``is_over``: there is nothing to store."""

    path: str
    is_over: bool = False
    replaced: str = ""


def enqueue_once(
    layout: Layout, call: Call, outgoing: Outgoing, now_ms: int, nonce: str, in_time: Callable[[], bool]
) -> Step[Once | Again | Unanswered]:
    """Try once to enqueue a message only once.

    Args:
        outgoing: under a path that was never offered before.
        now_ms: wall clock, read before this step was started.
        nonce: fresh.
        in_time: whether the deadline, which counts from before this step was started, has not passed. Asked just
            before each put of the source: one that comes later might find it over and forgotten.

    Returns:
        Once: done. Again, Unanswered: try again, with another path; after the latter not at once.

    Raises:
        CorruptRecord: the gate cannot be read.

    Asks: for a new message two Puts; for a message that another call enqueued two refused Puts and one Get, one Put less if
    that message is over. A gate that exists and is free takes two tries: one Put and one Get more.
    """
    call.offered[outgoing.path] = outgoing
    call.under_way = call.under_way or outgoing.path
    mine = Gate(nonce, outgoing.path, True, now_ms, call.window_ms)
    held = yield from _hold(layout.gate(call.queue, call.gate), mine, call)
    if not isinstance(held, _Held):
        return held
    call.under_way, call.is_held = held.path, True
    if not held.is_over:
        if not in_time():
            return Again()
        if not (yield from _complete(layout, held.path, outgoing.body, call.unsure)):
            return Unanswered()
    return Once(held.path, held.path in call.offered, held.replaced)


def _hold(key: str, mine: Gate, call: Call) -> Step[_Held | Again | Unanswered]:
    """Put our path into the gate, or find out which path is there. One put, of a path that was never offered before."""
    match, call.free = call.free, None
    replaced, call.replaces = call.replaces, ""
    outcome = yield from put(key, encode(mine), match)
    if isinstance(outcome, Stored):
        return _Held(mine.path, replaced=replaced)
    found = yield from get(key)
    if carries(found, mine.nonce):
        return _Held(mine.path, replaced=replaced)
    if not isinstance(found, Found):
        return Unanswered() if isinstance(outcome, Unknown) else Again()
    gate = decode(Gate, key, found.body)
    if gate.path in call.offered:  # an earlier try of this call; others may have completed it
        return _Held(gate.path, is_over=not gate.held)
    if gate.held and not call.takes_over:
        parse_source(gate.path)
        return _Held(gate.path)
    window_ms = max(gate.window_ms, mine.window_ms)
    if not gate.held and window_ms and mine.made_ms < gate.made_ms + window_ms:
        return _Held(gate.path, is_over=True)  # without a window no clock matters: the caller's may be behind
    call.free, call.replaces = found.version, gate.path if gate.held else ""
    return Again()


def _complete(layout: Layout, path: str, body: bytes, unsure: set[str]) -> Step[bool]:
    """Make sure that the source is stored, by us or by another caller. False: no answer."""
    key = layout.source(path)
    outcome = yield from put(key, body, None)
    if isinstance(outcome, Conflict) and path in unsure:
        found = yield from get(key)
        if isinstance(found, Found) and len(found.body) < len(body) and body.startswith(found.body):
            outcome = yield from put(key, body, found.version)  # our own put, which the server stored only in part
    if isinstance(outcome, Unknown):
        unsure.add(path)
    return not isinstance(outcome, Unknown)
