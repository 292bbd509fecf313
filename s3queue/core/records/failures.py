"""Why an attempt of a message failed, and what follows."""

from __future__ import annotations

from msgspec import Struct

from s3queue.core.records.format import Count, Delay


class Failure(Struct, frozen=True, gc=False, array_like=True):
    """Why one attempt of a message failed.

    Attributes:
        attempt: the attempt that ended, counted from 1.
        cause: ``error`` (the task raised), ``killed``, ``exited``, ``oom``, ``time_limit`` (its process died),
            ``lost`` (its host fell silent), ``interrupted`` (its process was ended because another message was over its
            time limit), ``cancelled`` (by an operator), ``shutdown``, ``rejected``, ``corrupt``, ``unknown_task``,
            ``signature`` (its arguments do not fit the task that hosts know).
        text: for people; bounded.
        at_ms: wall clock of the process that noticed.
        host: where it ran: the name of the host, its session where it has none. Empty: not known; so in ledgers, the
            coordinator enters it.
        ticket: by which it ran; its fencing token.
        most: the attempt that would be the last, as its task says and by what was spared then. 0: not said.
    """

    attempt: Count
    cause: str
    text: str = ""
    at_ms: Count = 0
    host: str = ""
    ticket: str = ""
    most: Count = 0


#: Every cause that this release enters.
CAUSES = frozenset(
    {"error", "killed", "exited", "oom", "time_limit", "lost", "interrupted", "cancelled", "shutdown", "rejected"}
    | {"corrupt", "unreadable", "unknown_task", "signature", "expired", "purged"}
)
#: Causes after which a message runs alone, so that a poison message harms no neighbour.
FATAL_CAUSES = frozenset({"killed", "exited", "oom", "time_limit", "lost"})


class Failed(Struct, frozen=True, gc=False, array_like=True):
    """The outcome of one message that did not end with ``ok``.

    Attributes:
        kind: ``retry`` (counts an attempt), ``snooze`` (costs none), ``dead``, ``interrupted`` (it had been started, so
            the next start is another attempt; but it is not known to be at fault, so it gets one more attempt), ``unfit``
            (costs none: this host does not know the task, or not one that takes these arguments).
        delay_s: how long to wait before the next attempt.
        token: of an unfit message: ``task@digest``, see `Offer.tasks`; without a digest if the host does not know the
            task. Of a snooze: it was not started since the task is paused, see `s3queue.core.halts`.
    """

    kind: str
    delay_s: Delay = 0.0
    failure: Failure | None = None
    token: str = ""
