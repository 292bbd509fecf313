"""The bounds of queues in one plan: the seam between the assignment and the rules of queues that have any.

A queue without rules has a plain `Line`, and nothing else is asked here.
"""

from __future__ import annotations

from collections.abc import Mapping

from s3queue.core.keys import parse_source
from s3queue.core.plan import breaker
from s3queue.core.plan.hosts import Host, Pool
from s3queue.core.plan.lanes import Lanes
from s3queue.core.plan.lines import Line
from s3queue.core.plan.places import Places, QueuePlaces
from s3queue.core.plan.planning import Planning
from s3queue.core.plan.rules import rules, still_kept
from s3queue.core.plan.taking import take


class Bounds:
    """
    Args:
        serving: hosts by queue. Queues whose breaker is open are taken out.
        turns: by queue, the key after which its turns begin.
    """

    def __init__(self, planning: Planning, serving: dict[str, list[Pool]], turns: Mapping[str, str]) -> None:
        self._planning = planning
        self.rules = rules(planning, serving, turns)
        self._lanes: dict[str, Lanes] = {}
        self._queues: dict[str, QueuePlaces] = {}
        self._places: Places | None = None
        if planning.board.allowed or self.rules:
            self._places = places = Places(planning)
            limited = {queue: rule for queue, rule in self.rules.items() if rule.limits.limits_running}
            self._queues = {queue: places.of(queue, rule) for queue, rule in limited.items()}
        if planning.fuses or self.rules:
            breaker.judge(planning, self.rules)
            for queue, rule in self.rules.items():
                if rule.held:
                    del serving[queue]

    def line(self, queue: str) -> Line:
        """Where the batches of a queue stand."""
        rule = self.rules.get(queue)
        if rule is None:
            return Line()
        lanes = self._lanes[queue] = Lanes(rule)
        return lanes

    def binds(self, queue: str) -> bool:
        """Whether something says how much of a queue may be assigned."""
        return queue in self._lanes

    def assign(self, queue: str, line: Line, pools: list[Pool], busy: set[tuple[str, str]], share: int) -> bool:
        """Assign messages of a queue with a limit of running messages. False: the queue has none."""
        places = self._queues.get(queue)
        if places is None:
            return False
        assert isinstance(line, Lanes)
        planning = self._planning
        places.assign(
            line,
            pools,
            lambda source, most: take(planning, line, source, busy, most),
            share,
            lambda source: source.group is not None and (queue, source.group) in busy,
        )
        return True

    def give_unfit(
        self, queue: str, line: Line, host: Host, pool: Pool, busy: set[tuple[str, str]], token: str
    ) -> None:
        """Give a host that knows their task one message of these, if the bounds allow it."""
        source, rule = line.first(), self.rules[queue]
        if source is None or rule.left(source) < 1 or not (host.room(queue) or host.idle):
            return
        assert self._places is not None
        places = self._queues.get(queue) or self._places.of(queue, rule)
        places.give_one(host, pool, source, lambda source, most: take(self._planning, line, source, busy, most, token))

    def begin_turns(self, serving: Mapping[str, list[Pool]], busy: set[tuple[str, str]]) -> None:
        """Give each key of a fair queue that has no message out a message on a full host, if that host holds messages of no
        more keys than it has slots. So the key need not wait until the host has reported again."""
        for queue, lanes in self._lanes.items():
            if not lanes.rules.limits.fair or queue in self._queues or not lanes.size:
                continue
            out = self._out(queue)
            lanes.keep_new(set().union(*out.values()))
            hosts = [(host, pool) for pool in serving[queue] for host in pool.hosts]
            while (source := lanes.first()) is not None:
                host, pool = min(hosts, key=lambda one: len(out.get(one[0].session, ())) / one[0].slots)
                keys = out.setdefault(host.session, set())
                if len(keys) > host.slots or host.ranges >= self._planning.settings.max_ranges:
                    break
                taken = take(self._planning, lanes, source, busy, 1)
                if taken is None:
                    lanes.drop()
                    continue
                self._planning.ticket(host.session, (taken[0],))
                pool.load(host, queue, 1, 1)
                keys.add(source.key)
                lanes.passes()

    def _out(self, queue: str) -> dict[str, set[str]]:
        """By session, the keys of a queue that have messages out."""
        keys: dict[str, set[str]] = {}
        for ticket in self._planning.tickets.values():
            if ticket.queue == queue:
                keys.setdefault(ticket.session, set()).update(parse_source(part.source).key for part in ticket.parts)
        return keys

    def enter(self) -> None:
        """Write what was used on the board."""
        planning = self._planning
        for queue, lanes in self._lanes.items():
            lanes.first()  # asks the rates that messages wait for
            if lanes.served is not None and lanes.rules.limits.fair:
                planning.planned.turns[queue] = lanes.served
            if lanes.rules.probes:
                breaker.probing(planning, queue)
        planning.planned.ageing = frozenset(queue for queue, rule in self.rules.items() if rule.limits.ageing_s)
        buckets = {
            queue: kept if queue in self.rules else still_kept(kept, planning.uptime_ms)
            for queue, kept in planning.board.buckets.items()
        }
        for queue, rule in self.rules.items():
            if not rule.held:
                buckets[queue] = rule.buckets()
                if (due_s := rule.due_s()) < _SOON_S:
                    planning.comes([planning.now_ms + int(due_s * 1000) + 1])
        planning.buckets = {queue: kept for queue, kept in buckets.items() if kept}
        if self._places is not None:
            planning.allowed = self._places.allowed()
        if planning.fuses != planning.board.fuses:
            planning.planned.changed = True


#: Seconds ahead beyond which no time is planned for.
_SOON_S = 1e6
