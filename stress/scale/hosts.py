"""Agents and workers in virtual time.

`SimHost.serve` follows `s3queue.runtime.agent.hosting`, and `SimHost.coordinate` `s3queue.runtime.agent.leading`, with the
production `Host`, `Pace` and steps. What is left out: recalls and releases (no task here takes longer than the mean),
journals and notes (a slot tells at once), and the look every 0.1 s at what workers do, which asks nothing of the store. A
slot is busy for the time to read what it was dealt and the time to run it.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Callable, Generator
from typing import TYPE_CHECKING, Any

from msgspec.structs import replace
from s3queue.core.coordinate import Cycled, Deposed, Doubt, Lead
from s3queue.runtime.agent.hosting import SOON_S, TICK_S
from s3queue.runtime.agent.leading import _RETIRE_S, is_news

from s3queue.core import coordinate, elect, ranges
from s3queue.core.elect import View
from s3queue.core.flushes import Flushes
from s3queue.core.ledger import Flushed, Host, Refused
from s3queue.core.pacing import Pace
from s3queue.core.plan import is_finished
from s3queue.core.records import Board, Leader, Offer, Place
from s3queue.core.survey import Heard
from s3queue.errors import StoreUnavailable
from s3queue.runtime.agent.dealing import PORTION_S
from s3queue.store import Stored
from stress.scale.world import Bell, Running, Sleep

if TYPE_CHECKING:
    from stress.scale.simulation import Simulation

#: From the agent to a worker and back, in seconds.
_HOP_S = 0.0003
#: Bytes of JSON that one process decodes per second; measured, see ``docs/explanation/scale.md``.
_DECODE_BYTES_S = 150e6
#: Sources that a worker keeps decoded; only slices of one batch matter here.
_CACHE = 16


class SimHost:
    """One session on a machine of its own.

    Args:
        spread_s: it starts some time within this.
        leader_gone: it starts on the machine of a leader that is known to be dead.
    """

    def __init__(
        self, sim: Simulation, number: int, part: int, *, spread_s: float = 0.0, leader_gone: bool = False
    ) -> None:
        self.sim, self.number, self.world = sim, number, sim.world
        setting = sim.setting
        self.layout = sim.layouts[part]
        self.session = f"20260824120000-host{number:05}-1-{number:08x}"
        self.place = Place(f"machine-{number:05}", f"/tmp/s3queue/run-{number}/life", f"host{number:05}")
        self.pace = Pace(sim.config, sim.capabilities)
        offers = {name: Offer(mean_s=setting.task_ms / 1000 if setting.measured else 0.0) for name in sim.queues}
        self.host = Host(self.layout, self.session, setting.slots, offers, self.place)
        self.view = View()
        self.lead: Lead | None = None
        self.leader_gone = leader_gone
        self._spread_s = spread_s
        self._bell, self._lead_bell = Bell(), Bell()
        self._next_look, self._seen = 0.0, ""
        self._nonces = 0
        self._pool: deque[tuple[str, int, int]] = deque()
        self._pooled = self._unfinished = 0
        self._flushes = Flushes(self.host, self.pace, sim.config.visibility_timeout)
        self._free = list(range(setting.slots))
        self._mean = setting.task_ms / 1000 if setting.measured else 0.0
        self._caches: list[OrderedDict[str, None]] = [
            OrderedDict() for _ in range(-(-setting.slots // setting.concurrency))
        ]
        self.dead = False
        self._running: list[Running] = []
        self._begin(self.serve(), "host")

    def _begin(self, process: Generator[Any, Any, None], role: str, cpu: float = 0.0) -> Running:
        running = Running(self.world, self.sim.store, process, role=role, cpu=cpu).start()
        self._running.append(running)
        return running

    def kill(self) -> None:
        """The machine is gone."""
        self.dead = True
        for running in self._running:
            running.dead = True

    def _nonce(self) -> str:
        self._nonces += 1
        return f"{self.number:08x}{self._nonces:08x}"

    @property
    def _now_ms(self) -> int:
        return self.sim.now_ms

    # ---- as host -------------------------------------------------------------------------------------------

    def serve(self) -> Generator[Any, Any, None]:
        # Hosts are not started in one moment.
        yield Sleep(self.world.random.uniform(0, self._spread_s))
        wait_s = 0.0
        while self.host.version == "":
            try:
                yield from self.host.flush(self.world.now, self._nonce())
            except StoreUnavailable:
                continue
        while True:
            yield from self._bell.heard(wait_s)
            try:
                if (yield from self._turn()):
                    self.sim.fenced += 1
                    return
                wait_s = self._wait_s()
            except StoreUnavailable:
                wait_s = TICK_S

    def _turn(self) -> Generator[Any, Any, bool]:
        if self.lead is None and self.world.now >= self._next_look:
            yield from self._look()
        self._see()
        self._deal()
        now = self.world.now
        if now >= self._flushes.next_at(self._left, now):
            if (yield from self._flush(now)):
                return True
            self._deal()
        return False

    def _wait_s(self) -> float:
        until = self._flushes.next_at(self._left, self.world.now)
        if self.lead is None:
            until = min(until, self._next_look)
        return max(0.0, until - self.world.now)

    def _look(self) -> Generator[Any, Any, None]:
        began = self.world.now
        changed = yield from elect.look(self.view, self.layout, began)
        if changed:
            size = self.sim.store.size(self.layout.board)
            self.sim.boards_read(size)
            yield Sleep(size / _DECODE_BYTES_S)
        now, view = self.world.now, self.view
        view.answered(now)
        busy = bool(self.host.tickets) or (changed and view.board is not None and view.board.is_busy)
        self._next_look = now + self.pace.poll_s(busy=busy)
        if (silent_at := view.silent_at(self.sim.config.leader_lease) + SOON_S) > now:
            self._next_look = min(self._next_look, silent_at)
        yield from self._stand(began)

    def _see(self) -> None:
        if self.view.board is not None and self.view.version != self._seen:
            self._seen = self.view.version
            self.host.see(self.sim.mine(self, self.view.board))

    # ---- as worker -----------------------------------------------------------------------------------------

    def _deal(self) -> None:
        """Give the free slots what they can start: one message each of a long task, a portion of short ones."""
        while self._free and self._pool:
            share = -(-self._pooled // len(self._free))
            most = 1 if self._mean >= PORTION_S or not self._mean else min(share, max(1, int(PORTION_S / self._mean)))
            name, start, stop = self._pool.popleft()
            held = self.host.tickets.get(name)
            if held is None:
                self._pooled -= stop - start
                continue
            cut = min(stop, start + most)
            if cut < stop:
                self._pool.appendleft((name, cut, stop))
            self._pooled -= cut - start
            self._unfinished += cut - start
            self._run(self._free.pop(), name, start, cut, held.ticket.spans((start, cut)))

    def _run(self, slot: int, name: str, start: int, stop: int, parts: Any) -> None:
        sim, cache = self.sim, self._caches[slot // self.sim.setting.concurrency]
        reads: list[float] = []
        for part in parts:
            sim.starts(part)
            if part.source in cache:
                cache.move_to_end(part.source)
                continue
            reads.append(sim.store.read_s(self.layout.source(part.source), "worker"))
            cache[part.source] = None
            if len(cache) > _CACHE:
                cache.popitem(last=False)
        many = stop - start
        run_s = sum(sim.task_s() for _ in range(many))
        # Several reads go on while the first message runs; eight at a time.
        first_s = _HOP_S + (reads[0] if reads else 0.0)
        whole_s = max(first_s + run_s, sum(reads) / 8)
        sim.started(many, first_s, run_s)
        self.world.after(whole_s, self._ended, (slot, name, start, stop, run_s))

    def _ended(self, what: tuple[int, str, int, int, float]) -> None:
        if self.dead:
            return
        slot, name, start, stop, run_s = what
        many = stop - start
        self._free.append(slot)
        self._unfinished -= many
        mean = max(run_s / many, 1e-7)
        self._mean = mean if not self._mean else self._mean + 0.3 * (mean - self._mean)
        self.host.succeed(name, (start, stop))
        self.sim.ended(many, run_s)
        self._bell.ring()

    # ---- the ledger ----------------------------------------------------------------------------------------

    @property
    def _left(self) -> int:
        return self._pooled + self._unfinished

    def _flush(self, now: float) -> Generator[Any, Any, bool]:
        host = self.host
        self._flushes.begins(self._left, now)
        mean = round(self._mean, 6)
        host.offers = {queue: replace(offer, mean_s=mean) for queue, offer in host.offers.items()}
        outcome = yield from host.flush(now, self._nonce())
        if outcome is Refused.FENCED:
            return True
        if isinstance(outcome, Flushed):
            self._flushes.stored(outcome.claimed)
            for name in outcome.claimed:
                held = host.tickets[name]
                for start, stop in ranges.pairs(held.open):
                    self._pool.append((name, start, stop))
                    self._pooled += stop - start
            if self.lead is not None:
                before = self.lead.heard.get(host.session)
                self.lead.heard[host.session] = Heard(host.version, outcome.ledger)
                if is_news(outcome.ledger, None if before is None else before.ledger):
                    self._lead_bell.ring()
        return False

    # ---- as candidate and coordinator ----------------------------------------------------------------------

    def _stand(self, looked_at: float) -> Generator[Any, Any, None]:
        config = self.sim.config
        gone = self.leader_gone and self.view.board is not None and self.view.board.leader is not None
        if not elect.may_stand(self.view, looked_at, config.leader_lease, me=self.session, leader_gone=gone):
            return
        self.leader_gone = False
        me = Leader(self.session, self.place)
        outcome = yield from elect.stand(self.view, self.layout, me, self._nonce(), lease_s=config.leader_lease)
        if not isinstance(outcome, Stored):
            return
        self.sim.elected(self)
        self.lead = yield from coordinate.take_office(self.view, self.layout, self.sim.settings, self.world.now)
        self.sim.in_office(self, len(self.lead.pages))
        self._begin(self.coordinate(), "coordinator", self.sim.setting.cpu)
        self._lead_bell.ring()

    def coordinate(self) -> Generator[Any, Any, None]:
        wait_s, last = 0.0, float("-inf")
        while (lead := self.lead) is not None:
            rang = yield from self._rest(wait_s)
            if rang and (early := last + self.pace.gap_s(self.world.now) - self.world.now) > 0:
                yield Sleep(early)
            last = self.world.now
            if rang:
                self.pace.asked(last)
            try:
                wait_s = yield from self._cycle(lead)
            except StoreUnavailable:
                wait_s = 1.0

    def _rest(self, wait_s: float) -> Generator[Any, Any, bool]:
        until = self.world.now + wait_s
        while (lead := self.lead) is not None and lead.pending is None:
            beat_at = lead.written_at + self.sim.config.leader_lease / 3
            if beat_at >= until:
                break
            if (yield from self._lead_bell.heard(beat_at - self.world.now)):
                return True
            try:
                outcome = yield from coordinate.show_life(lead, now=self.world.now, nonce=self._nonce())
            except StoreUnavailable:
                return False
            if isinstance(outcome, Deposed):
                self.lead = None
        return (yield from self._lead_bell.heard(until - self.world.now))

    def _cycle(self, lead: Lead) -> Generator[Any, Any, float]:
        began = self.world.now
        outcome = yield from coordinate.cycle(lead, now=began, now_ms=self._now_ms, nonce=self._nonce())
        match outcome:
            case Deposed():
                self.lead = None
                return 0.0
            case Doubt():
                return self.pace.busy_s
            case Cycled():
                self.sim.cycled(self, outcome, began)
                if outcome.committed:
                    self._bell.ring()
                return self._cycle_wait_s(lead, outcome)

    def _cycle_wait_s(self, lead: Lead, cycled: Cycled) -> float:
        pace, board = self.pace, lead.board
        pace.worked(cycled.planned.assigned + sum(one.stop - one.start for one in cycled.settled), self.world.now)
        wait_s = pace.poll_s(busy=bool(board.tickets) or cycled.planned.assigned > 0)
        if any(state.dying for state in board.sources.values()):
            wait_s = pace.floor_s
        elif any(is_finished(path, state) for path, state in board.sources.items()):
            wait_s = min(wait_s, _RETIRE_S)
        return max(wait_s, pace.floor_s)


class Shares:
    """What each session finds on a board, worked out once per board instead of once per host."""

    def __init__(self) -> None:
        self._of: tuple[Board, dict[str, Board]] | None = None

    def mine(self, board: Board, session: str) -> Board:
        if self._of is None or self._of[0] is not board:
            tickets: dict[str, dict[str, Any]] = {}
            for name, ticket in board.tickets.items():
                tickets.setdefault(ticket.session, {})[name] = ticket
            empty = replace(board, tickets={}, sources={})
            self._of = board, {owner: replace(empty, tickets=mine) for owner, mine in tickets.items()}
            self._empty = empty
        return self._of[1].get(session, self._empty)


def remembering(decode: Callable[..., Any]) -> Callable[..., Any]:
    """Records are frozen, and a thousand hosts read the same board: decode each body once, and count the time for each
    reader (`_DECODE_BYTES_S`)."""
    kept: OrderedDict[int, tuple[bytes, Any]] = OrderedDict()

    def decoded(kind: Any, key: str, body: bytes) -> Any:
        held = kept.get(id(body))
        if held is None or held[0] is not body:
            held = kept[id(body)] = body, decode(kind, key, body)
            if len(kept) > 64:
                kept.popitem(last=False)
        return held[1]

    return decoded
