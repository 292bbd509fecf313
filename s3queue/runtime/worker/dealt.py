"""Dealt messages on their way from a `Deal` to the slots: rows, their pieces, and the objects that contain them."""

from __future__ import annotations

import threading
import time
from itertools import count
from typing import TypeAlias

from msgspec import Raw

from s3queue.core.keys import expires_of, fencing_token, parse_source
from s3queue.core.records import Failed, Failure, Part
from s3queue.io.clock import clock
from s3queue.runtime.local.wire import Deal

_NONE: frozenset[int] = frozenset()


class Dealt:
    """A `Deal` at work.

    Attributes:
        token: fencing token of the ticket.
        spared, memos, alone: as in `Deal`.
        came: when it came, by `s3queue.io.clock.clock`: a slot that is idle from then on waits for a source.
        last: the end that is the last of the row; ``ended`` hands out the numbers, each once, to whichever thread ends
            one.
        over: its session was fenced; nothing of it counts any more.
        cancelled: says the same to tasks that look at their context.
        marked: indexes of messages that operators have cancelled; replaced, never changed.
        run_s, wait_s: slot time spent in tasks, and waiting for sources, by slot, so that no two threads add to one
            number.
    """

    __slots__ = (
        "alone",
        "begun",
        "came",
        "cancelled",
        "ended",
        "last",
        "marked",
        "memos",
        "over",
        "queue",
        "row",
        "run_s",
        "spared",
        "ticket",
        "token",
        "wait_s",
    )

    def __init__(self, deal: Deal, slots: int, cancelled: threading.Event) -> None:
        self.row = deal.row
        self.ticket = deal.ticket
        self.queue = deal.queue
        self.spared = deal.spared
        self.begun = deal.begun
        self.memos, self.alone = deal.memos, deal.alone
        self.token = fencing_token(deal.ticket)
        self.came = clock()
        self.last = sum(part.stop - part.start for part in deal.parts) - 1
        self.ended = count()
        self.over = False
        self.cancelled = cancelled
        self.marked = _NONE
        self.run_s = [0.0] * slots
        self.wait_s = [0.0] * slots


class Body:
    """An object in memory. Messages refer to it until they are over.

    Attributes:
        size: bytes of the object.
        pieces: number of pieces that refer to it.
        kept: whether the cache refers to it. Without pieces and cache its bytes are free again.
        shared: whether more than one piece may refer to it, now or later.
    """

    __slots__ = ("kept", "messages", "pieces", "shared", "size")

    def __init__(self, messages: list[Raw], size: int) -> None:
        self.messages = messages
        self.size = size
        self.pieces = 0
        self.kept = False
        self.shared = False


class Piece:
    """The messages of one part of a deal.

    Attributes:
        first: index of its first message in the row. states_at: where its state is in `WorkerJournal.bytes`.
        messages: still encoded; None until read, or where there is a fault.
        body: the object that they are in.
        fault: why none of them can run.
        expires_ms: wall clock from which those that have not begun do not; None: any time.
        last: the end that is its last; ``ended`` hands out their numbers where there are several.
    """

    __slots__ = ("body", "dealt", "ended", "expires_ms", "fault", "first", "last", "messages", "part", "states_at")

    def __init__(self, dealt: Dealt, part: Part, first: int, states_at: int) -> None:
        self.dealt = dealt
        self.part = part
        self.first = first
        self.states_at = states_at
        self.messages: list[Raw] | None = None
        self.body: Body | None = None
        self.fault: Failed | None = None
        self.expires_ms = expires_of(part.source) if part.attempt == 1 and not dealt.begun else None
        self.last = part.stop - part.start - 1
        if self.last:
            self.ended = count()

    @property
    def size(self) -> int:
        return self.last + 1

    def fill(self, body: Body) -> None:
        """Take its messages out of their object."""
        part, held = self.part, len(body.messages)
        if part.start == 0 and part.stop == held:
            messages = body.messages
        elif part.stop <= held == parse_source(part.source).count:
            messages = body.messages[part.start : part.stop]
        else:
            self.fail("dead", 0.0, "corrupt", f"{part.source} holds {held} messages, not what its key says")
            return
        body.pieces += 1
        self.body, self.messages = body, messages

    def fail(self, kind: str, delay_s: float, cause: str, text: str) -> None:
        self.fault = Failed(kind, delay_s, Failure(self.part.attempt, cause, text, round(time.time() * 1000)))


#: What a slot takes: a piece, and which of its messages.
Item: TypeAlias = tuple[Piece, int]
