"""How soon the agent looks again: dense while there is work, seldom while there is none, and not more often than pays.

A cycle of the coordinator costs about three write-class requests; at ``rate`` messages per second that is
``3 / (rate * interval)`` of them per message. Keeping it below ``overhead`` gives the interval under load. A few cycles may
be closer together than that, so that a message that comes to an idle queue waits for nothing but the store.
Stores whose requests cost nothing are not paced; they are only kept from being asked by two agents in turn without pause.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import NamedTuple, Protocol

from s3queue.store import Capabilities


class PaceSettings(Protocol):
    """The settings that decide it, as `s3queue.config.Config` has them."""

    @property
    def pacing(self) -> str: ...
    @property
    def overhead(self) -> float: ...
    @property
    def ack_interval(self) -> float | None: ...
    @property
    def leader_lease(self) -> float: ...
    @property
    def visibility_timeout(self) -> float: ...


class Preset(NamedTuple):
    """Seconds.

    Attributes:
        floor_s: between two cycles, or two flushes, at any rate of work.
        busy_s: between two looks while tickets are out.
        idle_s: between two looks when nothing has happened for long.
        ack_s: that an outcome waits for others to be stored with, unless ``ack_interval`` says otherwise.
    """

    floor_s: float
    busy_s: float
    idle_s: float
    ack_s: float


#: ``balanced`` idles as seldom as ten hosts at $0.60 a day on S3 allow, of which their signs of life take $0.52.
PRESETS = {
    "latency": Preset(0.02, 0.1, 1.0, 0.2),
    "balanced": Preset(0.04, 0.5, 13.0, 2.0),
    "frugal": Preset(0.2, 2.0, 15.0, 5.0),
}
#: For stores without a price.
_FREE = Preset(0.002, 0.05, 0.5, 0.2)
#: A store that takes one write of a key in so many seconds counts from when it took the one before, not from when that was
#: sent: a little more than that, or every other write is refused and sent twice.
_REWRITE = 1.1
#: Half-life of the measured rate, in seconds.
_HALF_LIFE_S = 2.0
#: Where a write has a price, the least time between two urgent ones of a ledger in the long run, in seconds.
_URGENT_S = 0.2
#: Urgent ledger writes in a row that are not paced, and cycles.
_BURST = 5.0
#: Write-class requests of a cycle under load: one listing up to where a queue's backlog is cut off and one beyond it, and
#: the board. A page of retired ids in some of them comes on top.
_CYCLE_WRITES = 3.0
#: Messages among which a write of the ledger is shared out to nothing: each is in two, its claim and its report, and pays
#: 0.4 % of a write.
_MANY = 500
#: Share of the time since the last change that may pass until the next poll while there is work.
_QUIET_SHARE = 0.1
#: `Pace.worked` hears of each message twice: when it is assigned, and when it is settled.
_PASSES = 2.0


def _preset(config: PaceSettings, capabilities: Capabilities) -> Preset:
    return PRESETS[config.pacing] if capabilities.requests_cost else _FREE


def ack_s(config: PaceSettings, capabilities: Capabilities) -> float:
    """How long an outcome may wait before it is stored, in seconds."""
    wanted = config.ack_interval
    if wanted is None:
        # What a host holds back must not make it look dead, however short that time is.
        wanted = min(_preset(config, capabilities).ack_s, config.visibility_timeout / 4)
    return max(wanted, _floor_s(config, capabilities))


def _floor_s(config: PaceSettings, capabilities: Capabilities) -> float:
    return max(_preset(config, capabilities).floor_s, capabilities.min_rewrite_s * _REWRITE)


class Unstored(NamedTuple):
    """What a host's ledger does not say yet.

    Attributes:
        claims: messages of tickets that it does not claim.
        done: messages that ended since it was written.
        left: messages that it claims and that have not ended.
        slots: of the host.
        awaited: whether something waits for an outcome in it, or for the host to leave.
    """

    claims: int = 0
    done: int = 0
    left: int = 1
    slots: int = 1
    awaited: bool = False

    def needs(self, *, paced: bool) -> float | None:
        """Whether it is worth a write at once: the credit that has to be there for that. None: it waits for company.

        Where a write has a price, a claim need not be stored before there is a slot that could run it soon: the coordinator
        puts more before a host than it needs until the next write. Of what is saved, some is kept for claims.
        """
        soon = self.awaited or self.claims or self.left == 0 or self.done >= max(self.slots, self.left // 3)
        if not soon:
            return None
        if not paced or self.claims + self.done >= _MANY:
            return 0.0
        out_of_work = self.left == 0 and self.done >= self.slots
        if self.awaited or out_of_work or (self.claims and self.left < 2 * self.slots):
            return 1.0
        return _BURST / 2 if self.left == 0 and self.done else None


class Pace:
    """Decides when to do the next cycle, flush and look.

    All times are seconds of one steady clock.
    """

    def __init__(self, config: PaceSettings, capabilities: Capabilities) -> None:
        preset = _preset(config, capabilities)
        # One look in each lease, or a silent leader is not noticed. GCS and R2 take one write a second of one key.
        self.idle_s = min(preset.idle_s, config.leader_lease)
        self.floor_s = _floor_s(config, capabilities)
        self.busy_s = max(preset.busy_s, self.floor_s)
        self._paced = capabilities.requests_cost
        self._overhead = config.overhead
        self._ack_s = ack_s(config, capabilities)
        self._urgent_s = min(self._ack_s, _URGENT_S)
        self._passes = 0.0
        self._worked_at = 0.0
        self._cycles = _BURST
        self._asked_at = 0.0
        self._idle_for = 0
        self._changed_at: float | None = None
        self._credit = _BURST
        self._flushed_at = float("-inf")

    # ---- cycles --------------------------------------------------------------------------------------------

    def worked(self, messages: int, now: float) -> None:
        """A cycle has ended, in which so many messages were assigned, and were settled."""
        self._passes = self._decayed(now) + messages * math.log(2) / _HALF_LIFE_S
        self._worked_at = now

    def rate(self, now: float) -> float:
        """Messages per second, lately."""
        return self._decayed(now) / _PASSES

    def asked(self, now: float) -> None:
        """A cycle begins that somebody asked for. Only those use up what was saved: if looks that nobody asks for did,
        too, nothing would ever be saved between two messages that come a second apart, and each would wait."""
        self._cycles, self._asked_at = self._saved(now, self._paced_gap_s(now)) - 1.0, now

    def gap_s(self, now: float) -> float:
        """The least time from one cycle to the next that somebody asks for."""
        if not self._paced:
            return self.floor_s
        gap = self._paced_gap_s(now)
        return self.floor_s if self._saved(now, gap) >= 1.0 else gap

    def _saved(self, now: float, gap: float) -> float:
        """Cycles that may be closer together than ``gap``."""
        return min(_BURST, self._cycles + (now - self._asked_at) / gap)

    def _paced_gap_s(self, now: float) -> float:
        """The time between two cycles that keeps their requests below ``overhead`` for each message."""
        rate = self.rate(now)
        return min(self.busy_s, max(self.floor_s, _CYCLE_WRITES / (self._overhead * rate))) if rate > 0 else self.busy_s

    def _decayed(self, now: float) -> float:
        return self._passes * math.exp2((self._worked_at - now) / _HALF_LIFE_S)

    # ---- polls ---------------------------------------------------------------------------------------------

    def poll_s(self, *, busy: bool, changed: bool = True, now: float = 0.0) -> float:
        """Seconds to the next poll that nobody asks for.

        While there is work: ``busy_s``, and once nothing has changed for long, a tenth of the time since it did, so that a
        task of an hour is not polled for at full rate. While there is none: it doubles from poll to poll. Never more than
        ``idle_s``.

        Args:
            busy: there are tickets, or sources that are not finished.
            changed: the last poll found something new.
            now: steady time.
        """
        if busy:
            self._idle_for = 0
            if changed or self._changed_at is None:
                self._changed_at = now
            quiet_s = (now - self._changed_at) * _QUIET_SHARE
            return float(min(max(self.busy_s, quiet_s), max(self.idle_s, self.busy_s)))
        self._changed_at = None
        self._idle_for = min(self._idle_for + 1, 16)
        return float(min(self.idle_s, self.busy_s * 2 ** (self._idle_for - 1)))

    # ---- flushes -------------------------------------------------------------------------------------------

    def not_before(self, at: float) -> float:
        """That time, or when the ledger may be written again at the earliest."""
        return max(at, self._flushed_at + self.floor_s)

    def flushed(self, now: float) -> None:
        """A ledger is being written."""
        saved = min(_BURST, self._credit + max(0.0, now - self._flushed_at) / self._urgent_s)
        self._credit = max(0.0, saved - 1.0)  # those that carried many messages were not to be paid from it
        self._flushed_at = now

    def flush_at(self, unstored: Unstored, since: float | None = None) -> float:
        """When the ledger may be written next.

        Args:
            since: when the first of it came about. On a store with a price that waits for company.
        """
        later = self._flushed_at if since is None or not self._paced else max(self._flushed_at, since)
        later += self._ack_s
        needed = unstored.needs(paced=self._paced)
        if needed is None:
            return later
        return min(later, self._flushed_at + max(self.floor_s, (needed - self._credit) * self._urgent_s))


class Backoff:
    """Exponential pauses after errors that persist; the first try after a success is free.

    Args:
        first_s, longest_s: seconds of the first pause and of the longest.
    """

    def __init__(self, first_s: float = 0.1, longest_s: float = 30.0) -> None:
        self._first_s, self._longest_s = first_s, longest_s
        self._failures = 0

    def failed(self) -> float:
        """Seconds until the next try."""
        pause = min(self._longest_s, self._first_s * 2.0 ** min(self._failures, 30))
        self._failures += 1
        return pause

    def worked(self) -> None:
        self._failures = 0


class Backoffs:
    """One `Backoff` for each object that cannot be read or written now: the others go on without it.

    Args:
        first_s, longest_s: as in `Backoff`.
    """

    def __init__(self, first_s: float = 1.0, longest_s: float = 300.0) -> None:
        self._first_s, self._longest_s = first_s, longest_s
        self._of: dict[str, tuple[Backoff, float]] = {}

    def failed(self, key: str, now: float) -> None:
        backoff, _ = self._of.get(key) or (Backoff(self._first_s, self._longest_s), 0.0)
        self._of[key] = backoff, now + backoff.failed()

    def worked(self, key: str) -> None:
        self._of.pop(key, None)

    def is_due(self, key: str, now: float) -> bool:
        held = self._of.get(key)
        return held is None or held[1] <= now

    def next_at(self, now: float) -> float:
        """Steady time at which the next object may be tried again; infinity where none waits."""
        return min((at for _, at in self._of.values() if at > now), default=math.inf)

    def keep(self, keys: Iterable[str]) -> None:
        """Forget all objects but these."""
        for key in self._of.keys() - set(keys):
            del self._of[key]

    def __contains__(self, key: str) -> bool:
        return key in self._of

    def __len__(self) -> int:
        return len(self._of)
