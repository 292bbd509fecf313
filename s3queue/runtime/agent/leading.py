"""The agent's part as candidate and as coordinator: stands when nobody leads, and runs one cycle after the other."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from s3queue.core import coordinate, elect
from s3queue.core.coordinate import Cycled, Deposed, Doubt, Lead
from s3queue.core.ops import Step
from s3queue.core.plan import is_finished
from s3queue.core.records import Leader, Ledger
from s3queue.core.survey import Heard
from s3queue.errors import CorruptRecord, StoreError
from s3queue.runtime.agent.station import Bell, Station
from s3queue.runtime.local import folder, life
from s3queue.runtime.local.clock import clock
from s3queue.store import Stored

#: A finished source stays on the board until a page of retired ids is written; look again soon after that is possible.
_RETIRE_S = 1.0


def is_news(ledger: Ledger, before: Ledger | None) -> bool:
    """Whether a ledger that was stored gives the coordinator something to decide: something to take over, or a host that
    came, ended, or takes more or less than before. Not that it still has nothing to do, and not that it has forgotten what
    a board has taken over: that board was ours."""
    if before is None or ledger.over:
        return True
    return bool(ledger.reports) or ledger.slots != before.slots


class Leading:
    """
    Args:
        committed: called after each new board.

    Attributes:
        lead: what the coordinator knows; None while somebody else leads.
    """

    def __init__(self, station: Station, committed: Callable[[], None]) -> None:
        self._station = station
        self._committed = committed
        self._bell = Bell()
        self._cleaning: asyncio.Task[None] | None = None
        self._ring_when_clean = False
        self.lead: Lead | None = None

    def ring(self) -> None:
        """There may be something to decide."""
        self._bell.ring()

    def heard(self, ledger: Ledger, version: str) -> None:
        """Our own ledger was stored: the coordinator of this process need not read it."""
        if self.lead is not None:
            before = self.lead.heard.get(ledger.session)
            self.lead.heard[ledger.session] = Heard(version, ledger)
            if is_news(ledger, None if before is None else before.ledger):
                self.ring()

    @property
    def is_local(self) -> bool:
        """Whether the leader runs on this machine, and so hears and sends wake-ups."""
        board = self._station.view.board
        return (
            board is not None
            and board.leader is not None
            and bool(board.leader.place.machine)
            and board.leader.place.machine == folder.machine()
        )

    # ---- election ------------------------------------------------------------------------------------------

    async def stand(self, looked_at: float) -> None:
        """Try to lead, if the last look at the board allows it.

        Args:
            looked_at: when that look began.
        """
        station, view = self._station, self._station.view
        leader = view.board.leader if view.board is not None else None
        if not elect.may_stand(
            view,
            looked_at,
            station.config.leader_lease,
            me=station.session,
            leader_gone=leader is not None and self._is_gone(leader),
        ):
            return
        outcome = await station.coordinate(elect.stand(view, station.layout, station.me, station.nonce()))
        if not isinstance(outcome, Stored):
            return
        self.lead = await station.coordinate(coordinate.take_office(view, station.layout, station.settings, clock()))
        for corrupt in self.lead.corrupt:
            station.events.warn(corrupt.key, f"left alone: {corrupt}")
        station.events.emit("elected", session=station.session, epoch=self.lead.board.epoch)
        self.ring()

    def _is_gone(self, leader: Leader) -> bool:
        """Whether it is certain from here that this leader is dead. One that has our supervisor is an agent before us,
        which was reaped before we were started."""
        place = self._station.place
        ours = bool(place.machine) and leader.place == place and leader.session != self._station.session
        return ours or life.gone(leader.place)

    async def resign(self) -> None:
        if self.lead is not None and self.lead.pending is None:
            await self._station.coordinate(
                elect.resign(self._station.view, self._station.layout, self._station.nonce())
            )
        self.lead = None

    # ---- cycles --------------------------------------------------------------------------------------------

    async def serve(self) -> None:
        """Cycle for as long as this session leads; wait while it does not."""
        wait_s, last = 0.0, float("-inf")
        while True:
            rang = await self._rest(wait_s)
            if self.lead is None:
                wait_s = 60.0
                continue
            if rang and (early := last + self._station.pace.gap_s(clock()) - clock()) > 0:
                await asyncio.sleep(early)
            last = clock()
            if rang:
                self._station.pace.asked(last)
            try:
                wait_s = await self.cycle()
            except StoreError as fault:
                self._station.events.warn("store", f"cannot coordinate now; trying again: {fault}")
                wait_s = 1.0

    async def _rest(self, wait_s: float) -> bool:
        """Wait, and show meanwhile that we live. Returns whether somebody rang."""
        station, until = self._station, clock() + wait_s
        while (lead := self.lead) is not None and lead.pending is None:
            beat_at = lead.written_at + station.config.leader_lease / 3
            if beat_at >= until:
                break
            if await self._bell.heard(beat_at - clock()):
                return True
            try:
                outcome = await station.coordinate(coordinate.show_life(lead, now=clock(), nonce=station.nonce()))
            except StoreError:
                return False  # the cycle says so, if the store does not answer that either
            match outcome:
                case Cycled():
                    self._committed()
                case Deposed():
                    self._depose()
                case Doubt():
                    return False  # the same board again, before the lease runs out
        return await self._bell.heard(until - clock())

    def _depose(self) -> None:
        self.lead = None
        self._station.events.emit("deposed", session=self._station.session)

    async def cycle(self, *, apart: bool = True) -> float:
        """One cycle. Returns the time to the next one, in seconds, unless somebody rings.

        Args:
            apart: clean up beside the next cycles: deleting thousands of objects takes seconds.
        """
        station, lead = self._station, self.lead
        assert lead is not None
        now, now_ms = clock(), station.now_ms()
        outcome = await station.coordinate(
            coordinate.cycle(lead, now=now, now_ms=now_ms, nonce=station.nonce(), gone=self._gone(lead), apart=apart)
        )
        match outcome:
            case Deposed():
                self._depose()
                return 0.0
            case Doubt():
                station.events.warn("doubt", "a new board was sent and not answered; sending it again")
                return station.pace.busy_s
            case Cycled():
                self._tell(outcome)
                if outcome.committed:
                    self._committed()
                if outcome.rest is not None:
                    self._clean_up(outcome.rest)
                return self._wait_s(lead, outcome)

    def _clean_up(self, rest: Step[None]) -> None:
        """Begin it, unless an earlier one is not over; then a later cycle finds what there is to clean up."""
        if self._cleaning is not None and not self._cleaning.done():
            self._ring_when_clean = True
            return
        self._ring_when_clean = False
        self._cleaning = asyncio.create_task(self._clean(rest))

    async def _clean(self, rest: Step[None]) -> None:
        try:
            await self._station.coordinate(rest)
        except StoreError as fault:
            self._station.events.warn("store", f"cannot clean up now; trying again: {fault}")
        if self._ring_when_clean:
            self.ring()

    async def stop(self) -> None:
        """Begin nothing more. The last cycle, if there is one, cleans up itself."""
        if self._cleaning is not None:
            self._cleaning.cancel()
            await asyncio.wait({self._cleaning})

    def _gone(self, lead: Lead) -> list[str]:
        return [
            session
            for session, heard in lead.heard.items()
            if heard.ledger is not None and not heard.ledger.over and life.gone(heard.ledger.place)
        ]

    def _tell(self, cycled: Cycled) -> None:
        events = self._station.events
        for session in cycled.fenced:
            events.emit("fenced", session=session)
        for corrupt in cycled.corrupt:
            self._warn(corrupt)
        if events.wants("settled"):
            for one in cycled.settled:
                events.emit("settled", **one._asdict())

    def _warn(self, corrupt: CorruptRecord) -> None:
        self._station.events.warn(corrupt.key, f"left alone: {corrupt}")

    def _wait_s(self, lead: Lead, cycled: Cycled) -> float:
        pace, board = self._station.pace, lead.board
        pace.worked(cycled.planned.assigned + sum(one.stop - one.start for one in cycled.settled), clock())
        wait_s = pace.poll_s(busy=bool(board.tickets) or cycled.planned.assigned > 0)
        if any(state.dying for state in board.sources.values()):
            wait_s = pace.floor_s
        elif any(is_finished(path, state) for path, state in board.sources.items()):
            wait_s = min(wait_s, _RETIRE_S)
        if cycled.next_due_ms is not None:
            wait_s = min(wait_s, max(0.0, (cycled.next_due_ms - self._station.now_ms()) / 1000))
        return max(wait_s, pace.floor_s)
