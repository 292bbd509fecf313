"""Actions on one message."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from s3queue.dashboard.actions.action import WAIT_S, Action, Field, line, option, seconds
from s3queue.messages import MessageHandle

if TYPE_CHECKING:
    from s3queue.dashboard.desk import Desk

_CANCELLED = {
    "cancelled": "It is cancelled.",
    "absent": "There was no such message. If it was enqueued alone, there never will be; a batch may still arrive.",
    "over": "It had ended before.",
    "done": "It ended well meanwhile, so it is done.",
    "dead": "It died meanwhile.",
}
_RUN_NOW = {
    "ready": "It starts as soon as a host has room.",
    "running": "A host has it already.",
    "over": "It had ended before.",
    "absent": "There is no such message.",
    "grouped": "It is scheduled in a group, whose other messages cannot be overtaken.",
}


def handle(desk: Desk, message: str) -> MessageHandle:
    return MessageHandle(message, desk.store, namespace=desk.reader.layout.root, config=desk.config)


def _cancel(desk: Desk, values: Mapping[str, str]) -> str:
    answer = handle(desk, values["message"]).cancel(
        reason=values.get("reason", ""), force_after=seconds(values, "force"), timeout=WAIT_S
    )
    return _CANCELLED.get(answer, f"Answer: {answer}.")


def _run_now(desk: Desk, values: Mapping[str, str]) -> str:
    answer = handle(desk, values["message"]).run_now(timeout=WAIT_S)
    return _RUN_NOW.get(answer, f"Answer: {answer}.")


ACTIONS = (
    Action(
        "cancel",
        "Cancel",
        "This message is not started any more. If it runs, it is told: done if it ends well, cancelled otherwise.",
        _cancel,
        lambda values: line(
            "s3queue", "cancel", values["message"],
            *option("--reason", values.get("reason")),
            *option("--force-after", values.get("force")),
        ),
        "message",
        (
            Field("reason", "Reason", hint="for people; kept with a message that had begun"),
            Field("force", "End its worker process after", "number", "seconds, if it still runs then; empty: never"),
        ),
        is_grave=True,
    ),
    Action(
        "run_now",
        "Run now",
        "This message starts as soon as a host has room, though it is scheduled, or waits after a failure.",
        _run_now,
        lambda values: line("s3queue", "run-now", values["message"]),
        "message",
    ),
)  # fmt: skip
