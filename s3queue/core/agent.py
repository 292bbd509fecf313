"""The agent's loops: host and coordinator of one session, as programs.

These are the loops that run in production, in the simulator and in the scale model. A program yields operations on the
store and waits; everything else that it needs of the world is an `Environment`, and the workers of its host are a `Crew`.
`s3queue.runtime.agent` runs the programs with an event loop, threads and sockets.

One agent runs these programs at the same time, over one view of the board:

- `Agent.join`, then `Agent.serve`: reads the board, keeps the ledger, deals what it claims.
- `Agent.coordinate`: stands when nobody leads, and runs one cycle after the other when elected.
- `Agent.do_chores`, `CHORES_AT_ONCE` times: what follows from committed boards.
- `Agent.hand_over`, at the end of a session that left.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from enum import Enum
from typing import NamedTuple, Protocol

from msgspec.structs import replace

from s3queue.core import elect, ledger
from s3queue.core.chores import CHORES_AT_ONCE
from s3queue.core.cycle import Cycled, Deposed, Doubt, Lead, take_office
from s3queue.core.elect import View
from s3queue.core.flushes import Flushes
from s3queue.core.keys import Layout, parse_source
from s3queue.core.ledger import Flushed, Host, Refused
from s3queue.core.ops import Program, Signal, Step, list_page, wait
from s3queue.core.pacing import Backoff, Pace
from s3queue.core.plan import Settings, is_finished
from s3queue.core.records import Leader, Place, Report, Usage
from s3queue.errors import CorruptRecord, StoreDenied, StoreError
from s3queue.store import Stored

#: Seconds between two looks at what the workers do, while they do something.
TICK_S = 0.1
#: Seconds after the end of a lease at which its board is read: clocks are not that exact.
SOON_S = 0.01
#: Seconds after which messages are given back that lie in the pool while no slot can take them.
RELEASE_S = 5.0
#: Seconds of the first and of the longest pause between two looks whether the queues are empty.
_EMPTY_S, _EMPTY_MAX_S = 0.1, 2.0
#: Seconds until the next cycle where a finished source stays on the board: a retired page may be written soon.
_RETIRE_S = 1.0
#: Share of the lease, or of the visibility timeout, that a pause after an error takes at most.
_LONGEST_PAUSE = 1 / 6
#: Tries to end the session of an agent that died, before the board is read again.
_TRIES = 5


class Ending(Enum):
    """FENCED: the session is over, and somebody else may run what it claimed: exit at once. LEFT: drained, and gone."""

    FENCED = "fenced"
    LEFT = "left"


class Environment(Protocol):
    """What surrounds an agent: its clocks, its randomness, its machine, and whoever wants to know."""

    def now(self) -> float:
        """Steady time in seconds, on a clock that counts suspension."""

    def now_ms(self) -> int:
        """Wall clock in milliseconds."""

    def nonce(self) -> str:
        """Fresh, for one write."""

    def is_gone(self, session: str, place: Place) -> bool:
        """Whether it is certain from here that all processes of this session have ended."""

    def is_local(self, place: Place) -> bool:
        """Whether that is this machine, where wake-ups are heard."""

    def wake_machine(self) -> None:
        """Wake the other agents of this machine: there is something new."""

    def trust(self, until: float) -> None:
        """Tasks may be started until then."""

    def usage(self) -> dict[str, Usage]:
        """What this host has asked of the store, by role."""

    def queues_are_empty(self) -> None:
        """The served queues hold no message. Told once, and only where it was asked for."""

    def emit(self, kind: str, **fields: object) -> None:
        """Something happened."""

    def warn(self, key: str, text: str) -> None:
        """Something is wrong with this object, or with the store."""

    def fault(self, what: str, fault: Exception) -> None:
        """Something failed that should not, in our own code: tell it with its traceback."""

    def mark(self, what: str) -> None:
        """Something happened that does not happen in every run."""


class Crew(Protocol):
    """The workers of this host: what is dealt to them, and what they made of it."""

    @property
    def pooled(self) -> int:
        """Claimed messages that no worker has."""

    @property
    def unfinished(self) -> int:
        """Messages that workers have and that have not ended."""

    def look(self) -> None: ...
    def deal(self, now: float) -> None: ...
    def recall(self, now: float, *, everything: bool = False) -> bool: ...
    def release_pool(self) -> None: ...
    def claimed(self, names: Iterable[str]) -> None: ...
    def stored(self) -> None: ...
    def mean_s(self, queue: str, now: float) -> float: ...


class Terms(NamedTuple):
    """What an agent lives by besides the plan's settings.

    Attributes:
        until_empty: say so once the served queues hold no message.
        stands: whether it stands for election.
    """

    until_empty: bool = False
    stands: bool = True


class Agent:
    """One session.

    Args:
        host: its side of the ledger.
        me: who leads if this session is elected.

    Attributes:
        view: of the board; what this process commits as coordinator, its host sees without a request.
        lead: what the coordinator knows; None while somebody else leads.
    """

    def __init__(
        self,
        layout: Layout,
        host: Host,
        crew: Crew,
        pace: Pace,
        settings: Settings,
        env: Environment,
        me: Leader,
        terms: Terms = Terms(),  # noqa: B008 - frozen
    ) -> None:
        self.layout, self.host, self.crew, self.pace, self.settings = layout, host, crew, pace, settings
        self.env, self.me, self.terms = env, me, terms
        self.view = View()
        self.lead: Lead | None = None
        self._bell, self._lead_bell = Signal(), Signal()
        self._chore_bells = [Signal() for _ in range(CHORES_AT_ONCE)]
        self._flushes = Flushes(host, pace, settings.visibility_timeout)
        self._host_backoff = Backoff(TICK_S, settings.visibility_timeout * _LONGEST_PAUSE)
        self._lead_backoff = Backoff(TICK_S, settings.leader_lease * _LONGEST_PAUSE)
        self._next_look, self._seen = 0.0, ""
        self._stuck_since: float | None = None
        self._wants_empty = terms.until_empty
        self._next_empty, self._empty_pause = 0.0, _EMPTY_S
        self._stand_at: float | None = None
        self._wants_survey = False
        self._never = Signal()

    # ---- what reaches it -----------------------------------------------------------------------------------

    def ring(self) -> None:
        """A note came from a worker, or from the supervisor."""
        self._bell.ring()

    def wake(self) -> None:
        """Somebody on this machine has enqueued, committed or reported something."""
        if self.lead is not None:
            self._ring_lead()
        elif self.is_led_here:
            self._next_look = 0.0
            self._bell.ring()

    def drain(self) -> None:
        """Take nothing more, finish or give back what is held, and leave."""
        if not self.host.draining:
            self.host.drain()
        self._bell.ring()

    @property
    def is_led_here(self) -> bool:
        """Whether the leader runs on this machine, and so hears and sends wake-ups."""
        board = self.view.board
        return board is not None and board.leader is not None and self.env.is_local(board.leader.place)

    def _ring_lead(self, *, survey: bool = True) -> None:
        """There may be something to decide.

        Args:
            survey: it takes a survey to see it.
        """
        self._wants_survey = self._wants_survey or survey
        self._lead_bell.ring()

    # ---- the beginning -------------------------------------------------------------------------------------

    def join(self, orphaned: Sequence[str] = (), outcomes: Mapping[str, Report] | None = None) -> Program[bool]:
        """End the sessions of the agents that died before this one, and store the first ledger. Waits for the store.

        Args:
            orphaned: their sessions. outcomes: what the journals of their workers say, by ticket.

        Returns:
            Whether the session has begun. False: nobody knows whether its ledger is there, and a session that is in doubt
            is not used: exit, and start another one.
        """
        waiting = list(orphaned)
        while waiting or not self.host.version:
            try:
                if waiting:
                    yield from elect.look(self.view, self.layout, self.env.now())
                    nonces = [self.env.nonce() for _ in range(_TRIES)]
                    step = ledger.bequeath(self.view, self.layout, waiting[0], outcomes or {}, nonces)
                    if (yield from step):
                        del waiting[0]
                elif (yield from self.host.flush(self.env.now(), self.env.nonce())) is Refused.FENCED:
                    return False
                self._host_backoff.worked()
            except (StoreError, CorruptRecord) as fault:
                if waiting and isinstance(fault, StoreDenied) and fault.key == self.layout.host(waiting[0]):
                    # One ledger is no reason not to start. The coordinator fences it when it has been silent for long
                    # enough, if it can.
                    self.env.warn(fault.key, f"left to the coordinator: {fault}")
                    del waiting[0]
                    continue
                self.env.warn("store", f"cannot join yet, trying again: {fault}")
                yield from wait(self.env.now() + self._host_backoff.failed(), self._never)
        self.env.trust(self.host.trusted_until(self.settings.visibility_timeout))
        return True

    # ---- the host ------------------------------------------------------------------------------------------

    def serve(self) -> Program[Ending]:
        """Until the session is over."""
        env, until = self.env, 0.0
        while True:
            yield from wait(until, self._bell)
            try:
                if (yield from self._turn()):
                    return Ending.FENCED
                if self.host.over:
                    return Ending.LEFT
                self._host_backoff.worked()
                until = self._wait_until(env.now())
            except (StoreError, CorruptRecord) as fault:
                if self.host.pending is not None:
                    env.mark("a flush was not answered")
                if self._is_shut_out(fault):
                    env.warn(fault.key, f"this session is given up: {fault}")
                    return Ending.FENCED
                env.warn(fault.key or "store", f"cannot use the board or the ledger, trying again: {fault}")
                yield from self._mind_until(env.now() + self._host_backoff.failed())
                until = 0.0

    def _is_shut_out(self, fault: Exception) -> bool:
        """Whether the store refuses this session's ledger for so long that others have taken it for dead. What runs is
        theirs by now; another session has another ledger."""
        host = self.host
        if not (isinstance(fault, StoreDenied) and fault.key == host.key and host.trusted_from is not None):
            return False
        return self.env.now() - host.trusted_from > self.settings.visibility_timeout

    def _mind_until(self, until: float) -> Program[None]:
        """Nothing is asked of the store for a while. The workers go on."""
        while (now := self.env.now()) < until:
            yield from wait(min(until, now + TICK_S), self._never)
            self._mind_the_workers()

    def _turn(self) -> Program[bool]:
        """Returns whether the session was fenced."""
        host, env = self.host, self.env
        if self.lead is None and env.now() >= self._next_look:
            yield from self._look()
        self._see()
        self._mind_the_workers()
        if host.draining and not host.leaving and self._is_done():
            host.leave()
        now = env.now()
        if now >= self._flushes.next_at(self._left, now):
            if (yield from self._flush(now)):
                return True
            self._mind_the_workers()
        if self._wants_empty and self._is_idle() and env.now() >= self._next_empty:
            yield from self._look_for_the_end()
        return False

    def _wait_until(self, now: float) -> float:
        until = [self._flushes.next_at(self._left, now)]
        if self.lead is None:
            until.append(self._next_look)
        if self.crew.unfinished or self.crew.pooled or self.host.draining:
            until.append(now + TICK_S)
        if self._wants_empty and self._is_idle():
            until.append(self._next_empty)
        return min(until)

    def _look(self) -> Program[None]:
        """Read the board, and stand if nobody leads."""
        env, view, pace = self.env, self.view, self.pace
        began = env.now()
        changed = yield from elect.look(view, self.layout, began)
        now = env.now()
        view.answered(now)
        if view.is_gone:
            env.warn(
                self.layout.board,
                "the board was deleted while hosts run: nothing is assigned until it is founded anew "
                "(s3queue board restore)",
            )
        # A board without work is a leader's heartbeat: the next one need not be read soon.
        busy = bool(self.host.tickets) or (changed and view.board is not None and view.board.is_busy)
        self._next_look = now + pace.poll_s(busy=busy, changed=changed, now=now)
        if (silent_at := view.silent_at(self.settings.leader_lease) + SOON_S) > now:
            self._next_look = min(self._next_look, silent_at)
        if self.terms.stands and not view.is_gone and self._may_stand(began):
            self._stand_at = began
            self._lead_bell.ring()

    def _see(self) -> None:
        view = self.view
        if view.board is not None and view.version != self._seen:
            self._seen = view.version
            self.host.see(view.board)

    def _mind_the_workers(self) -> None:
        crew, now = self.crew, self.env.now()
        crew.look()
        if self.host.draining:
            crew.recall(now, everything=True)
            crew.release_pool()
            return
        stuck = crew.recall(now)
        if not stuck:
            self._stuck_since = None
        elif self._stuck_since is None:
            self._stuck_since = now
        elif now - self._stuck_since > RELEASE_S:
            self._stuck_since = None
            crew.release_pool()
        crew.deal(now)

    def _is_idle(self) -> bool:
        return not (self.host.tickets or self._left)

    def _is_done(self) -> bool:
        return not self.crew.unfinished and self.host.is_done

    @property
    def _left(self) -> int:
        return self.crew.pooled + self.crew.unfinished

    # ---- its ledger ----------------------------------------------------------------------------------------

    def _flush(self, now: float) -> Program[bool]:
        """Returns whether the session was fenced."""
        env, host = self.env, self.host
        host.offers = {
            queue: replace(offer, mean_s=round(self.crew.mean_s(queue, now), 6)) for queue, offer in host.offers.items()
        }
        host.usage = env.usage()
        self._flushes.begins(self._left, now)
        outcome = yield from host.flush(now, env.nonce())
        match outcome:
            case Refused.FENCED:
                return True
            case Refused.UNSURE:
                env.warn("unsure", "the ledger was sent and not answered; nothing new starts before it is")
            case Flushed():
                self._stored(outcome)
        return False

    def _stored(self, flushed: Flushed) -> None:
        self.env.trust(self.host.trusted_until(self.settings.visibility_timeout))
        self.crew.claimed(flushed.claimed)
        self._flushes.stored(flushed.claimed)
        self.crew.stored()
        if self.lead is not None:
            if self.lead.enter(flushed.ledger, self.host.version):
                self._ring_lead()
        elif flushed.ledger.reports and self.is_led_here:
            self.env.wake_machine()

    # ---- whether anything is left --------------------------------------------------------------------------

    def _look_for_the_end(self) -> Program[None]:
        """Whether the served queues hold nothing. A source is deleted only when every message in it is settled, so
        empty listings are proof."""
        board, queues = self.view.board, set(self.host.offers)
        unsettled = board is not None and any(
            parse_source(path).queue in queues and not is_finished(path, state) for path, state in board.sources.items()
        )
        if not unsettled and (yield from holds_nothing(self.layout, queues, self.settings.max_source_bytes)):
            self._wants_empty = False
            self.env.queues_are_empty()
            return
        self._next_empty = self.env.now() + self._empty_pause
        self._empty_pause = min(_EMPTY_MAX_S, self._empty_pause * 2)

    # ---- the coordinator -----------------------------------------------------------------------------------

    def coordinate(self) -> Program[None]:
        """Stand when a look allows it, and cycle for as long as this session leads."""
        env, until, last = self.env, math.inf, -math.inf
        while True:
            rang = yield from self._rest(until)
            try:
                if self.lead is None:
                    until = math.inf
                    if (looked_at := self._stand_at) is not None:
                        self._stand_at = None
                        until = yield from self._stand(looked_at)
                    continue
                if rang and (at := last + self.pace.gap_s(env.now())) > env.now():
                    yield from wait(at, self._never)
                last = env.now()
                if rang:
                    self.pace.asked(last)
                survey, self._wants_survey = self._wants_survey or not rang, False
                until = env.now() + (yield from self.cycle(survey=survey))
                self._lead_backoff.worked()
            except Exception as fault:  # noqa: BLE001 - one cycle's; the next one is another
                if isinstance(fault, StoreError):
                    env.warn("store", f"cannot coordinate now, trying again: {fault}")
                elif isinstance(fault, CorruptRecord):
                    env.warn(fault.key, f"left alone: {fault}")
                else:
                    env.fault("cycle", fault)
                self._wants_survey = True
                yield from wait(env.now() + self._lead_backoff.failed(), self._never)
                until = 0.0

    def _may_stand(self, looked_at: float) -> bool:
        leader = self.view.board.leader if self.view.board is not None else None
        gone = leader is not None and self.env.is_gone(leader.session, leader.place)
        return elect.may_stand(self.view, looked_at, self.settings.leader_lease, me=self.me.session, leader_gone=gone)

    def _stand(self, looked_at: float) -> Program[float]:
        """Returns the steady time of the first cycle."""
        env, view = self.env, self.view
        if not self._may_stand(looked_at):
            return math.inf
        before = view.board.leader if view.board is not None else None
        outcome = yield from elect.stand(view, self.layout, self.me, env.nonce())
        if not isinstance(outcome, Stored):
            self._next_look = 0.0
            self._bell.ring()
            return math.inf
        if before is not None:
            if before.session == self.me.session:
                env.mark("an unanswered election was found out")
            elif env.is_gone(before.session, before.place):
                env.mark("a leader that was gone was replaced at once")
        lead = yield from take_office(view, self.layout, self.settings, env.now(), env.now_ms())
        if view.board is None or view.board.epoch != lead.epoch:
            return math.inf
        self.lead = lead
        if lead.epoch > 1:
            env.mark("another leader")
        if lead.window:
            env.mark("a new leader read retired pages")
        for corrupt in lead.chores.pages.corrupt:
            env.warn(corrupt.key, f"left alone: {corrupt}")
        env.emit("elected", session=self.me.session, epoch=lead.epoch)
        self._wants_survey = True
        return 0.0

    def _depose(self) -> None:
        self.lead = None
        self.env.mark("a leader was deposed")
        self.env.emit("deposed", session=self.me.session)
        self._next_look = 0.0
        self._bell.ring()

    def _rest(self, until: float) -> Program[bool]:
        """Wait, and write heartbeats meanwhile. Returns whether somebody rang."""
        env = self.env
        while (lead := self.lead) is not None and lead.pending is None:
            beat_at = lead.written_at + self.settings.leader_lease / 3
            if beat_at >= until:
                break
            if (yield from wait(beat_at, self._lead_bell)):
                return True
            try:
                outcome = yield from lead.beat(now=env.now(), nonce=env.nonce())
            except StoreError:
                env.mark("a heartbeat was not answered")
                return False  # the cycle says so, if the store does not answer that either
            match outcome:
                case Cycled():
                    env.mark("a leader wrote a heartbeat between cycles")
                    self._committed()
                case Deposed():
                    env.mark("a leader was deposed by its heartbeat")
                    self._depose()
                    return False
                case Doubt():
                    env.mark("a heartbeat was not answered")
                    return False  # the same board again, before the lease runs out
        return (yield from wait(until, self._lead_bell))

    def cycle(self, *, survey: bool = True) -> Program[float]:
        """One cycle. Returns the seconds to the next one, unless somebody rings."""
        env, lead = self.env, self.lead
        assert lead is not None
        if lead.pending is not None:
            env.mark("a board in doubt was sent again")
        gone = [
            session
            for session, heard in lead.heard.items()
            if heard.ledger is not None and not heard.ledger.over and env.is_gone(session, heard.ledger.place)
        ]
        outcome = yield from lead.cycle(
            now=env.now(), now_ms=env.now_ms(), nonce=env.nonce(), gone=gone, clock=env.now, look=survey
        )
        match outcome:
            case Deposed():
                self._depose()
                return 0.0
            case Doubt():
                env.warn("doubt", "a new board was sent and not answered; sending it again")
                return self.pace.busy_s
            case Cycled():
                self._tell(lead, outcome)
                if outcome.committed:
                    self._committed()
                self._chore_bells[0].ring()
                return self._cycle_wait_s(lead, outcome)

    def _committed(self) -> None:
        self._bell.ring()
        lead = self.lead
        if lead is not None and any(ticket.session != self.me.session for ticket in lead.board.tickets.values()):
            self.env.wake_machine()

    def _tell(self, lead: Lead, cycled: Cycled) -> None:
        env = self.env
        if cycled.planned.refused:
            env.mark("a late request of a producer was refused")
        for corrupt in cycled.corrupt:
            env.warn(corrupt.key, f"left alone: {corrupt}")
        for one in cycled.settled:
            env.emit("settled", **one._asdict())
        self._tell_chores(lead)

    def _tell_chores(self, lead: Lead) -> None:
        env, fences = self.env, lead.chores.fences
        for session in fences.done:
            env.emit("fenced", session=session)
        fences.done.clear()
        for corrupt in fences.corrupt:
            env.warn(corrupt.key, f"left alone: {corrupt}")
        fences.corrupt.clear()
        for key, fault in lead.chores.troubles.take_new():
            env.warn(key, f"cannot be read or written now, trying again later: {fault}")

    def _cycle_wait_s(self, lead: Lead, cycled: Cycled) -> float:
        pace, board, now = self.pace, lead.board, self.env.now()
        settled = sum(one.stop - one.start for one in cycled.settled)
        pace.worked(cycled.planned.assigned + settled, now)
        busy = bool(board.tickets) or cycled.planned.assigned > 0
        wait_s = pace.poll_s(busy=busy, changed=cycled.planned.changed, now=now)
        if any(is_finished(path, state) for path, state in board.sources.items()):
            wait_s = min(wait_s, _RETIRE_S)
        if cycled.next_due_ms is not None:
            wait_s = min(wait_s, max(0.0, (cycled.next_due_ms - self.env.now_ms()) / 1000))
        return max(wait_s, pace.floor_s)

    # ---- chores --------------------------------------------------------------------------------------------

    def do_chores(self, number: int) -> Program[None]:
        """One chore after the other.

        Args:
            number: of this program, from 0. Each wakes the next when it has something to do.
        """
        env, bell = self.env, self._chore_bells[number]
        while True:
            step = self._take_chore()
            if step is None:
                until = math.inf if self.lead is None or number else self.lead.chores.next_at(env.now())
                yield from wait(max(until, env.now() + TICK_S), bell)
                continue
            if number + 1 < CHORES_AT_ONCE:
                self._chore_bells[number + 1].ring()
            yield from self._do(step)

    def _take_chore(self) -> Step[bool] | None:
        env, lead = self.env, self.lead
        return None if lead is None else lead.chores.take(env.now(), env.now_ms(), env.nonce())

    def _do(self, step: Step[bool]) -> Program[None]:
        env, lead = self.env, self.lead
        try:
            news = yield from step
        except Exception as fault:  # noqa: BLE001 - one chore's; it is found again by a later cycle
            env.fault("chore", fault)
            yield from wait(env.now() + 1.0, self._never)
            return
        if lead is not None and self.lead is lead:
            self._tell_chores(lead)
            if news:
                self._ring_lead(survey=False)

    # ---- the end -------------------------------------------------------------------------------------------

    def hand_over(self) -> Program[None]:
        """The ledger says that we left, and the other programs have ended. Settle what can be settled for others, and make
        room for the next leader."""
        lead = self.lead
        try:
            if lead is not None:
                yield from self.cycle()
            while self.lead is not None and (step := self._take_chore()) is not None:
                yield from self._do(step)
            if self.lead is not None and self.lead.pending is None:
                yield from elect.resign(self.view, self.layout, self.env.nonce())
                self.env.mark("a leader resigned")
        except StoreError as fault:
            self.env.warn("store", f"left without resigning; the lease runs out: {fault}")
        self.lead = None


def holds_nothing(layout: Layout, queues: set[str], largest: float = math.inf) -> Step[bool]:
    """Whether no source of these queues exists that could run; one of more bytes than ``largest`` never does.

    Asks: one List per queue, and one per 1,000 scheduled sources.
    """
    for prefix in [*map(layout.queue, sorted(queues)), layout.later]:
        after = ""
        while True:
            page = yield from list_page(prefix, after)
            for item in page:
                try:
                    if parse_source(layout.path(item.key)).queue in queues and item.size <= largest:
                        return False
                except CorruptRecord:
                    continue  # not a message; the coordinator reports it
            if len(page) < 1000:
                break
            after = page[-1].key
    return True
