"""Enqueue something only once: through a gate that names the source.

A caller takes the gate first, and then stores the source under the path that the gate names. So a caller that finds
the gate taken knows the path, and **completes** it: it stores that source, too. Whichever put lands first counts, and
a caller that died halfway has not swallowed anything.

- A gate is taken with a **new path for each try**. An earlier one may have landed late, been completed by another
caller, and
  be over by now: offered again, it would be refused.
- A coordinator frees a gate when its source is over, before it forgets the source (`s3queue.core.chores.gates`): so every
  completing put comes while the source is on the board, or its id in the window.
- Whoever puts, puts within the deadline that counts from before it read the gate.
"""

from __future__ import annotations

from collections.abc import Mapping
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
    """

    queue: str
    gate: str
    window_ms: int = 0
    takes_over: bool = False
    offered: dict[str, Outgoing] = field(default_factory=dict)
    unsure: set[str] = field(default_factory=set)
    under_way: str = ""
    is_held: bool = False


class _Held(NamedTuple):
    """The gate names this path. ``is_over``: there is nothing to store."""

    path: str
    is_over: bool = False
    replaced: str = ""


def enqueue_once(
    layout: Layout, call: Call, outgoing: Outgoing, now_ms: int, nonce: str
) -> Step[Once | Again | Unanswered]:
    """Try once to have the message enqueued once.

    Args:
        outgoing: under a path that was never offered before.
        now_ms: wall clock, read before this step was started.
        nonce: fresh.

    Returns:
        Once: done. Again, Unanswered: try again, with another path; after the latter not at once.

    Raises:
        CorruptRecord: the gate cannot be read.

    Asks: who comes first two Puts; who finds another's message two Puts that are refused, and one Get; one Put less where
    that message is over. Who takes a gate that is free, one Put and one Get more.
    """
    call.offered[outgoing.path] = outgoing
    call.under_way = call.under_way or outgoing.path
    mine = Gate(nonce, outgoing.path, True, now_ms, call.window_ms)
    held = yield from _hold(layout.gate(call.queue, call.gate), mine, call.offered, call.takes_over)
    if not isinstance(held, _Held):
        return held
    call.under_way, call.is_held = held.path, True
    if not held.is_over and not (yield from _complete(layout, held.path, outgoing.body, call.unsure)):
        return Unanswered()
    return Once(held.path, held.path in call.offered, held.replaced)


def _hold(key: str, mine: Gate, offered: Mapping[str, Outgoing], takes_over: bool) -> Step[_Held | Again | Unanswered]:
    outcome = yield from put(key, encode(mine), None)
    if isinstance(outcome, Stored):
        return _Held(mine.path)
    found = yield from get(key)
    if carries(found, mine.nonce):
        return _Held(mine.path)
    if not isinstance(found, Found):
        return Unanswered() if isinstance(outcome, Unknown) else Again()
    gate = decode(Gate, key, found.body)
    if gate.path in offered:  # an earlier try of this call; others may have completed it
        return _Held(gate.path, is_over=not gate.held)
    if gate.held and not takes_over:
        parse_source(gate.path)
        return _Held(gate.path)
    if not gate.held and mine.made_ms < gate.made_ms + max(gate.window_ms, mine.window_ms):
        return _Held(gate.path, is_over=True)
    replaced = gate.path if gate.held else ""
    outcome = yield from put(key, encode(mine), found.version)
    if isinstance(outcome, Stored):
        return _Held(mine.path, replaced=replaced)
    found = yield from get(key)
    if carries(found, mine.nonce):
        return _Held(mine.path, replaced=replaced)
    return Again() if isinstance(outcome, Conflict) else Unanswered()


def _complete(layout: Layout, path: str, body: bytes, unsure: set[str]) -> Step[bool]:
    """Have the source stored, by whomever. False: no answer."""
    key = layout.source(path)
    outcome = yield from put(key, body, None)
    if isinstance(outcome, Conflict) and path in unsure:
        found = yield from get(key)
        if isinstance(found, Found) and len(found.body) < len(body) and body.startswith(found.body):
            outcome = yield from put(key, body, found.version)  # our own try, of which the server has kept a part
    if isinstance(outcome, Unknown):
        unsure.add(path)
    return not isinstance(outcome, Unknown)
