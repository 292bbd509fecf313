"""What the coordinator decides: a pure function of board, survey, time and settings.

In this order: take over what hosts report, and the tickets of sessions that are over; drop sources whose retirement is on
record; let waiting messages become ready; assign what is ready, and batches not seen before, to hosts with room. A batch
is admitted to the board by its first assignment, and never while its id is in the deduplication window.

The order of messages, their priority, groups and the shares of queues are decided here, by the only writer that sees
everything.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from operator import attrgetter
from typing import NamedTuple

from msgspec.structs import replace

from s3queue.core import ranges
from s3queue.core.keys import Source, parse_source, ticket_id
from s3queue.core.records import Board, Failed, Failure, Ledger, Offer, Part, Report, SourceState, Ticket, Totals
from s3queue.core.settle import Draft

#: Fractional part of the golden ratio: its multiples spread evenly over [0, 1), and so do those of any multiple of it.
_GOLDEN = 0.6180339887498949

_rank = attrgetter("rank")


class Settings(NamedTuple):
    """What a plan depends on besides what it sees.

    Attributes:
        visibility_timeout: seconds of silence after which a session is fenced.
        leader_lease: seconds after which a silent leader may be replaced.
        ticket_target: how many seconds of work to put before a slot.
        ack_s: how long an outcome waits in its host at most, in seconds, before it is stored.
        window_s: for how long the id of a finished source is kept. ``dedup_window`` counts from the producer's last try,
            which it may make ``enqueue_deadline`` after the first, so this is the sum of both.
        max_parked: with more messages of a queue waiting for a retry, no new batches of it are started.
        max_attempts: for tickets of sessions that left no word about it.
        max_out: the most messages in the tickets of one host. max_ranges: the most message ranges in them: one for each
            one-message object, so this bounds the board, and that what a host that dies leaves behind.
        max_parts: the most message ranges in one ticket. A host with more room gets another one in the same cycle.
    """

    visibility_timeout: float = 30.0
    leader_lease: float = 15.0
    ticket_target: float = 1.0
    ack_s: float = 0.2
    window_s: float = 1260.0
    max_parked: int = 1000
    max_attempts: int = 3
    max_out: int = 10_000
    max_ranges: int = 4000
    max_parts: int = 500


class Settled(NamedTuple):
    """Messages whose outcome this plan decides: ``done`` or ``dead``."""

    ticket: str
    source: str
    start: int
    stop: int
    attempt: int
    outcome: str


@dataclass
class Planned:
    """The board to commit, and what follows from it.

    Attributes:
        changed: whether the board differs from the one the plan was made from.
        settled: for the history.
        ended: sessions whose ledgers said that they are over.
        refused: paths of listed batches that were finished before: late requests of producers. Delete them.
        assigned: how many messages were put into tickets.
        room: by queue, how many more messages the hosts could have been given, one by one.
        next_due_ms: when the next waiting message is due; None where none waits.
    """

    board: Board
    changed: bool = False
    settled: list[Settled] = field(default_factory=list)
    ended: frozenset[str] = frozenset()
    refused: list[str] = field(default_factory=list)
    assigned: int = 0
    room: dict[str, int] = field(default_factory=dict)
    next_due_ms: int | None = None


def is_finished(path: str, state: SourceState) -> bool:
    return state.settled == parse_source(path).count


def plan(
    board: Board,
    ledgers: Mapping[str, Ledger],
    sources: Iterable[Source],
    *,
    now_ms: int,
    settings: Settings,
    window: Collection[str] = (),
    buried: Collection[tuple[str, int]] = (),
    retired: Collection[str] = (),
) -> Planned:
    """Decide one cycle.

    Args:
        ledgers: by session; those of living sessions and of sessions that are over.
        sources: listed batches that may run now.
        now_ms: wall clock; decides when, never who.
        window: ids of finished sources that are still refused.
        buried: (path, index) of messages whose dead letters are stored.
        retired: paths of sources that are gone and whose ids are on a stored page.
    """
    planning = _Planning(board, ledgers, now_ms, settings)
    planning.take_over()
    planning.bury(buried)
    planning.retire(retired)
    planning.wake()
    planning.assign(sources, window)
    return planning.result()


class _Planning:
    def __init__(self, board: Board, ledgers: Mapping[str, Ledger], now_ms: int, settings: Settings) -> None:
        self.board, self.ledgers, self.now_ms, self.settings = board, ledgers, now_ms, settings
        self.tickets = dict(board.tickets)
        self.sources = dict(board.sources)
        self.totals = dict(board.totals)
        self.sequence = board.sequence
        self.drafts: dict[str, Draft] = {}
        ended = frozenset(session for session, ledger in ledgers.items() if ledger.over)
        self.planned = Planned(board, ended=ended)

    def draft(self, path: str) -> Draft:
        draft = self.drafts.get(path)
        if draft is None:
            state = self.sources.get(path)
            draft = Draft.admitted(parse_source(path).count) if state is None else Draft(state)
            self.drafts[path] = draft
            self.planned.changed = True
        return draft

    def result(self) -> Planned:
        for path, draft in self.drafts.items():
            draft.trim()
            self.sources[path] = draft.freeze()
        if self.planned.changed:
            self.planned.board = replace(
                self.board,
                sequence=self.sequence,
                tickets=self.tickets,
                sources=self.sources,
                totals=self.totals,
            )
        return self.planned

    # ---- take over -----------------------------------------------------------------------------------------

    def take_over(self) -> None:
        claims: dict[str, frozenset[str]] = {}
        for name, ticket in self.board.tickets.items():
            ledger = self.ledgers.get(ticket.session)
            if ledger is None:
                continue
            if ticket.session not in claims:
                claims[ticket.session] = frozenset(ledger.claims)
            claimed = ledger.unread or name in claims[ticket.session]
            report = ledger.reports.get(name) if claimed else None
            if report is not None or ledger.over:
                self._take(name, ticket, report or Report(), ledger, claimed)

    def _take(self, name: str, ticket: Ticket, report: Report, ledger: Ledger, claimed: bool) -> None:
        offer = ledger.offers.get(ticket.queue) or Offer(max_attempts=self.settings.max_attempts)
        # A message has one outcome, whatever a ledger says: what it says of others than the ticket still holds is not read.
        everything = (0, ticket.size)
        ok = ranges.minus(report.ok, ticket.taken)
        taken = ranges.union(ranges.pairs(ticket.taken), ranges.pairs(ok))
        released = ranges.minus(report.released, taken)
        taken = ranges.union(ranges.pairs(taken), ranges.pairs(released))
        failed = {at: one for at, one in report.failed.items() if not ranges.contains(taken, at)}
        left = ranges.minus(everything, ranges.union(ranges.pairs(taken), ranges.pairs(ranges.of(failed))))
        taken = ranges.minus(everything, left)
        if taken == ticket.taken and not ledger.over:
            return
        self.planned.changed = True
        for part in ticket.spans(ok):
            self.draft(part.source).done(part.start, part.stop)
            self._count(part, "done", part.stop - part.start)
            self.planned.settled.append(Settled(name, part.source, part.start, part.stop, part.attempt, "done"))
        for part in ticket.spans(released):
            self.draft(part.source).released(part.start, part.stop, part.attempt)
        for offset, outcome in failed.items():
            for part in ticket.spans((offset, offset + 1)):
                self._fail(name, part, outcome, offer)
        if ledger.over:
            for part in ticket.spans(left):
                self._orphan(name, part, offer, claimed)
        if ledger.over or not left:
            del self.tickets[name]
        else:
            self.tickets[name] = replace(ticket, taken=taken)

    def _fail(self, name: str, part: Part, outcome: Failed, offer: Offer) -> None:
        died = self.draft(part.source).failed(
            part.start, part.attempt, outcome, max_attempts=offer.max_attempts, now_ms=self.now_ms
        )
        if outcome.kind != "snooze":
            self._count(part, "failed", 1)
        if died:
            self._count(part, "dead", 1)
            self.planned.settled.append(Settled(name, part.source, part.start, part.stop, part.attempt, "dead"))

    def _orphan(self, name: str, part: Part, offer: Offer, claimed: bool) -> None:
        """The session ended and left no outcome. What it claimed may have been started; what it did not, was not."""
        if not claimed:
            self.draft(part.source).released(part.start, part.stop, part.attempt)
            return
        failure = Failure(part.attempt, "lost", "its host fell silent or died", self.now_ms)
        for index in range(part.start, part.stop):
            one = Part(part.source, index, index + 1, part.attempt)
            self._fail(name, one, Failed("retry", 0.0, failure), offer)

    def _count(self, part: Part, what: str, many: int) -> None:
        queue = parse_source(part.source).queue
        totals = self.totals.get(queue, Totals())
        self.totals[queue] = replace(totals, **{what: getattr(totals, what) + many})

    # ---- settled sources -----------------------------------------------------------------------------------

    def bury(self, buried: Collection[tuple[str, int]]) -> None:
        graves: dict[str, set[int]] = {}
        for path, index in buried:
            if path in self.sources and index in self.board.sources[path].dying:
                graves.setdefault(path, set()).add(index)
        for path, indexes in graves.items():
            self.draft(path).buried(indexes)

    def retire(self, retired: Collection[str]) -> None:
        for path in retired:
            if path in self.sources:
                del self.sources[path]
                self.planned.changed = True

    def wake(self) -> None:
        for path in [path for path, state in self.sources.items() if state.waiting or path in self.drafts]:
            waiting = self.drafts[path].waiting if path in self.drafts else self.sources[path].waiting
            if any(one.due_ms <= self.now_ms for one in waiting):
                draft = self.draft(path)
                draft.wake(self.now_ms)
                waiting = draft.waiting
            due = min((one.due_ms for one in waiting), default=None)
            if due is not None and (self.planned.next_due_ms is None or due < self.planned.next_due_ms):
                self.planned.next_due_ms = due

    # ---- assign --------------------------------------------------------------------------------------------

    def assign(self, sources: Iterable[Source], window: Collection[str]) -> None:
        hosts = self._hosts()
        offered = {queue for host in hosts for queue in host.offers}
        lines = {queue: _Line() for queue in offered}
        busy = self._busy_groups()
        parked: dict[str, int] = {}
        for path in self.sources:
            source = parse_source(path)
            draft = self.drafts.get(path)
            state = self.sources[path] if draft is None else draft
            if state.waiting:
                parked[source.queue] = parked.get(source.queue, 0) + len(state.waiting)
                if source.group is not None:
                    busy.add((source.queue, source.group))
            if state.ready and source.queue in lines:
                lines[source.queue].add(source, sum(ready.stop - ready.start for ready in state.ready))
        fresh: dict[str, list[Source]] = {queue: [] for queue in offered}
        for source in sources:
            if source.path in self.sources or source.path in self.board.sources:
                continue
            if source.id in window:
                self.planned.refused.append(source.path)
            elif source.queue in lines and parked.get(source.queue, 0) <= self.settings.max_parked:
                fresh[source.queue].append(source)
        for queue, line in lines.items():
            # Those behind what the hosts can take need not stand in line. Of a group nobody knows whether it is busy.
            enough = sum(host.room(queue) for host in hosts if queue in host.offers)
            for source in sorted(fresh[queue], key=_rank):
                if enough <= 0:
                    break
                line.add(source, source.count)
                enough -= source.count if source.group is None else 0
        turn = sorted(queue for queue, line in lines.items() if line.size)
        if turn:
            # By the golden ratio, so that no rhythm of the board's writes, such as two for each message, brings the same
            # queue first every time.
            first = int(self.board.turn * _GOLDEN % 1 * len(turn))
            turn = turn[first:] + turn[:first]
        # An equal share of each host's room to every queue that has messages, then what is left of it to whoever wants it.
        for place, queue in enumerate(turn):
            self._assign_queue(queue, lines[queue], hosts, busy, share=len(turn) - place)
        self.planned.room = dict.fromkeys(lines, 0)
        hosts = [host for host in hosts if not host.is_full]
        for queue in turn[:-1]:
            self._assign_queue(queue, lines[queue], hosts, busy, share=1)
        for host in hosts:
            for queue in host.offers:
                room = min(host.room(queue), self.settings.max_ranges - host.ranges)
                self.planned.room[queue] += max(0, room)

    def _hosts(self) -> list[_Host]:
        hosts = {
            session: _Host(ledger, self.settings)
            for session, ledger in sorted(self.ledgers.items())
            if not ledger.over and ledger.slots > 0
        }
        for ticket in self.tickets.values():
            if ticket.session in hosts:
                hosts[ticket.session].load(ticket.queue, ticket.left, len(ticket.parts))
        return list(hosts.values())

    def _busy_groups(self) -> set[tuple[str, str]]:
        busy: set[tuple[str, str]] = set()
        for ticket in self.tickets.values():
            source = parse_source(ticket.parts[0].source)
            if source.group is not None and ticket.left:  # a ticket holds either one message of a group, or none
                busy.add((source.queue, source.group))
        return busy

    def _assign_queue(
        self, queue: str, line: _Line, hosts: list[_Host], busy: set[tuple[str, str]], *, share: int
    ) -> None:
        serving = [host for host in hosts if queue in host.offers]
        rooms = [host.room(queue, share) for host in serving]
        quotas = share_out(line.size, [(min(host.idle, room), room) for host, room in zip(serving, rooms, strict=True)])
        for host, quota in zip(serving, quotas, strict=True):
            left = quota
            shared: list[Part] = []
            while left > 0 and host.ranges + len(shared) < self.settings.max_ranges:
                if len(shared) == self.settings.max_parts:
                    self._ticket(host, queue, tuple(shared))
                    shared = []
                taken = self._take_next(line, busy, left)
                if taken is None:
                    break
                part, alone = taken
                left -= part.stop - part.start
                if alone:
                    self._ticket(host, queue, (part,))
                else:
                    shared.append(part)
            if shared:
                self._ticket(host, queue, tuple(shared))

    def _take_next(self, line: _Line, busy: set[tuple[str, str]], most: int) -> tuple[Part, bool] | None:
        """The next messages in dispatch order. One of a group at a time, and none while an earlier one is out."""
        while (source := line.first()) is not None:
            if source.group is not None:
                if (source.queue, source.group) in busy:
                    line.drop()
                    continue
                most = 1
            taken = self.draft(source.path).take(most)
            if taken is None:
                line.drop()
                continue
            ready, alone = taken
            line.took(ready.stop - ready.start)
            if source.group is not None:
                busy.add((source.queue, source.group))
                alone = True
            return Part(source.path, ready.start, ready.stop, ready.attempt), alone
        return None

    def _ticket(self, host: _Host, queue: str, parts: tuple[Part, ...]) -> None:
        ticket = Ticket(host.session, parts)
        self.tickets[ticket_id(self.board.epoch, self.sequence)] = ticket
        self.sequence += 1
        host.load(queue, ticket.size, len(parts))
        self.planned.assigned += ticket.size
        self.planned.changed = True


class _Line:
    """The batches of one queue that have messages to assign, in dispatch order.

    Attributes:
        size: how many messages could be assigned, if no group is busy.
    """

    def __init__(self) -> None:
        self.size = 0
        self._sources: list[Source] = []
        self._sorted = True

    def add(self, source: Source, count: int) -> None:
        self._sources.append(source)
        self.size += count if source.group is None else 1
        self._sorted = False

    def first(self) -> Source | None:
        if not self._sorted:
            self._sources.sort(key=_rank, reverse=True)
            self._sorted = True
        return self._sources[-1] if self._sources else None

    def drop(self) -> None:
        self._sources.pop()

    def took(self, many: int) -> None:
        self.size = max(0, self.size - many)


class _Host:
    """One living session while tickets are given out: its slots, and how much of its time is spoken for."""

    def __init__(self, ledger: Ledger, settings: Settings) -> None:
        self.session, self.slots, self.offers = ledger.session, ledger.slots, ledger.offers
        self._capacity = {
            queue: capacity(ledger.slots, offer.mean_s, settings) for queue, offer in ledger.offers.items()
        }
        self.ranges = 0
        self._out = 0
        self._used = 0.0

    def load(self, queue: str, many: int, ranges: int) -> None:
        self.ranges += ranges
        self._out += many
        self._used += many / self._capacity.get(queue, self.slots)

    @property
    def idle(self) -> int:
        """Slots that nothing is assigned to."""
        return max(0, self.slots - self._out)

    @property
    def is_full(self) -> bool:
        """Whether there is no room for any queue."""
        return self._out >= self.slots and max(self._capacity.values(), default=0) * (1.0 - self._used) < 1.0 - 1e-9

    def room(self, queue: str, share: int = 1) -> int:
        """How many more messages of the queue to give it, if ``share`` queues divide what is free."""
        free = max(0.0, 1.0 - self._used)
        return max(math.floor(self._capacity[queue] * free / share + 1e-9), min(self.idle, 1))


def capacity(slots: int, mean_s: float, settings: Settings) -> int:
    """How many messages a host may hold: one for each slot, and about ``ticket_target`` seconds of work behind them.

    One for each slot while nothing was measured: the first messages of a queue are its measurement.
    """
    if mean_s <= 0:
        return slots
    return min(max(slots, settings.max_out), slots + math.ceil(slots * settings.ticket_target / mean_s))


def share_out(total: int, hosts: list[tuple[int, int]]) -> list[int]:
    """How many of ``total`` messages each host gets: idle slots everywhere first, then in proportion to the room.

    Args:
        hosts: for each (idle slots, room), with idle ≤ room.
    """
    quotas = [0] * len(hosts)
    for level in (0, 1):
        wants = [host[level] - quota for host, quota in zip(hosts, quotas, strict=True)]
        wanted = sum(max(0, want) for want in wants)
        if wanted == 0:
            continue
        give = min(total - sum(quotas), wanted)
        left = give
        for place, want in sorted(enumerate(wants), key=lambda pair: -pair[1]):
            if want <= 0 or left <= 0:
                break
            part = min(want, left, math.ceil(give * want / wanted))
            quotas[place] += part
            left -= part
    return quotas
