"""Events and measurements of attempts, for subscribers and for the process that serves metrics."""

from __future__ import annotations

import contextlib
from typing import Any

from s3queue.core.keys import Layout, parse_source
from s3queue.core.records import Failed, Message, Origin, decode_moved
from s3queue.errors import CorruptRecord
from s3queue.observe.events import Events
from s3queue.observe.measures import Measures
from s3queue.runtime.worker import outcomes
from s3queue.runtime.worker.dealt import Piece
from s3queue.runtime.worker.plans import Plan

#: The event of an outcome, if its name differs.
_TOLD_AS = {"retry": "retrying", "snooze": "snoozed"}


def origin_of(piece: Piece, number: int) -> Origin | None:
    """Where a message came from that was moved off the board."""
    source = piece.part.source
    if parse_source(source).moved and piece.messages is not None:
        with contextlib.suppress(CorruptRecord):
            return decode_moved(source, piece.messages[number]).origin
    return None


class Telling:
    """Reports attempts.

    Attributes:
        starts, ends: whether anything listens to the start of attempts, and to those that end well.
    """

    def __init__(self, layout: Layout, events: Events, measures: Measures | None) -> None:
        self._layout, self._events, self._measures = layout, events, measures
        self.starts, self.ends = events.wants("started"), events.wants("succeeded")
        self._failures = events.wants("failed")
        self._unfit: set[str] = set()

    def message_id(self, piece: Piece, number: int) -> str:
        origin = origin_of(piece, number)
        if origin is not None:
            return origin.message
        return self._layout.message_id(piece.part.source, piece.part.start + number)

    def started(self, plan: Plan, piece: Piece, number: int) -> None:
        self._events.emit(
            "started",
            task=plan.task.name,
            queue=piece.dealt.queue,
            message=self.message_id(piece, number),
            attempt=piece.part.attempt,
            ticket=piece.dealt.ticket,
        )

    def succeeded(self, plan: Plan, piece: Piece, number: int, run_s: float) -> None:
        if not piece.dealt.over:
            self._events.emit(
                "succeeded",
                task=plan.task.name,
                queue=piece.dealt.queue,
                message=self.message_id(piece, number),
                attempt=piece.part.attempt,
                run_s=round(run_s, 6),
            )

    def failed(self, plan: Plan | None, piece: Piece, number: int, outcome: Failed) -> Failed:
        """Log an attempt that did not end well, once, where it ended. Returns the outcome."""
        fields: dict[str, Any] = {
            "task": None if plan is None else plan.task.name,
            "queue": piece.dealt.queue,
            "message": self.message_id(piece, number),
            "attempt": piece.part.attempt,
        }
        if plan is not None:
            fields["of"] = plan.max_attempts + piece.dealt.spared
        if outcome.failure is not None:
            fields["cause"] = outcome.failure.cause
        if outcome.kind != "dead":
            fields["next_s"] = round(outcome.delay_s, 3)
        if outcome.failure is not None:
            fields["text"] = outcome.failure.text
        if not piece.dealt.over:  # otherwise it does not count, and another host runs it
            if self._measures is not None:
                self._measures.ended(piece.dealt.queue, fields["task"] or "", _result(outcome))
            if self._failures and outcome.kind != "snooze":
                self._events.emit("failed", **{name: it for name, it in fields.items() if name != "next_s"})
            if fields.get("cause") != "cancelled":  # the coordinator reports that
                self._events.emit(_TOLD_AS.get(outcome.kind, outcome.kind), **fields)
        return outcome

    def over(self, plan: Plan, piece: Piece, number: int) -> Failed:
        """The last attempt of a message ended with its process, which only knew the largest number of attempts of any
        task of the queue."""
        if not piece.dealt.over:
            self._events.emit(
                "dead",
                task=plan.task.name,
                queue=piece.dealt.queue,
                message=self.message_id(piece, number),
                attempt=piece.part.attempt - 1,
                of=plan.max_attempts + piece.dealt.spared,
                text="its last attempt ended with its process",
            )
        return Failed("dead")

    # ---- what does not fit ---------------------------------------------------------------------------------

    def misfit(self, plan: Plan, piece: Piece, number: int, message: Message, wrong: ValueError) -> Failed:
        """The arguments do not fit the task of this release; that of another release may take them."""
        attempt, text = piece.part.attempt, f"the arguments do not fit {plan.task.label}: {wrong}"
        if not outcomes.is_message_pack(message.payload):
            return self.failed(plan, piece, number, outcomes.dead(attempt, "corrupt", text))
        if self._measures is not None:
            self._measures.ended(piece.dealt.queue, message.task, "unfit")
        return self.unfit(attempt, "signature", text, f"{message.task}@{plan.task.digest}")

    def unfit(self, attempt: int, cause: str, text: str, token: str) -> Failed:
        """The message is given back for a host whose release fits it. Costs no attempt; reported once."""
        if token not in self._unfit:
            self._unfit.add(token)
            self._events.warn(f"unfit {token}", f"{text}; such messages wait for a host whose release fits them")
        return Failed("unfit", 0.0, outcomes.failure(attempt, cause, text), token)


def _result(outcome: Failed) -> str:
    """The name under which an outcome is counted."""
    if outcome.failure is not None and outcome.failure.cause == "cancelled":
        return "cancelled"
    return _TOLD_AS.get(outcome.kind, outcome.kind)
