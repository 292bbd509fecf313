"""The coordinator's cycle: survey, plan, commit.

A cycle surveys, plans, and writes one board. All decisions take effect with that one compare-and-swap, and only that
write can stop a cycle. The work that follows from a committed board is done beside the cycles, as chores
(`s3queue.core.chores`). A ledger that cannot be read is skipped.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection
from typing import NamedTuple

from msgspec.structs import replace

from s3queue.core.chores import Chores, Facts
from s3queue.core.clocks import Clocks
from s3queue.core.elect import View
from s3queue.core.hearing import Heard
from s3queue.core.keys import Layout
from s3queue.core.ops import Overtaken, Step, Unknown, list_all, write
from s3queue.core.outlook import Outlook
from s3queue.core.plan import Planned, Settings, Settled, plan
from s3queue.core.plan.requests import pending
from s3queue.core.records import Board, Control, Ledger, divide, join
from s3queue.core.rounds import Rounds
from s3queue.core.silence import Silence, longest_s
from s3queue.core.steering import Steering
from s3queue.core.survey import Survey, survey
from s3queue.core.term import Term
from s3queue.errors import CorruptRecord, StoreError
from s3queue.store import Stored

#: Share of the lease: time-out of a survey's reads of ledgers.
_PATIENCE = 1 / 6


class Cycled(NamedTuple):
    """The cycle is over and we still lead.

    Attributes:
        committed: whether a new board stands.
        planned: what was decided.
        next_due_ms: wall clock at which a message becomes due; None where none is known.
        corrupt: what could not be decoded.
    """

    committed: bool
    planned: Planned
    next_due_ms: int | None = None
    corrupt: tuple[CorruptRecord, ...] = ()

    @property
    def settled(self) -> list[Settled]:
        return self.planned.settled if self.committed else []


class Deposed(NamedTuple):
    """Another session leads. Become a candidate."""


class Doubt(NamedTuple):
    """The commit was not answered and has left no trace yet. The next cycle sends it again first."""


class Lead:
    """The state and the cycle of the coordinator of one epoch.

    Args:
        view: holds the board that `s3queue.core.elect.stand` stored. Shared with the host's side of the same process,
            which thus need not read what this process wrote; what that side reads tells us that we were replaced.
        now: steady time; now_ms: wall clock. See `Term`.

    Attributes:
        board, version: what was committed last; of the board, what this release knows of it.
        foreign: what stands on it besides, and is put back into every board.
        epoch: the number of the term. term: its clocks.
        heard: by session, see `Heard`. A process that leads and is a host enters its own ledger as it stores it.
        chores: what follows from committed boards.
        ended: sessions that were over before the committed board was sent. They get no more tickets; those still on the
            board are their last.
        pending: an unanswered board, and the version that it replaces. It is sent again, against that version, before
            anything else.
        outlook: how far the next survey looks.
        rounds: how much work hosts need to stay busy.
        written_at: steady time before the last board was sent.
        board_bytes: size of the board that was committed last; None where another leader wrote it.
        steering: what operators have set and ask for.
        clocks: whether our wall clock is right, where there are schedules.
    """

    def __init__(self, layout: Layout, view: View, settings: Settings, now: float, now_ms: int) -> None:
        assert view.board is not None
        self.layout, self.view, self.settings = layout, view, settings
        self.board, self.foreign = divide(view.board)
        self.version, self.epoch = view.version, view.board.epoch
        self.term = Term(view.board, now, now_ms)
        self.heard: dict[str, Heard] = {}
        self._silence = Silence(settings.visibility_timeout)
        self._me = "" if view.board.leader is None else view.board.leader.session
        self.chores = Chores(layout, self.epoch, self.heard, now, settings)
        self.ended: frozenset[str] = frozenset()
        self.pending: tuple[Planned, str] | None = None
        self._pending_at = now
        self.outlook = Outlook()
        self.rounds = Rounds()
        self.written_at = now
        self.board_bytes: int | None = None
        patience_s = settings.leader_lease * _PATIENCE
        self.steering = Steering(layout, patience_s, self.chores.troubles, self.chores.asides)
        #: Wall clock at which the next message is due, as far as the last survey saw; infinity: none.
        self._due_ms = -math.inf
        self.clocks = Clocks(settings.visibility_timeout / 2)

    # ---- what it knows -------------------------------------------------------------------------------------

    @property
    def window(self) -> set[str]:
        """Ids of finished sources that are still refused."""
        return self.chores.pages.window

    @property
    def letters_written(self) -> set[tuple[str, int]]:
        """Messages whose dead letter is stored, and which the board does not yet count as settled."""
        return self.chores.letters.written

    @property
    def control(self) -> Control | None:
        """The operators' settings, as read last; None: not read yet, so nothing is assigned."""
        return self.steering.control

    @property
    def is_replaced(self) -> bool:
        """Whether this process has seen the board of a later epoch."""
        return self.view.board is not None and self.view.board.epoch != self.epoch

    def window_s(self, now: float) -> float:
        """Seconds for which to keep the ids of finished sources."""
        ledgers = (heard.ledger for heard in self.heard.values() if heard.ledger is not None)
        return self.term.window_s(now, ledgers, self.settings.window_s)

    def enter(self, ledger: Ledger, version: str) -> bool:
        """The ledger of this process' own host was stored. Returns whether that gives the coordinator something to
        decide: something to take over, or a host that came, ended, or takes more or less than before. Not that it still
        has nothing to do, and not that it has forgotten what a board has taken over: that board was ours."""
        before = self.heard.get(ledger.session)
        self.heard[ledger.session] = Heard(version, ledger)
        if before is None or before.ledger is None or ledger.over:
            return True
        return bool(ledger.reports) or ledger.slots != before.ledger.slots

    # ---- one cycle -----------------------------------------------------------------------------------------

    def cycle(
        self,
        *,
        now: float,
        now_ms: int,
        nonce: str,
        gone: Collection[str] = (),
        clock: Callable[[], float] | None = None,
        look: bool = True,
    ) -> Step[Cycled | Deposed | Doubt]:
        """Look once, decide once, commit at most once.

        Args:
            now: steady time, taken before this step was started.
            now_ms: wall clock; decides which scheduled messages are due.
            nonce: fresh; every write of the cycle derives its own from it.
            gone: sessions of this machine whose processes are known to be gone: fenced without waiting.
            clock: tells the steady time after the survey, from which the delays of retries count: one that counted from
                before it would be over early.
            look: survey. Without it only what chores found out is entered, and what is known is assigned.

        Returns:
            Cycled: still leading. Deposed, Doubt: see there.

        Asks: the survey (one List or more, a Get for each changed ledger), and at most one Put of the board; none where
            nothing changed and no heartbeat is due.
        """
        try:
            outcome = yield from self._cycle(now, now_ms, nonce, gone, clock, look)
        except StoreError:
            self._silence.anew(self.heard)
            raise
        if isinstance(outcome, Doubt):
            self._silence.anew(self.heard)
        return outcome

    def beat(self, *, now: float, nonce: str) -> Step[Cycled | Deposed | Doubt]:
        """Write the board as it is: a heartbeat between two cycles, which costs no survey.

        Args:
            now: steady time, taken before this step was started.
            nonce: fresh.

        Returns:
            As `cycle`.

        Asks: one Put; where that is refused or not answered, one Get; at most three of both.
        """
        assert self.pending is None, "the same board is sent again, and before anything else: by a cycle"
        if self.is_replaced:
            return Deposed()
        # Once this heartbeat is stored, no other coordinator can have given these sessions a ticket since we read their
        # ledgers. If only plans counted, their ledgers would stay in an idle namespace until there is work.
        ended = frozenset(
            session for session, heard in self.heard.items() if heard.ledger is not None and heard.ledger.over
        )
        planned = Planned(self._stamped(self.board, now, nonce, is_news=False), ended=ended)
        return (yield from self._commit(planned, self.version, now, None))

    @property
    def beat_at(self) -> float:
        """Steady time of the next heartbeat: each third of the lease that the board announces."""
        return self.written_at + (self.board.leader_lease or self.settings.leader_lease) / 3

    def _stamped(self, board: Board, now: float, nonce: str, *, is_news: bool) -> Board:
        """The board as it is to be written. The heartbeat of a board without work announces a longer lease; whatever is
        news returns to the normal one."""
        lease_s = self.settings.leader_lease
        is_idle = not (is_news or board.is_busy or board.answers or board.marks or board.purges)
        if is_idle and self._due_ms - self.term.clock_ms(now) > self.settings.idle_lease * 1000:
            lease_s = max(lease_s, self.settings.idle_lease)
        return replace(
            board,
            nonce=nonce,
            turn=self.board.turn + 1,
            uptime_ms=self.term.uptime_ms(now),
            leader_lease=lease_s,
            window_s=self.window_s(now),
        )

    def _cycle(
        self,
        now: float,
        now_ms: int,
        nonce: str,
        gone: Collection[str],
        clock: Callable[[], float] | None,
        look: bool,
    ) -> Step[Cycled | Deposed | Doubt]:
        if self.pending is not None:
            return (yield from self._commit(*self.pending, self._pending_at, None))
        seen = (yield from self._survey(now, now_ms)) if look else None
        if self.is_replaced:
            return Deposed()  # our window does not hold what the other leader retired
        if seen is not None:
            self.chores.fences.follow(self._silence.ended(self.board, self.heard, gone, now))
        asked, there = (
            (yield from self.steering.read_requests(seen, self.board, self.foreign, self.window, now))
            if seen is not None and seen.requests
            else ({}, set())
        )
        ledgers = {session: heard.ledger for session, heard in self.heard.items() if heard.ledger is not None}
        self.rounds.see(ledgers, now)
        if seen is not None and self.board.schedules:
            self._compare_clocks(now, now_ms)
        target = max(self.settings.ticket_target, self.rounds.work_s(self.settings.ack_s))
        planned = plan(
            self.board,
            ledgers,
            seen.sources if seen is not None else (),
            now_ms=self.term.clock_ms(now),
            heard_ms=self.term.clock_ms(clock() if clock is not None else now) + 1,  # rounded up
            settings=self.settings._replace(ticket_target=target),
            window=self.window,
            letters_written=self.letters_written,
            parking=self.chores.moves.parking,
            board_bytes=self.board_bytes,
            control=self.control,
            uptime_ms=self.term.uptime_ms(now),
            turns=self.outlook.turns,
            asked=asked,
            letters=self.chores.redrives.looked,
            there=there,
            wall_ms=now_ms,
            is_clock_off=self.clocks.is_off,
            deleted=self.chores.revisions.deleted,
            retired=self.chores.pages.off,
            freed=self.chores.gates.freed,
            spoiled=self.chores.asides.kept,
            walked=self.chores.purges.pages,
            quiet=self._silence.quiet_s(self.heard, self._me, now),
        )
        if seen is not None:
            planned.refused += [source.path for source in seen.empty if source.id in self.window]
            self.outlook.learn(seen, planned, self.board.sources)
            planned.refused += [request for request in seen.requests if request in self.window]
        if planned.changed or now >= self.beat_at:
            planned.board = self._stamped(planned.board, now, nonce, is_news=planned.changed)
            return (yield from self._commit(planned, self.version, now, seen))
        return self._cycled(False, planned, now, seen)

    def _cycled(self, committed: bool, planned: Planned, now: float, seen: Survey | None) -> Cycled:
        facts = Facts(
            self.board,
            seen,
            now,
            planned.refused,
            self.ended,
            self.term.uptime_ms(now),
            self.term.clock_ms(now),
            planned.settled if committed else (),
            self.control,
            self.board_bytes or 0,
            planned.opening,
            self.foreign,
        )
        self.chores.follow(facts, self.heard, self.window_s(now))
        due = [at for at in (planned.next_due_ms, seen.next_due_ms if seen is not None else None) if at is not None]
        if seen is not None:
            self._due_ms = min(due, default=math.inf)
        return Cycled(committed, planned, min(due, default=None), tuple(seen.corrupt) if seen is not None else ())

    # ---- survey --------------------------------------------------------------------------------------------

    def _survey(self, now: float, now_ms: int) -> Step[Survey]:
        known, outlook, troubles = self.board.sources, self.outlook, self.chores.troubles
        self.chores.garbage.looks()
        seen = yield from survey(
            self.layout,
            self.heard,
            now=now,
            now_ms=now_ms,
            wanted=outlook.wanted,
            known=known,
            limit=min(1000, len(self.heard) + len(known) + outlook.most_new + 64),
            sweep=outlook.sweep,
            deep=outlook.deep,
            within_s=self.settings.leader_lease * _PATIENCE,
            may_read=lambda key: troubles.allow(key, now),
            largest=self.settings.max_source_bytes,
            moved_ms=self.term.clock_ms(now),
            lanes=outlook.lanes,
            ageing=outlook.ageing,
            handled=pending(self.board),
        )
        for key, fault in seen.missed:
            troubles.met(key, fault or StoreError("get", key), now)
        yield from self.steering.read_control(seen, self.board, now)
        return seen

    def _compare_clocks(self, now: float, now_ms: int) -> None:
        own_s = self.settings.visibility_timeout
        ledgers: dict[str, tuple[str, Ledger | None, float]] = {}
        for session, heard in self.heard.items():
            ledger = heard.ledger if heard.is_read else None
            if heard.ledger is None or not heard.ledger.over:
                age_s = own_s if ledger is None else longest_s(ledger, own_s)
                ledgers[session] = heard.version, ledger, age_s
        self.clocks.look(ledgers, self._me, now, now_ms)

    # ---- commit --------------------------------------------------------------------------------------------

    def _commit(
        self, planned: Planned, replaces: str, now: float, seen: Survey | None
    ) -> Step[Cycled | Deposed | Doubt]:
        # A board that is sent again may have landed when it was sent first.
        self.pending, self._pending_at = (planned, replaces), now
        board = join(planned.board, self.foreign)
        body = self.view.encoded(board)
        outcome = yield from write(self.layout.board, body, nonce=board.nonce, if_version=replaces)
        match outcome:
            case Unknown():
                return Doubt()
            case Overtaken():
                return Deposed()
            case Stored(version):
                self.pending = None
                self.rounds.commit(self.board, planned.board, now)
                self.ended = planned.ended
                self.board, self.version, self.written_at = planned.board, version, now
                self.board_bytes = len(body)
                self.view.learn(board, version)
                return self._cycled(True, planned, now, seen)


def take_office(view: View, layout: Layout, settings: Settings, now: float, now_ms: int) -> Step[Lead]:
    """Learn what may not be admitted again. Only then may anything be assigned.

    The pages are listed after the election, so that none of a replaced coordinator's that counts is missed: it cannot
    take a source off the board any more. A page that cannot be read is reported and tried again: what is on it may run
    again if its producer's request lands late, which is better than that nothing runs.

    Args:
        view: holds the board that `s3queue.core.elect.stand` stored.
        now: steady time, taken before this step was started. now_ms: wall clock.

    Asks: one List per 1,000 retired pages, and one Get for each.
    """
    lead = Lead(layout, view, settings, now, now_ms)
    listed = yield from list_all(layout.retired)
    yield from lead.chores.pages.load([item.key for item in listed], now)
    return lead
