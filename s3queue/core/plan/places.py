"""Gives out the places of queues with a limit of running messages.

A **place** lets a host run one message. The board says of each limited ticket how many places it has (`Allowed`); a host
may use those of all its tickets of one queue and key for any of them. So a place stays with its host, and need not wait
for a cycle between two messages, for as long as the host holds messages for it.

Safe, whatever board a host has read: a host's places are never taken from it, except those beyond the number of messages
that it may still start. A place is free once the board has taken over what ran in it. So the places of all tickets, claimed
or not, are never more than the limit under which they were given; a limit that was lowered gives none until enough were
freed, and no further messages for those that are there.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping

from s3queue.core.keys import Source, parse_source
from s3queue.core.plan.hosts import Host, Pool
from s3queue.core.plan.lanes import Lanes
from s3queue.core.plan.planning import Planning
from s3queue.core.plan.rules import MANY, Rules
from s3queue.core.records import Allowed, Part

#: Share of its missing places that a host gets at a time, so that several hosts get about the same.
_SHARE = 4

#: Takes at most so many messages of a batch. None: none can be assigned now.
Take = Callable[[Source, int], tuple[Part, bool] | None]


class Places:
    """Those of one plan.

    Attributes:
        granted: by session, queue and key, how many a session has. left: messages in its tickets of these.
    """

    def __init__(self, planning: Planning) -> None:
        self._planning = planning
        self.granted: dict[tuple[str, str, str], int] = {}
        self.left: dict[tuple[str, str, str], int] = {}
        self._tickets: dict[tuple[str, str, str], list[str]] = {}
        for name, allowed in planning.board.allowed.items():
            before = planning.board.tickets.get(name)
            if before is None:  # a board that was restored lacks it
                continue
            whose = before.session, before.queue, allowed.key
            self.granted[whose] = self.granted.get(whose, 0) + allowed.at_once
            if name in planning.tickets:
                self.left[whose] = self.left.get(whose, 0) + planning.tickets[name].left
                self._tickets.setdefault(whose, []).append(name)
        for whose, many in self.granted.items():
            self.granted[whose] = min(many, self.left.get(whose, 0))

    def of(self, queue: str, rules: Rules) -> QueuePlaces:
        return QueuePlaces(self._planning, self, queue, rules)

    def ticket(self, host: Host, queue: str, key: str | None, parts: tuple[Part, ...]) -> None:
        """Give these messages to a host. None: without a limit."""
        name = self._planning.ticket(host.session, parts)
        if key is not None:
            self._tickets.setdefault((host.session, queue, key), []).append(name)

    def allowed(self) -> dict[str, Allowed]:
        """By ticket, how many places it has."""
        found: dict[str, Allowed] = {}
        for whose, names in self._tickets.items():
            left = self.granted[whose]
            for name in names:
                many = min(left, self._planning.tickets[name].left)
                found[name] = Allowed(whose[2], many)
                left -= many
        return found


class QueuePlaces:
    """Those of one queue.

    Attributes:
        used: how many are used, of all keys.
    """

    def __init__(self, planning: Planning, places: Places, queue: str, rules: Rules) -> None:
        self._planning, self._places, self._queue, self._rules = planning, places, queue, rules
        self.used = 0
        #: By key with a limit of its own.
        self._by_key: dict[str, int] = {}
        self._sessions: dict[str | None, list[str]] = {}
        self._on_host: dict[str, int] = {}
        self._limits_keys = bool(rules.limits.each.max_running or rules.limits.keys)
        for (session, of, key), many in places.granted.items():
            if of == queue and many:
                self.used += many
                self._on_host[session] = self._on_host.get(session, 0) + many
                self._by_key[key] = self._by_key.get(key, 0) + many
                self._sessions.setdefault(key, []).append(session)
        self._count_others()

    def _count_others(self) -> None:
        """Tickets from before there was a limit, or a limit of their keys: all that is in them may run at once."""
        board = self._planning.board
        for name, ticket in self._planning.tickets.items():
            if ticket.queue != self._queue:
                continue
            allowed = board.allowed.get(name)
            if allowed is None:
                self.used += ticket.left
            if self._limits_keys and (allowed is None or not allowed.key):
                for part in ticket.spans(ticket.left_ranges):
                    if key := parse_source(part.source).key:
                        self._by_key[key] = self._by_key.get(key, 0) + part.stop - part.start

    def limited(self, source: Source) -> str | None:
        """Whose limit binds it besides that of the queue: that of its key; "": no other. None: it is bound by none."""
        if source.key and self._rules.most_running(source.key):
            return source.key
        return "" if self._rules.most_running("") else None

    def spare(self, key: str | None) -> int:
        """Places that may be given; below 0 where a limit was lowered."""
        most, of_key = self._rules.most_running(""), self._rules.most_running(key) if key else 0
        spare = most - self.used if most else MANY
        return min(spare, of_key - self._by_key.get(key or "", 0)) if of_key else spare

    # ---- one queue -----------------------------------------------------------------------------------------

    def assign(
        self, lanes: Lanes, pools: list[Pool], take: Take, share: int, is_busy: Callable[[Source], bool]
    ) -> None:
        """Give hosts messages, and places for them."""
        lanes.limited = self.limited
        hosts = {host.session: (host, pool) for pool in pools for host in pool.hosts}
        given: dict[tuple[Host, str | None], list[Part]] = {}
        alone: list[tuple[Host, str | None, Part]] = []
        while (source := lanes.first()) is not None:
            if is_busy(source):
                lanes.drop()
                continue
            key = self.limited(source)
            chosen = self._new_place(pools, key, share) or self._more(hosts, key)
            if chosen is None:
                lanes.closed.add(key)
                continue
            host, pool, most, is_new = chosen
            taken = take(source, min(most, lanes.most))
            if taken is None:
                lanes.drop()
                if is_new:
                    pool.load(host, self._queue, -1)
                continue
            part, is_alone = taken
            many = part.stop - part.start
            if many > is_new:
                pool.load(host, self._queue, many - is_new)
            pool.load(host, self._queue, 0, 1)
            self._grant(host, key, many, is_new)
            if is_alone:
                alone.append((host, key, part))
            else:
                given.setdefault((host, key), []).append(part)
        for (host, key), parts in given.items():
            merged = joined(parts)
            most = self._planning.settings.max_parts
            for first in range(0, len(merged), most):
                self._places.ticket(host, self._queue, key, tuple(merged[first : first + most]))
        for host, key, part in alone:
            self._places.ticket(host, self._queue, key, (part,))

    def _grant(self, host: Host, key: str | None, many: int, is_new: bool) -> None:
        if key is None:
            return
        whose = host.session, self._queue, key
        self._places.left[whose] = self._places.left.get(whose, 0) + many
        before = self._places.granted.get(whose, 0)
        self._places.granted[whose] = before + is_new
        if is_new:
            self.used += 1
            self._on_host[host.session] = self._on_host.get(host.session, 0) + 1
            self._by_key[key] = self._by_key.get(key, 0) + 1
            if not before:
                self._sessions.setdefault(key, []).append(host.session)

    def _new_place(self, pools: list[Pool], key: str | None, share: int) -> tuple[Host, Pool, int, bool] | None:
        """The host with most room, if there is a place. The message that goes there counts as its load."""
        if self.spare(key) < 1:
            return None
        if self._rules.most_running(""):
            return self._new_place_of_few(pools)
        for pool in sorted(pools, key=lambda pool: -pool.idle) if len(pools) > 1 else pools:
            if pool.has_room:
                for host in pool.shares(self._queue, 1, share):
                    if host.ranges < self._planning.settings.max_ranges:
                        return host, pool, 1, True
                    pool.load(host, self._queue, -1)
        return None

    def _new_place_of_few(self, pools: list[Pool]) -> tuple[Host, Pool, int, bool] | None:
        """As `_new_place`, where places are few: a host gets no more of them than it has slots."""
        best: tuple[float, int, Host, Pool] | None = None
        for pool in pools:
            for host in pool.hosts if pool.has_room else ():
                has = self._on_host.get(host.session, 0)
                if has >= host.slots or host.ranges >= self._planning.settings.max_ranges:
                    continue
                if not host.idle and host.room(self._queue) < 1:
                    continue
                if best is None or (has / host.slots, -host.idle) < best[:2]:
                    best = has / host.slots, -host.idle, host, pool
        if best is None:
            return None
        _, _, host, pool = best
        pool.load(host, self._queue, 1)
        return host, pool, 1, True

    def _more(self, hosts: Mapping[str, tuple[Host, Pool]], key: str | None) -> tuple[Host, Pool, int, bool] | None:
        """The host that has least for its places, and lacks something, and how many messages to give it."""
        if key is None or self.spare(key) < 0:
            return None
        best: tuple[float, Host, Pool, int] | None = None
        for session in self._sessions.get(key, ()):
            host, pool = hosts.get(session, (None, None))
            if host is None or pool is None or host.ranges >= self._planning.settings.max_ranges:
                continue
            whose = session, self._queue, key
            places, left = self._places.granted[whose], self._places.left[whose]
            lacks = min(self._enough(host, places) - left, max(host.room(self._queue), host.idle))
            if lacks > 0 and (best is None or left / places < best[0]):
                best = left / places, host, pool, lacks
        if best is None:
            return None
        _, host, pool, lacks = best
        return host, pool, max(1, lacks // _SHARE), False

    def _enough(self, host: Host, places: int) -> int:
        """Messages that keep so many places of a host busy until the next cycles, as `hosts.capacity`."""
        mean_s = host.offers[self._queue].mean_s
        return places if mean_s <= 0 else places + math.ceil(places * self._planning.settings.ticket_target / mean_s)

    def give_one(self, host: Host, pool: Pool, source: Source, take: Take) -> bool:
        """Give a host one message of this batch, if there is a place for it. Returns whether it did."""
        key = self.limited(source)
        if self.spare(key) < 1 or self._rules.left(source) < 1 or (taken := take(source, 1)) is None:
            return False
        pool.load(host, self._queue, 1, 1)
        self._rules.spend(source.key, 1)
        self._grant(host, key, 1, is_new=True)
        self._places.ticket(host, self._queue, key, (taken[0],))
        return True


def joined(parts: Iterable[Part]) -> list[Part]:
    """The same messages, those of one key behind each other, and what lies side by side as one part."""
    by_key: dict[str, list[Part]] = {}
    for part in parts:
        line = by_key.setdefault(parse_source(part.source).key, [])
        before = line[-1] if line else None
        if before is not None and (before.source, before.stop, before.attempt) == (
            part.source,
            part.start,
            part.attempt,
        ):
            line[-1] = Part(part.source, before.start, part.stop, part.attempt)
        else:
            line.append(part)
    return [part for line in by_key.values() for part in line]
