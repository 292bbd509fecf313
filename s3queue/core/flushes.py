"""When a host writes its ledger: the unstored changes, how old they are, and whether something waits for them.

These are written at once, as fast as the store allows: a claim that a slot could run, a failure, messages given back, a
message of a group, a message with an earlier attempt, a drain, an unanswered write. On billed stores all other changes are
batched for at most `s3queue.core.pacing.ack_s`. Slots stay busy meanwhile: the coordinator assigns that much more work.
"""

from __future__ import annotations

from collections.abc import Iterable

from s3queue.core.ledger import Host
from s3queue.core.pacing import Pace, Unstored

#: Visibility timeouts without any work after which a host dozes.
DOZE_AFTER = 2


class Flushes:
    """All times are seconds of one steady clock.

    Attributes:
        left: messages that the ledger claims and that had not ended when it was drafted.
    """

    def __init__(self, host: Host, pace: Pace, visibility_timeout: float) -> None:
        self._host, self._pace = host, pace
        self._beat_s, self._doze_after_s = visibility_timeout / 3, visibility_timeout * DOZE_AFTER
        self._since: float | None = None
        self._idle_since: float | None = None
        self._awaited = 0
        self.left = 0

    def next_at(self, left: int, now: float) -> float:
        """Steady time of the next write.

        Args:
            left: messages that the ledger claims and that have not ended.
        """
        host, pace = self._host, self._pace
        if self._since is None and host.has_news:
            self._since = now
        at = float("-inf") if host.trusted_from is None else host.trusted_from + self._write_s
        if host.pending is not None or host.has_news:
            at = min(at, pace.flush_at(self._unstored(left), self._since))
        return pace.not_before(at)

    @property
    def _write_s(self) -> float:
        """Seconds between two writes without news."""
        stored = self._host.stored
        return self._beat_s if stored is None or stored.dozing is None else stored.dozing.write_s

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
            or any(ticket.parts[0].attempt > 1 for ticket in unclaimed),  # runs before all others that wait here
        )

    def begins(self, left: int, now: float) -> None:
        """The ledger is about to be written. An unanswered ledger is sent again unchanged, without later changes."""
        host = self._host
        self._pace.flushed(now)
        if host.pending is None:
            self._since, self.left, self._awaited = None, left, host.awaited
            if host.tickets or left or host.draining or host.leaving:
                self._idle_since, host.dozing = None, None
            elif self._idle_since is None:
                self._idle_since = now
            elif now - self._idle_since >= self._doze_after_s:
                host.dozing = self._pace.dozing

    def stored(self, claimed: Iterable[str]) -> None:
        """The write is done, and newly claims these tickets."""
        self.left += sum(self._host.tickets[name].ticket.left for name in claimed)
