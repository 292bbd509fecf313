"""What operators ask of the coordinator, about one message, and what came of it."""

from __future__ import annotations

from msgspec import Struct, field

from s3queue.core.records.format import FORMAT, Patience

#: Kinds of requests.
CANCEL, RUN_NOW = "cancel", "run_now"
#: The same, about a schedule: it ticks once more, now.
TICK = "tick"


class Request(Struct, frozen=True, omit_defaults=True):
    """Created once, handled once by the coordinator, and deleted; as a source is.

    Attributes:
        kind: ``cancel``, ``run_now`` or ``tick``.
        message: its id; of ``tick``, the name of the schedule.
        at: where it is now, written as an id, if it was moved off the board while it waited.
        reason: for people.
        force_after: seconds after which what runs ends with its process; None: never.
    """

    nonce: str
    kind: str
    message: str
    at: str = ""
    reason: str = ""
    force_after: Patience | None = None
    format: int = field(default_factory=lambda: FORMAT)


class Answer(Struct, frozen=True, omit_defaults=True):
    """What a request itself did.

    Attributes:
        answer: ``cancelled``; ``ready``: it may run now; ``running``: a host has it; ``done``, ``dead``: it ended so;
            ``over``: it had ended before, or was moved off the board; ``absent``: it was not there, and a single one that
            was to be cancelled never will be; ``grouped``: others of its group cannot be overtaken; ``unknown``: no id, or
            a kind of request that this release does not know.
    """

    request: str
    answer: str
    format: int = field(default_factory=lambda: FORMAT)
