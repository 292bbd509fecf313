"""When a host writes its ledger: what that does not say yet, since when, and who waits for it.

At once, as far as the store takes it: a claim that a slot could run, a failure, what is given back, a message of a group,
what runs once more, a drain, a write that was not answered. Everything else, where a write has a price, waits for company,
at most `s3queue.core.pacing.ack_s`: the coordinator puts so much more before a host that its slots do not notice.
"""

from __future__ import annotations

from collections.abc import Iterable

from s3queue.core.ledger import Host
from s3queue.core.pacing import Pace, Unstored


class Flushes:
    """All times are seconds of one steady clock.

    Attributes:
        left: messages that the ledger claims and that had not ended when it was drafted.
    """

    def __init__(self, host: Host, pace: Pace, visibility_timeout: float) -> None:
        self._host, self._pace = host, pace
        self._beat_s = visibility_timeout / 3
        self._since: float | None = None
        self._awaited = 0
        self.left = 0

    def next_at(self, left: int, now: float) -> float:
        """When to write next.

        Args:
            left: messages that the ledger claims and that have not ended.
        """
        host, pace = self._host, self._pace
        if self._since is None and host.has_news:
            self._since = now
        at = float("-inf") if host.trusted_from is None else host.trusted_from + self._beat_s
        if host.pending is not None or host.has_news:
            at = min(at, pace.flush_at(self._unstored(left), self._since))
        return pace.not_before(at)

    def _unstored(self, left: int) -> Unstored:
        host = self._host
        claims = host.stored.claims if host.stored is not None else ()
        unclaimed = [held.ticket for name, held in host.tickets.items() if name not in claims]
        return Unstored(
            claims=sum(ticket.left for ticket in unclaimed),
            done=self.left - left,
            left=left,
            slots=host.slots,
            awaited=host.leaving
            or host.draining
            or host.pending is not None
            or host.awaited > self._awaited
            or any(ticket.parts[0].attempt > 1 for ticket in unclaimed),  # it runs before all that waits here
        )

    def begins(self, left: int, now: float) -> None:
        """The ledger is about to be written. One that was sent and not answered is sent again as it was: what has come
        about since is not in it."""
        self._pace.flushed(now)
        if self._host.pending is None:
            self._since, self.left, self._awaited = None, left, self._host.awaited

    def stored(self, claimed: Iterable[str]) -> None:
        """It was, and claims these tickets now."""
        self.left += sum(self._host.tickets[name].ticket.left for name in claimed)
