"""The summary: counts of all queues and hosts, as the coordinator knows them, in one object that every program can
read."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator, Mapping, Sequence
from itertools import islice
from typing import TYPE_CHECKING, NamedTuple

from msgspec.structs import replace

from s3queue.core.chores.asides import Asides
from s3queue.core.chores.census import Census
from s3queue.core.chores.troubles import Troubles
from s3queue.core.chores.usages import Usages
from s3queue.core.hearing import Heard
from s3queue.core.keys import END, Layout, parse_source
from s3queue.core.ops import Overtaken, Step, get, write
from s3queue.core.plan import Settings, Settled
from s3queue.core.plan.rules import in_force, reached
from s3queue.core.records import Board, Control, HostTally, Ledger, Progress, Summary, Tally, Totals, decode, encode
from s3queue.core.survey import Survey
from s3queue.core.tally import count_batch, count_board, of
from s3queue.errors import CorruptRecord, StoreError
from s3queue.store import Found, Stored

if TYPE_CHECKING:
    from s3queue.core.chores import Facts

#: Most keys of unreadable objects that are listed.
_NAMED = 100
#: Most causes of death of one queue that are counted separately.
_CAUSES = 50
#: Most running messages of one host whose progress is included.
_TOLD = 20


class _Sample(NamedTuple):
    """Counts of one moment, for rates.

    Attributes:
        ended: by queue, messages that were done or dead.
        there: by queue, those that were neither; None where that is not exact.
    """

    at: float
    ended: dict[str, int]
    there: dict[str, int | None]


class Summaries:
    """Written while anything changes but the time, at most every ``settings.summary_s``."""

    def __init__(
        self,
        layout: Layout,
        epoch: int,
        heard: Mapping[str, Heard],
        settings: Settings,
        troubles: Troubles,
        asides: Asides,
    ) -> None:
        self._layout, self._epoch, self._heard, self._troubles = layout, epoch, heard, troubles
        self._asides = asides
        self._every_s = settings.summary_s
        self.census = Census(layout, settings.census_s, troubles)
        self._board: Board | None = None
        self._seen: Survey | None = None
        self._refused: Collection[str] = ()
        self._control: Control | None = None
        self._board_bytes = 0
        #: Duration of the last cycle, in seconds.
        self.cycle_s = 0.0
        self._died: dict[str, dict[str, int]] = {}
        #: Sessions that are there and fenced; and how many have been.
        self._fenced: set[str] = set()
        self._fences = 0
        self._usages = Usages(heard)
        self._stored: Summary | None = None
        self._version: str | None = None
        self._is_read = self._is_heir = self._is_under_way = self._is_over = self._is_news = False
        self._at = -math.inf
        self._sample: _Sample | None = None

    def follow(self, facts: Facts) -> None:
        """Take over what is known now."""
        if math.isinf(self._every_s) or self._is_over:
            return
        board = self._board = facts.board
        self._note_deaths(board, facts.settled)
        self._note_fences()
        self._control, self._board_bytes, self._is_news = facts.control, facts.board_bytes, True
        if facts.seen is not None:
            self._seen, self._refused = facts.seen, facts.refused
            self.census.follow(board, not _is_whole(self._layout, facts.seen), facts.now, facts.now_ms)

    def take(self, now: float, now_ms: int, nonce: str) -> Step[bool] | None:
        if self._is_over or math.isinf(self._every_s):
            return None
        if self._is_news and not self._is_under_way and now >= self._at and self._troubles.allow(self._key, now):
            self._is_news, self._at = False, now + self._every_s
            summary = self._summary(now, now_ms, f"{nonce}.s")
            if self._stored is None or _content(summary) != _content(self._stored):
                self._is_under_way = True
                return self._store(summary, now)
        return self.census.take(now, now_ms)

    def hurry(self) -> None:
        """There is no later."""
        self._at = -math.inf

    def next_at(self) -> float:
        if self._is_over or math.isinf(self._every_s):
            return math.inf
        page_at = self.census.next_at()
        is_waiting = self._is_news and not self._is_under_way and not self._troubles.has(self._key)
        mine = self._at if is_waiting else math.inf
        return mine if page_at is None else min(mine, page_at)

    @property
    def _key(self) -> str:
        return self._layout.summary

    # ---- what it says --------------------------------------------------------------------------------------

    def _note_fences(self) -> None:
        fenced = {ledger.session for ledger in self._ledgers() if ledger.fenced}
        self._fences += len(fenced - self._fenced)
        self._fenced = fenced

    def _note_deaths(self, board: Board, settled: Sequence[Settled]) -> None:
        for one in settled:
            if one.outcome != "dead" or one.source not in board.sources:
                continue
            state, died = board.sources[one.source], self._died.setdefault(parse_source(one.source).queue, {})
            for index in range(one.start, one.stop):
                failures = state.failures.get(index, ())
                cause = failures[-1].cause if failures else "unknown"
                if cause in died or len(died) < _CAUSES:
                    died[cause] = died.get(cause, 0) + 1

    def _summary(self, now: float, now_ms: int, nonce: str) -> Summary:
        board, seen, layout = self._board, self._seen, self._layout
        assert board is not None
        queues, unreadable = count_board(board, layout)
        if seen is not None:
            unreadable += [_key(layout, corrupt.key) for corrupt in seen.corrupt]
            self._count_listed(queues, board, seen, now_ms, set(unreadable))
        unreadable += [
            layout.host(session) for session, heard in self._heard.items() if heard.ledger is None and heard.is_read
        ]
        unreadable += self._asides.keys
        self._add_hosts(queues)
        for queue, died in self._died.items():
            of(queues, queue).died = dict(died)
        if self._control is not None:
            for queue in self._control.paused:
                of(queues, queue).paused = self._control.holds(queue, now_ms)
            for queue, tasks in self._control.halted(now_ms).items() if self._control.paused_tasks else ():
                of(queues, queue).paused_tasks = tasks
        for queue, limited in reached(board, in_force(self._ledgers(), self._control)).items():
            of(queues, queue).limited = limited
        self._add_rates(queues, now)
        self._usages.see(self._ledgers())
        return Summary(
            nonce,
            board.epoch,
            now_ms,
            coordinator=board.leader.session if board.leader is not None else "",
            census_ms=self.census.counted_ms if any(tally.at_least for tally in queues.values()) else 0,
            board_bytes=self._board_bytes,
            cycle_s=self.cycle_s,
            queues=dict(sorted(queues.items())),
            hosts=tuple(self._hosts(board)),
            full=board.full,
            unreadable=tuple(sorted(set(unreadable))[:_NAMED]),
            unreadable_many=len(set(unreadable)),
            fences=self._fences,
            past=dict(self._usages.past),
        )

    def _count_listed(
        self, queues: dict[str, Tally], board: Board, seen: Survey, now_ms: int, unreadable: set[str]
    ) -> None:
        layout = self._layout
        listed: dict[str, Tally] = {}
        for path in seen.listed:
            known = path in board.sources or path in board.moves or path in self._refused
            if not known and layout.source(path) not in unreadable:
                count_batch(listed, parse_source(path), now_ms)
        census = self.census.at_least(now_ms)
        is_later_whole = _covers(seen, layout.later)
        for queue in dict.fromkeys((*queues, *listed, *census)):
            tally, head, behind = of(queues, queue), listed.get(queue, Tally()), census.get(queue, Tally())
            tally.at_least = not is_later_whole or not _covers(seen, layout.queue(queue))
            if not tally.at_least:
                behind = Tally()
            tally.ready += max(head.ready, behind.ready)
            tally.scheduled += max(head.scheduled, behind.scheduled)
            tally.waiting += max(head.waiting, behind.waiting)
            if head.oldest_ms:
                tally.oldest_ms = min(tally.oldest_ms or head.oldest_ms, head.oldest_ms)

    def _ledgers(self) -> list[Ledger]:
        return [heard.ledger for heard in self._heard.values() if heard.ledger is not None]

    def _add_hosts(self, queues: dict[str, Tally]) -> None:
        measured: dict[str, list[tuple[int, float]]] = {}
        for ledger in self._ledgers():
            for queue, offer in ledger.offers.items() if not ledger.over else ():
                of(queues, queue).hosts += 1
                if offer.mean_s > 0 and ledger.slots:
                    measured.setdefault(queue, []).append((ledger.slots, offer.mean_s))
        for queue, means in measured.items():
            queues[queue].mean_s = sum(slots * mean_s for slots, mean_s in means) / sum(slots for slots, _ in means)

    def _hosts(self, board: Board) -> list[HostTally]:
        assigned: dict[str, int] = {}
        for ticket in board.tickets.values():
            assigned[ticket.session] = assigned.get(ticket.session, 0) + ticket.left
        return [
            HostTally(
                ledger.session,
                ledger.place.name,
                ledger.slots,
                assigned.get(ledger.session, 0),
                tuple(sorted(ledger.offers)),
                ledger.over,
                ledger.usage,
                tuple(islice(_progress(self._layout, ledger, board), _TOLD)),
                replace(ledger.about, since={}) if ledger.about.since else ledger.about,
                ledger.fenced,
            )
            for ledger in sorted(self._ledgers(), key=lambda ledger: ledger.session)
        ]

    def _add_rates(self, queues: dict[str, Tally], now: float) -> None:
        """From what has ended since the last time this was asked, which is not long ago while there is work."""
        totals = self._board.totals if self._board is not None else {}
        ended = {queue: one.done + one.dead for queue in queues for one in (totals.get(queue, Totals()),)}
        there = {queue: None if tally.at_least else _there(tally) for queue, tally in queues.items()}
        before, self._sample = self._sample, _Sample(now, ended, there)
        if before is None or now <= before.at:
            return
        for queue, tally in queues.items():
            out = max(0, ended[queue] - before.ended.get(queue, 0))
            tally.out_per_s = out / (now - before.at)
            now_there, were_there = there[queue], before.there.get(queue, 0)
            if now_there is not None and were_there is not None:
                tally.in_per_s = max(0, now_there - were_there + out) / (now - before.at)

    # ---- where it says so ----------------------------------------------------------------------------------

    def _store(self, summary: Summary, now: float) -> Step[bool]:
        """Replace the last one.

        Asks: one Put; the first time one Get before it; after an unanswered Put or a Conflict, one Get.
        """
        try:
            if not self._is_read:
                there = yield from get(self._key)
                if isinstance(there, Found) and _epoch(self._key, there) > self._epoch:
                    self._is_over = True  # another one leads
                    return False
                self._version = there.version if isinstance(there, Found) else None
                self._is_read = True
                if isinstance(there, Found) and not self._is_heir:
                    self._inherit(there)
                    for queue, died in self._died.items():
                        of(summary.queues, queue).died = dict(died)
                    summary = replace(summary, fences=self._fences, past=dict(self._usages.past))
                self._is_heir = True
            outcome = yield from write(
                self._key, encode(summary), nonce=summary.nonce, if_version=self._version, tries=1
            )
        except StoreError as fault:
            self._troubles.met(self._key, fault, now)
            self._is_read, self._is_news = False, True
            return False
        finally:
            self._is_under_way = False
        self._troubles.over(self._key)
        match outcome:
            case Stored(version):
                self._version, self._stored = version, summary
            case Overtaken(Found() as found) if _epoch(self._key, found) > self._epoch:
                self._is_over = True  # another one leads
            case _:
                self._is_read, self._is_news = False, True
        return False

    def _inherit(self, found: Found) -> None:
        """Take over the counts of deaths, fences and requests from the summary of an earlier coordinator."""
        try:
            before = decode(Summary, self._key, found.body)
        except CorruptRecord:
            return
        for queue, tally in before.queues.items():
            died = self._died.setdefault(queue, {})
            for cause, many in tally.died.items():
                died[cause] = died.get(cause, 0) + many
        self._usages.inherit(before)
        told = {host.session for host in before.hosts if host.fenced}
        self._fences += before.fences - len(told & self._fenced)


def _progress(layout: Layout, ledger: Ledger, board: Board) -> Iterator[Progress]:
    """The progress of running messages of this host whose tasks reported any."""
    for name, report in ledger.reports.items() if not ledger.over else ():
        ticket = board.tickets.get(name)
        if ticket is None:
            continue
        for offset, memo in report.memos.items():
            if offset not in report.failed and offset < ticket.size and (memo.total or memo.done or memo.text):
                part = next(ticket.spans((offset, offset + 1)))
                yield Progress(layout.message_id(part.source, part.start), memo.done, memo.total, memo.text)


def _key(layout: Layout, key: str) -> str:
    """A survey names batches by their paths, and everything else by its key."""
    return key if key.startswith(layout.root + "/") else layout.home + key


def _there(tally: Tally) -> int:
    given_back = sum(tally.unfit.values()) + sum(tally.held.values())
    return tally.ready + tally.scheduled + tally.running + tally.waiting + given_back


def _is_whole(layout: Layout, seen: Survey) -> bool:
    return _covers(seen, layout.inbox) and _covers(seen, layout.later)


def _covers(seen: Survey, prefix: str) -> bool:
    return any(after <= prefix and last >= prefix + END for after, last in seen.covered)


def _epoch(key: str, found: Found) -> int:
    try:
        return decode(Summary, key, found.body).epoch
    except CorruptRecord:
        return 0


def _content(summary: Summary) -> Summary:
    """The summary without figures that change merely with time, or with the requests of an idle host."""
    queues = {
        queue: replace(tally, in_per_s=None, out_per_s=float(tally.out_per_s > 0), mean_s=0.0)
        for queue, tally in summary.queues.items()
    }
    hosts = tuple(replace(host, usage={}, about=replace(host.about, rss_bytes=0)) for host in summary.hosts)
    return replace(summary, nonce="", written_ms=0, board_bytes=0, cycle_s=0.0, queues=queues, hosts=hosts)
