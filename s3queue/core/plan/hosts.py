"""The living hosts while tickets are assigned: one by one, and in pools of hosts that serve the same queues.

A plan works on pools, and takes the hosts with most room from a heap. So its cost grows with queues plus hosts plus
messages, not with queues times hosts.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from heapq import heapify, heappop, heappush
from itertools import count

from s3queue.core.plan.settings import Settings
from s3queue.core.records import Ledger, Offer

#: Weight of an idle slot of a dozing host that has just written: below that of any host that is awake.
_DOZING = 0.5
#: Share of a host's time below which it counts as full.
_NOTHING = 1e-9
#: Hosts tried in a row, those with most room first, before a pool counts as full.
_TRIES = 8
#: Hosts whose measurements give the mean time of a queue's messages.
_ASKED = 8


class Host:
    """One living session: its slots, and how much of its time is taken.

    Attributes:
        ranges: in its tickets. held: by queue, messages in its tickets.
        used: share of its time that is taken; 1.0: full.
        weight: of an idle slot. A dozing host may be dead, and takes a poll to wake: it is given one message, after all
            awake ones, those first that wrote last.

    Args:
        quiet_s: seconds since its last write, if it is dozing.
    """

    __slots__ = ("_capacities", "_out", "_settings", "held", "offers", "ranges", "session", "slots", "used", "weight")

    def __init__(self, ledger: Ledger, settings: Settings, quiet_s: float = 0.0) -> None:
        self.session, self.slots, self.offers = ledger.session, ledger.slots, ledger.offers
        self.weight = 1.0
        if ledger.dozing is not None:
            self.slots, self.weight = min(1, ledger.slots), _DOZING / (1.0 + quiet_s)
        self.ranges, self.used, self.held = 0, 0.0, dict[str, int]()
        self._settings, self._out, self._capacities = settings, 0, dict[str, int]()

    def capacity(self, queue: str) -> int:
        known = self._capacities.get(queue)
        if known is None:
            offer = self.offers.get(queue)
            measured_s = offer.mean_s if offer is not None and self.weight == 1.0 else 0.0
            batch = offer.batch if offer is not None and self.weight == 1.0 else 0
            known = capacity(self.slots, measured_s, self._settings, batch)
            self._capacities[queue] = known
        return known

    def load(self, queue: str, many: int, ranges: int) -> None:
        self.ranges += ranges
        self._out += many
        self.held[queue] = self.held.get(queue, 0) + many
        self.used += many / self.capacity(queue)

    @property
    def idle(self) -> int:
        """Slots without an assigned message."""
        return max(0, self.slots - self._out)

    @property
    def free(self) -> float:
        """Free time, in slots."""
        return self.slots * max(0.0, 1.0 - self.used)

    def room(self, queue: str, share: int = 1, given: int = 0) -> int:
        """How many more messages of the queue to give it, if ``share`` queues divide the time that was free before it was
        given ``given`` messages."""
        capacity = self.capacity(queue)
        return math.floor(capacity * max(0.0, 1.0 - self.used + given / capacity) / share + _NOTHING) - given


class Pool:
    """Hosts that serve the same queues.

    Attributes:
        idle: slots of all of them that nothing is assigned to. free: slots' worth of time that is not spoken for.
        spare: message ranges that they may still be given.
    """

    def __init__(self, hosts: list[Host], settings: Settings) -> None:
        self.hosts, self._settings = hosts, settings
        self.idle = sum(host.idle for host in hosts)
        self.free = sum(host.free for host in hosts)
        self.spare = sum(max(0, settings.max_ranges - host.ranges) for host in hosts)
        self._by_idle = _Top(hosts, lambda host: host.idle * host.weight)
        self._by_free = _Top(hosts, lambda host: host.free)

    @property
    def queues(self) -> Mapping[str, Offer]:
        return self.hosts[0].offers

    @property
    def has_room(self) -> bool:
        return (self.idle > 0 or self.free > _NOTHING) and self.spare > 0

    def bounds(self, queue: str, share: int) -> tuple[int, int]:
        """Idle slots, and how many more messages, if so many queues divide what is free."""
        idle = math.ceil(self.idle / share)
        return idle, max(idle, self.room(queue) // share, 1)

    def room(self, queue: str) -> int:
        """About how many more messages of the queue all of them could be given, one by one."""
        means = [host.offers[queue].mean_s for host in self.hosts[:_ASKED]]
        known = [mean_s for mean_s in means if mean_s > 0]
        depth = 1.0 + (self._settings.ticket_target * len(known) / sum(known) if known else 0.0)
        return min(max(self.idle, math.floor(self.free * depth + _NOTHING)), self.spare)

    def load(self, host: Host, queue: str, many: int, ranges: int = 0) -> None:
        idle, free, spare = host.idle, host.free, max(0, self._settings.max_ranges - host.ranges)
        host.load(queue, many, ranges)
        self.idle += host.idle - idle
        self.free += host.free - free
        self.spare += max(0, self._settings.max_ranges - host.ranges) - spare
        if many < 0:
            self._by_idle.push(host)
            self._by_free.push(host)

    def shares(self, queue: str, total: int, share: int) -> dict[Host, int]:
        """Divide messages of a queue among the hosts: idle slots first, then in proportion to what is free.

        A queue of which a host holds nothing gets a message there as long as anything is free, however small its share
        is. Otherwise queues of short tasks could take what is freed, bit by bit, for ever.

        Args:
            share: queues that divide what is free.

        Returns:
            By host, how many. They count as its load already.
        """
        given: dict[Host, int] = {}

        def give(host: Host, many: int) -> None:
            given[host] = given.get(host, 0) + many
            self.load(host, queue, many)

        for _ in range(min(total, math.ceil(self.idle / share))):
            host = self._by_idle.first()
            if host is None:
                break
            give(host, 1)
        left, tries = total - sum(given.values()), 0
        asked: list[Host] = []
        weight = self.free
        while left > 0 and tries < _TRIES and (host := self._by_free.take()) is not None:
            asked.append(host)
            room = host.room(queue, share, given.get(host, 0))
            if room < 1 and not host.held.get(queue):
                room = 1
            if room < 1:
                tries += 1
                continue
            many = min(room, left, max(1, math.ceil(total * host.free / weight)))
            give(host, many)
            left -= many
        for host in asked:
            self._by_free.push(host)
        return given


class _Top:
    """The host with the greatest value. An outdated value is corrected when its entry comes up."""

    def __init__(self, hosts: Iterable[Host], value: Callable[[Host], float]) -> None:
        self._value = value
        self._numbers = count()
        self._heap = [(-size, next(self._numbers), host) for host in hosts if (size := value(host)) > _NOTHING]
        heapify(self._heap)

    def push(self, host: Host) -> None:
        if (size := self._value(host)) > _NOTHING:
            heappush(self._heap, (-size, next(self._numbers), host))

    def first(self) -> Host | None:
        """It stays."""
        host = self.take()
        if host is not None:
            self.push(host)
        return host

    def take(self) -> Host | None:
        while self._heap:
            size, _, host = heappop(self._heap)
            if -size == self._value(host):
                return host
            if -size > self._value(host):
                self.push(host)
        return None


def capacity(slots: int, mean_s: float, settings: Settings, batch: int = 0) -> int:
    """How many messages a host may hold: one for each slot, and about ``ticket_target`` seconds of work behind them.

    One for each slot while nothing was measured: the first messages of a queue are its measurement. Where a slot takes up
    to ``batch`` messages at once, as many for each slot, and as many behind them.
    """
    most = max(slots, settings.max_out)
    if batch:
        whole = min(most, slots * batch)
        return whole if mean_s <= 0 else max(min(most, 2 * whole), capacity(slots, mean_s, settings))
    if mean_s <= 0:
        return slots
    work = slots * settings.ticket_target
    return min(most, slots + math.ceil(work / mean_s)) if work < mean_s * most else most
