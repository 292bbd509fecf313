"""Schedules: their times, and the last tick of each."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta, Struct

from s3queue.core.records.format import Count

#: Revision of a schedule's task and payload: random, never used twice for one name.
Revision = Annotated[int, Meta(ge=1, lt=10**10)]
#: Which ticks run that passed without a coordinator: the last one, all, or none.
CATCH_UP = ("last", "all", "none")


class Schedule(Struct, frozen=True, omit_defaults=True):
    """One schedule, as `Control.schedules` names it. Either ``cron`` or ``every_s``.

    Attributes:
        revision: which object holds its task and payload. An edit is a new revision.
        queue, priority, task: of its messages; ``task`` is for people, its object says what runs.
        cron, tz: expression and time zone.
        every_s: whole seconds; it ticks at the multiples of them since 1970.
        catch_up: one of `CATCH_UP`.
        paused_ms: None: it ticks; 0: not until it is resumed; else: not until then (wall clock in milliseconds).
        from_ms: ticks up to then do not count.
        since_ms: with a new revision, the last tick from which it goes on, also where an earlier one has come further. 0:
            from that of the revision before, and where there was none, from now.
        digest: of what the code declares; "" where an operator set it.
    """

    revision: Revision
    queue: str
    task: str = ""
    priority: Annotated[int, Meta(ge=0, le=9)] = 5
    cron: str = ""
    every_s: Count = 0
    tz: str = "UTC"
    catch_up: str = "last"
    paused_ms: Count | None = None
    from_ms: Count = 0
    since_ms: Count = 0
    digest: str = ""

    @property
    def is_known(self) -> bool:
        """Whether this release can tell when it ticks. One of a newer release may tick otherwise: it stays in the
        control, and ticks again under a leader that knows it."""
        return bool(self.cron) != bool(self.every_s) and self.catch_up in CATCH_UP

    def is_paused(self, now_ms: int) -> bool:
        return self.paused_ms is not None and (self.paused_ms == 0 or now_ms < self.paused_ms)


class Ticked(Struct, frozen=True, gc=False, array_like=True):
    """How far one schedule has come, on the board.

    Attributes:
        revision: of its ticks.
        last_ms: its last tick, admitted or passed over: none up to then is admitted any more.
        gone_ms: since when no control names it (wall clock); 0: one does.
        old: earlier revisions, whose objects are not known to be deleted.
        ran_ms: the last tick that was admitted, of any revision, for people; 0: none.
    """

    revision: Revision
    last_ms: Count
    gone_ms: Count = 0
    old: tuple[Revision, ...] = ()
    ran_ms: Count = 0
