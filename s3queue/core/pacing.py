"""When the agent polls, runs cycles and writes its ledger: often while there is work, rarely while idle.

A cycle of the coordinator costs about three write-class requests. At ``rate`` messages per second that is
``3 / (rate * interval)`` per message; keeping this below ``overhead`` gives the interval under load. A burst of a few
cycles may be closer together, so that a message to an idle queue waits only for the store. Stores that are not billed are
not paced. They only have a minimum pause, or two agents would poll them in turn without end.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import NamedTuple, Protocol

from s3queue.core.records import Dozing
from s3queue.store import Capabilities


class PaceSettings(Protocol):
    """The settings that pacing depends on, as in `s3queue.config.Config`."""

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
    @property
    def doze_interval(self) -> float: ...


class Preset(NamedTuple):
    """Intervals in seconds.

    Attributes:
        floor_s: minimum between two cycles, or two flushes.
        busy_s: between two polls while there are tickets.
        idle_s: between two polls after a long time without changes.
        ack_s: for which outcomes are batched, unless ``ack_interval`` is set.
    """

    floor_s: float
    busy_s: float
    idle_s: float
    ack_s: float


#: Intervals by preset. ``balanced`` keeps ten idle hosts at $0.24 a day on S3, and a message from another machine waits
#: at most two idle polls.
PRESETS = {
    "latency": Preset(0.02, 0.1, 1.0, 0.2),
    "balanced": Preset(0.04, 0.5, 3.6, 2.0),
    "frugal": Preset(0.2, 2.0, 15.0, 5.0),
}
#: Intervals for stores that are not billed.
_FREE = Preset(0.002, 0.05, 0.5, 0.2)
#: Factor on the store's ``min_rewrite_s``. The store counts from the arrival of the previous write; without this margin
#: every other write would be refused and sent twice.
_REWRITE = 1.1
#: Seconds: half-life of the measured rate.
_HALF_LIFE_S = 2.0
#: Seconds between two urgent writes of a ledger on a billed store, on average.
_URGENT_S = 0.2
#: Urgent ledger writes in a row, and cycles in a row, that are not paced.
_BURST = 5.0
#: Write-class requests of a cycle under load: two listings (before and behind the backlog of a queue) and the board. Some
#: cycles also write a page of retired ids.
_CYCLE_WRITES = 3.0
#: Messages in one write of the ledger that make its cost negligible: each message is in two writes (claim and report) and
#: causes 0.4 % of a write.
_MANY = 500
#: Share of the time since the last change: the longest pause until the next poll while there is work.
_QUIET_SHARE = 0.1
#: Calls of `Pace.worked` per message: when it is assigned, and when it is settled.
_PASSES = 2.0


def _preset(config: PaceSettings, capabilities: Capabilities) -> Preset:
    return PRESETS[config.pacing] if capabilities.requests_cost else _FREE


def ack_s(config: PaceSettings, capabilities: Capabilities) -> float:
    """Seconds for which outcomes are batched before they are stored."""
    wanted = config.ack_interval
    if wanted is None:
        # Batching must not make a host look dead, however short its visibility timeout.
        wanted = min(_preset(config, capabilities).ack_s, config.visibility_timeout / 4)
    return max(wanted, _floor_s(config, capabilities))


def _floor_s(config: PaceSettings, capabilities: Capabilities) -> float:
    return max(_preset(config, capabilities).floor_s, capabilities.min_rewrite_s * _REWRITE)


class Unstored(NamedTuple):
    """Changes of a host that its stored ledger lacks.

    Attributes:
        claims: messages of tickets that are not claimed yet.
        done: messages that ended since the last write.
        left: claimed messages that have not ended.
        slots: of the host.
        awaited: something waits for one of the outcomes, or for the host to leave.
    """

    claims: int = 0
    done: int = 0
    left: int = 1
    slots: int = 1
    awaited: bool = False

    def needs(self, *, paced: bool) -> float | None:
        """The credit that a write at once needs. None: no such write; the changes are batched.

        On billed stores a claim is stored at once only if a slot could run it soon: the coordinator assigns a host more
        than it needs until the next write. Part of the credit is kept for claims.
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
    """Decides when to run the next cycle, flush and poll.

    All times are seconds of one steady clock.
    """

    def __init__(self, config: PaceSettings, capabilities: Capabilities) -> None:
        preset = _preset(config, capabilities)
        # At least one poll in each lease, or a silent leader goes unnoticed. GCS and R2 take one write per second and key.
        self.idle_s = min(preset.idle_s, config.leader_lease)
        self.floor_s = _floor_s(config, capabilities)
        self.busy_s = max(preset.busy_s, self.floor_s)
        self._paced = capabilities.requests_cost
        #: How rarely a host writes that has held nothing for a while. None: as any other: it costs nothing, or it must not.
        self.dozing: Dozing | None = None
        if self._paced and config.doze_interval > config.visibility_timeout / 3:
            self.dozing = Dozing(config.doze_interval, self.idle_s)
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
        """A cycle has ended that assigned and settled this many messages."""
        self._passes = self._decayed(now) + messages * math.log(2) / _HALF_LIFE_S
        self._worked_at = now

    def rate(self, now: float) -> float:
        """Messages per second, averaged over the last seconds."""
        return self._decayed(now) / _PASSES

    def asked(self, now: float) -> None:
        """A requested cycle begins. Only requested cycles use up the burst. If regular polls did too, there would be no
        burst left between two messages that come a second apart, and each message would wait."""
        self._cycles, self._asked_at = self._saved(now, self._paced_gap_s(now)) - 1.0, now

    def gap_s(self, now: float) -> float:
        """Minimum seconds from one cycle to the next requested one."""
        if not self._paced:
            return self.floor_s
        gap = self._paced_gap_s(now)
        return self.floor_s if self._saved(now, gap) >= 1.0 else gap

    def _saved(self, now: float, gap: float) -> float:
        """Cycles left in the burst: they may be closer together than ``gap``."""
        return min(_BURST, self._cycles + (now - self._asked_at) / gap)

    def _paced_gap_s(self, now: float) -> float:
        """Seconds between two cycles that keep their requests below ``overhead`` per message."""
        rate = self.rate(now)
        return min(self.busy_s, max(self.floor_s, _CYCLE_WRITES / (self._overhead * rate))) if rate > 0 else self.busy_s

    def _decayed(self, now: float) -> float:
        return self._passes * math.exp2((self._worked_at - now) / _HALF_LIFE_S)

    # ---- polls ---------------------------------------------------------------------------------------------

    def poll_s(self, *, busy: bool, changed: bool = True, now: float = 0.0) -> float:
        """Seconds to the next regular poll; at most ``idle_s``.

        While there is work: ``busy_s``, or a tenth of the time since the last change if that is longer, so that an
        hour-long task is not polled for at full rate. While idle: doubles from poll to poll.

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
        """That time, or the earliest time at which the ledger may be written again."""
        return max(at, self._flushed_at + self.floor_s)

    def flushed(self, now: float) -> None:
        """A ledger is being written."""
        saved = min(_BURST, self._credit + max(0.0, now - self._flushed_at) / self._urgent_s)
        self._credit = max(0.0, saved - 1.0)  # writes with many messages need no credit
        self._flushed_at = now

    def flush_at(self, unstored: Unstored, since: float | None = None) -> float:
        """When the ledger may be written next.

        Args:
            since: time of the first unstored change. On billed stores the batch is counted from there.
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
    """One `Backoff` for each object that cannot be read or written now; the others are not delayed.

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
