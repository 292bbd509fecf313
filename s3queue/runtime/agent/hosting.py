"""The agent's part as host: reads the board, keeps the ledger, deals what it claims.

One loop. It writes the ledger when `s3queue.runtime.agent.flushes` says so, and between two writes it
only moves messages between pool and workers.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from msgspec.structs import replace

from s3queue.core import elect
from s3queue.core.keys import Layout, parse_source
from s3queue.core.ledger import Flushed, Host, Refused
from s3queue.core.ops import Step, list_page
from s3queue.core.plan import is_finished
from s3queue.errors import CorruptRecord, StoreError
from s3queue.runtime.agent.dealing import Dealer
from s3queue.runtime.agent.flushes import Flushes
from s3queue.runtime.agent.leading import Leading
from s3queue.runtime.agent.station import Bell, Station
from s3queue.runtime.local import wakeups
from s3queue.runtime.local.clock import clock
from s3queue.runtime.local.journal import Journal
from s3queue.runtime.local.wire import Trust

#: Between two looks at what the workers do, while they do something, in seconds.
TICK_S = 0.1
#: So long after a lease has run out its board is looked at, in seconds: clocks are not that exact.
SOON_S = 0.01
#: After so long in a pool that no slot can take from, in seconds, messages are given back, for other hosts.
RELEASE_S = 5.0
#: The first and the longest pause between two looks whether the queues are empty, in seconds.
_EMPTY_S, _EMPTY_MAX_S = 0.1, 2.0


class Fenced(NamedTuple):
    """This session is over, and somebody else may run what it claimed."""


class Hosting:
    """
    Args:
        empty: called once when the served queues hold no message; None if nobody wants to know.
    """

    def __init__(
        self,
        station: Station,
        host: Host,
        dealer: Dealer,
        journal: Journal,
        leading: Leading,
        empty: Callable[[], None] | None,
    ) -> None:
        self._station, self._leading = station, leading
        self.host, self.dealer, self._journal = host, dealer, journal
        self._empty = empty
        self._bell = Bell()
        self._next_look = 0.0
        self._seen = ""
        self._flushes = Flushes(host, station.pace, station.config.visibility_timeout)
        self._stuck_since: float | None = None
        self._next_empty, self._empty_pause = 0.0, _EMPTY_S

    def ring(self) -> None:
        """Something changed: a note from a worker, a new board."""
        self._bell.ring()

    def look_soon(self) -> None:
        """The board may have been replaced."""
        self._next_look = 0.0
        self._bell.ring()

    # ---- the loop ------------------------------------------------------------------------------------------

    async def serve(self) -> Fenced | None:
        """Until the session is over: fenced, or drained and left (None)."""
        wait_s = 0.0
        while True:
            await self._bell.heard(wait_s)
            try:
                if (end := await self._turn()) is not None:
                    return end
                if self.host.over:
                    return None
                wait_s = self._wait_s(clock())
            except StoreError as fault:
                self._station.events.warn("store", f"cannot reach the board or the ledger; trying again: {fault}")
                wait_s = TICK_S
            except CorruptRecord as corrupt:
                self._station.events.warn(corrupt.key, f"left alone: {corrupt}")
                self._next_look = clock() + self._station.pace.idle_s
                wait_s = TICK_S

    async def _turn(self) -> Fenced | None:
        if self._leading.lead is None and clock() >= self._next_look:
            await self._look()
        self._see()
        self._mind_the_workers()
        if self.host.draining and not self.host.leaving and self._is_done():
            self.host.leaving = True
            self.host.changes += 1
        now = clock()
        if now >= self._flushes.next_at(self._left, now):
            if (end := await self._flush(now)) is not None:
                return end
            self._mind_the_workers()
        if self._empty is not None and self._is_idle() and clock() >= self._next_empty:
            await self._look_for_the_end(self._empty)
        return None

    def _wait_s(self, now: float) -> float:
        until = [self._flushes.next_at(self._left, now)]
        if self._leading.lead is None:
            until.append(self._next_look)
        if self.dealer.unfinished or self.dealer.pooled or self.host.draining:
            until.append(now + TICK_S)
        if self._empty is not None and self._is_idle():
            until.append(self._next_empty)
        return max(0.0, min(until) - now)

    # ---- the board -----------------------------------------------------------------------------------------

    async def _look(self) -> None:
        station = self._station
        began = clock()
        changed = await station.run(elect.look(station.view, station.layout, began))
        now, view = clock(), station.view
        view.answered(now)
        # A board without work is a leader's sign of life, and no reason to look again soon.
        busy = bool(self.host.tickets) or (changed and view.board is not None and view.board.is_busy)
        self._next_look = now + station.pace.poll_s(busy=busy)
        if (silent_at := view.silent_at(station.config.leader_lease) + SOON_S) > now:
            self._next_look = min(self._next_look, silent_at)
        await self._leading.stand(began)

    def _see(self) -> None:
        view = self._station.view
        if view.board is not None and view.version != self._seen:
            self._seen = view.version
            self.host.see(view.board)

    # ---- the workers ---------------------------------------------------------------------------------------

    def _mind_the_workers(self) -> None:
        dealer, now = self.dealer, clock()
        self._journal.beat_agent()
        dealer.look()
        if self.host.draining:
            dealer.recall(now, everything=True)
            dealer.release_pool()
            return
        stuck = dealer.recall(now)
        if not stuck:
            self._stuck_since = None
        elif self._stuck_since is None:
            self._stuck_since = now
        elif now - self._stuck_since > RELEASE_S:
            self._stuck_since = None
            dealer.release_pool()
        dealer.deal(now)

    def _is_idle(self) -> bool:
        return not (self.host.tickets or self.dealer.unfinished or self.dealer.pooled)

    def _is_done(self) -> bool:
        """Whether every message of every ticket has an outcome."""
        return not self.dealer.unfinished and not any(held.open for held in self.host.tickets.values())

    # ---- the ledger ----------------------------------------------------------------------------------------

    @property
    def _left(self) -> int:
        return self.dealer.pooled + self.dealer.unfinished

    async def _flush(self, now: float) -> Fenced | None:
        station, host = self._station, self.host
        host.offers = {
            queue: replace(offer, mean_s=round(self.dealer.mean_s(queue, now), 6))
            for queue, offer in host.offers.items()
        }
        host.usage = self._journal.usage()
        self._flushes.begins(self._left, now)
        outcome = await station.run(host.flush(now, station.nonce()))
        match outcome:
            case Refused.FENCED:
                return Fenced()
            case Refused.UNSURE:
                station.events.warn("unsure", "the ledger was sent and not answered; nothing new starts before it is")
            case Flushed():
                self._stored(outcome)
        return None

    def _stored(self, flushed: Flushed) -> None:
        host, journal = self.host, self._journal
        expired = journal.trust_until < clock()
        journal.trust_until = host.trusted_until(self._station.config.visibility_timeout)
        self.dealer.claimed(flushed.claimed)
        self._flushes.stored(flushed.claimed)
        self.dealer.stored()
        if expired:
            self.dealer.tell(Trust())
        self._leading.heard(flushed.ledger, host.version)
        if self._leading.lead is None and flushed.ledger.reports and self._leading.is_local:
            wakeups.wake(self._station.url, self._station.config.namespace)

    # ---- the end -------------------------------------------------------------------------------------------

    async def _look_for_the_end(self, empty: Callable[[], None]) -> None:
        """Whether the served queues hold nothing. A source is deleted only when every message in it is settled, so
        empty listings are proof."""
        board = self._station.view.board
        queues = set(self.host.offers)
        unsettled = board is not None and any(
            parse_source(path).queue in queues and not is_finished(path, state) for path, state in board.sources.items()
        )
        if not unsettled and await self._station.run(holds_nothing(self._station.layout, queues)):
            self._empty = None
            empty()
            return
        self._next_empty = clock() + self._empty_pause
        self._empty_pause = min(_EMPTY_MAX_S, self._empty_pause * 2)


def holds_nothing(layout: Layout, queues: set[str]) -> Step[bool]:
    """Whether no source of these queues exists.

    Asks: one List per queue, and one per 1,000 scheduled sources.
    """
    for prefix in [*map(layout.queue, sorted(queues)), layout.later]:
        after = ""
        while True:
            page = yield from list_page(prefix, after)
            for item in page:
                try:
                    if parse_source(layout.path(item.key)).queue in queues:
                        return False
                except CorruptRecord:
                    continue  # not a message; the coordinator reports it
            if len(page) < 1000:
                break
            after = page[-1].key
    return True
