"""The coordinator's loop: stands for election when there is no leader, then runs cycles and their chores."""

from __future__ import annotations

import math
from collections.abc import Callable

from s3queue.core import elect
from s3queue.core.agent.environment import LONGEST_PAUSE, TICK_S, Post
from s3queue.core.agent.precedence import Precedence
from s3queue.core.agent.telling import Telling
from s3queue.core.agent.warnings import skipped, tell_chores, warn_of
from s3queue.core.chores import CHORES_AT_ONCE
from s3queue.core.cycle import Cycled, Deposed, Doubt, Lead, take_office
from s3queue.core.ops import Program, Signal, Step, Unknown, wait
from s3queue.core.pacing import Backoff
from s3queue.core.plan import is_finished
from s3queue.core.records import Ledger
from s3queue.core.restore import was_led
from s3queue.errors import CorruptRecord, StoreError, StoreUnsupported
from s3queue.store import Stored

#: Warning where the board was deleted.
NO_BOARD = (
    "the board of this namespace was deleted, and no message is assigned until it is restored; "
    "find out which program deletes objects in this bucket, then run: s3queue board restore"
)
#: How often a host that leaves during its election looks for the board that may name it.
_LOOKS = 3
#: Seconds until the next cycle while a finished source is on the board: its retired page may be due.
_RETIRE_S = 1.0


class Leading:
    """
    Args:
        look: makes the host read the board at once.
        committed: tells the host that there is a new board.

    Attributes:
        lead: the coordinator's state; None while another session leads.
    """

    def __init__(self, post: Post, look: Callable[[], None], committed: Callable[[], None]) -> None:
        self._post, self._look, self._tell_host = post, look, committed
        self._signal, self._never = Signal(), Signal()
        self._chore_signals = [Signal() for _ in range(CHORES_AT_ONCE)]
        self._precedence = Precedence(post.env, CHORES_AT_ONCE, holds=post.settings.letters_at_once == 1)
        self._backoff = Backoff(TICK_S, post.settings.leader_lease * LONGEST_PAUSE)
        self._looked_at: float | None = None
        self._wants_survey = False
        self.lead: Lead | None = None
        #: Whether an election of ours was sent, and its term has not begun.
        self._is_standing = False
        self._telling = Telling(post.env, post.layout, {})

    def wake(self, *, survey: bool = True) -> None:
        """Start a cycle soon.

        Args:
            survey: the cycle has to survey.
        """
        self._wants_survey = self._wants_survey or survey
        self._signal.set()

    def looked(self, looked_at: float) -> None:
        """The host has read the board. Stand for election if the board allows it.

        Args:
            looked_at: steady time before that read.
        """
        if self.may_stand(looked_at):
            self._looked_at = looked_at
            self._signal.set()

    def stored(self, ledger: Ledger, version: str) -> None:
        """The ledger of our own host was stored."""
        if self.lead is not None and self.lead.enter(ledger, version):
            self.wake()

    def coordinate(self) -> Program[None]:
        """Stand for election when the board allows it, and run cycles while this session leads."""
        env, until, last, ended = self._post.env, math.inf, -math.inf, -math.inf
        while True:
            woken = yield from self._rest(until)
            try:
                if self.lead is None:
                    until = math.inf
                    if (looked_at := self._looked_at) is not None:
                        self._looked_at = None
                        until = yield from self._stand(looked_at)
                    continue
                if woken and (at := self._next_at(last, ended)) > env.now():
                    yield from wait(at, self._never)
                last = env.now()
                if woken:
                    self._post.pace.asked(last)
                survey, self._wants_survey = self._wants_survey or not woken, False
                wait_s = yield from self.cycle(survey=survey)
                ended = env.now()
                until = ended + wait_s
                if self.lead is not None:
                    self.lead.chores.summaries.cycle_s = round(ended - last, 6)
                self._backoff.worked()
            except StoreUnsupported:  # proof that this store breaks promises: end loudly, before more is lost
                raise
            except Exception as fault:  # noqa: BLE001 - one cycle's; the next one is another
                if isinstance(fault, StoreError):
                    env.warn("store", f"the coordinator assigns nothing until its requests succeed; retrying: {fault}")
                elif isinstance(fault, CorruptRecord):
                    env.warn(fault.key, skipped(fault))
                else:
                    env.fault("cycle", fault)
                self._wants_survey = True
                yield from wait(env.now() + self._backoff.failed(), self._never)
                until = 0.0

    def _next_at(self, last: float, ended: float) -> float:
        """When the next requested cycle may begin. A cycle without a survey writes at once, so it also keeps the store's
        pause between two writes of one key.

        Args:
            last, ended: start and end of the last cycle.
        """
        pace = self._post.pace
        at = last + pace.gap_s(self._post.env.now())
        return at if self._wants_survey else max(at, ended + pace.floor_s)

    def may_stand(self, looked_at: float) -> bool:
        view, me = self._post.view, self._post.me
        leader = view.board.leader if view.board is not None else None
        gone = leader is not None and self._post.env.is_gone(leader.session, leader.place)
        lease_s, knows_more = self._post.settings.leader_lease, self._post.knows_more
        return elect.may_stand(view, looked_at, lease_s, me=me.session, leader_gone=gone, knows_more=knows_more)

    def _stand(self, looked_at: float) -> Program[float]:
        """Returns the steady time of the first cycle."""
        env, view = self._post.env, self._post.view
        if view.board is None and (yield from was_led(self._post.layout, self._post.me.session)):
            env.warn(self._post.layout.board, NO_BOARD)
            return math.inf
        if not self.may_stand(looked_at):  # the host may have read a board meanwhile
            return math.inf
        before = view.board.leader if view.board is not None else None
        self._is_standing = True
        outcome = yield from elect.stand(
            view, self._post.layout, self._post.me, env.nonce(), lease_s=self._post.settings.leader_lease
        )
        # The host's loop may have read a later leader's board before our answer came: that term is not ours to lead.
        if not isinstance(outcome, Stored) or view.version != outcome.version:
            self._is_standing = isinstance(outcome, Unknown)
            self._look()
            return math.inf
        if before is not None:
            if before.session == self._post.me.session:
                env.mark("an unanswered election was found out")
            elif env.is_gone(before.session, before.place):
                env.mark("a leader that was gone was replaced at once")
        lead = yield from take_office(view, self._post.layout, self._post.settings, env.now(), env.now_ms())
        if view.board is None or view.board.epoch != lead.epoch:
            self._is_standing = False
            return math.inf
        self.lead, self._is_standing = lead, False
        self._telling = Telling(env, self._post.layout, lead.board.fuses)
        if lead.epoch > 1:
            env.mark("another leader")
        if lead.window:
            env.mark("a new leader read retired pages")
        for corrupt in lead.chores.pages.corrupt:
            env.warn(corrupt.key, skipped(corrupt))
        env.emit("elected", session=self._post.me.session, epoch=lead.epoch)
        self._wants_survey = True
        return 0.0

    def _depose(self) -> None:
        self.lead = None
        self._post.env.mark("a leader was deposed")
        self._post.env.emit("deposed", session=self._post.me.session, text="another host leads now")
        self._look()

    def _rest(self, until: float) -> Program[bool]:
        """Wait, and write heartbeats meanwhile. Returns whether `wake` ended the wait."""
        env = self._post.env
        while (lead := self.lead) is not None and lead.pending is None:
            if lead.beat_at >= until:
                break
            if (yield from wait(lead.beat_at, self._signal)):
                return True
            try:
                outcome = yield from lead.beat(now=env.now(), nonce=env.nonce())
            except StoreUnsupported:
                raise
            except StoreError:
                env.mark("a heartbeat was not answered")
                return False  # the cycle says so, if the store does not answer that either
            match outcome:
                case Cycled():
                    env.mark("a leader wrote a heartbeat between cycles")
                    if lead.board.leader_lease > self._post.settings.leader_lease:
                        env.mark("a leader announced a longer lease")
                    self._committed()
                case Deposed():
                    env.mark("a leader was deposed by its heartbeat")
                    self._depose()
                    return False
                case Doubt():
                    env.mark("a heartbeat was not answered")
                    return False  # the same board again, before the lease runs out
        return (yield from wait(until, self._signal))

    def cycle(self, *, survey: bool = True) -> Program[float]:
        """One cycle. Returns the seconds to the next one, unless `wake` is called."""
        env, lead = self._post.env, self.lead
        assert lead is not None
        if lead.pending is not None:
            env.mark("a board in doubt was sent again")
        gone = [
            session
            for session, heard in lead.heard.items()
            if heard.ledger is not None and not heard.ledger.over and env.is_gone(session, heard.ledger.place)
        ]
        self._precedence.begin()
        try:
            outcome = yield from lead.cycle(
                now=env.now(), now_ms=env.now_ms(), nonce=env.nonce(), gone=gone, clock=env.now, look=survey
            )
        finally:
            self._precedence.end()
        match outcome:
            case Deposed():
                self._depose()
                return 0.0
            case Doubt():
                env.warn("doubt", "no answer to a write of the board; sending the same board again")
                return self._post.pace.busy_s
            case Cycled():
                warn_of(env, lead, outcome)
                self._telling.tell(lead, outcome)
                tell_chores(env, lead)
                if outcome.committed:
                    self._committed()
                    if outcome.planned.changed:
                        env.wake_waiters()
                self._chore_signals[0].set()
                return self._cycle_wait_s(lead, outcome)

    def _committed(self) -> None:
        self._tell_host()
        lead = self.lead
        if lead is not None and any(ticket.session != self._post.me.session for ticket in lead.board.tickets.values()):
            self._post.env.wake_machine()
            self._knock(lead)

    def _knock(self, lead: Lead) -> None:
        """Knock at the hosts that have not claimed what the board assigns to them, if they listen for knocks."""
        given: dict[str, set[str]] = {}
        for name, ticket in lead.board.tickets.items():
            given.setdefault(ticket.session, set()).add(name)
        listening = {
            heard.ledger.knock: given[session].difference(heard.ledger.claims)
            for session, heard in lead.heard.items()
            if heard.ledger is not None and heard.ledger.knock and session in given
        }
        if addresses := [address for address, unclaimed in listening.items() if unclaimed]:
            self._post.env.knock(addresses)

    def _cycle_wait_s(self, lead: Lead, cycled: Cycled) -> float:
        pace, board, now = self._post.pace, lead.board, self._post.env.now()
        settled = sum(one.stop - one.start for one in cycled.settled)
        pace.worked(cycled.planned.assigned + settled, now)
        busy = bool(board.tickets) or cycled.planned.assigned > 0
        wait_s = pace.poll_s(busy=busy, changed=cycled.planned.changed, now=now)
        if (
            board.answers
            or board.purges
            or any(state.settled and is_finished(path, state) for path, state in board.sources.items())
        ):
            wait_s = min(wait_s, _RETIRE_S)
        if cycled.next_due_ms is not None:
            wait_s = min(wait_s, max(0.0, (cycled.next_due_ms - self._post.env.now_ms()) / 1000))
        return max(wait_s, pace.floor_s)

    # ---- chores --------------------------------------------------------------------------------------------

    def do_chores(self, number: int) -> Program[None]:
        """One chore after the other.

        Args:
            number: of this program, from 0. Each one that has work wakes the next.
        """
        env, signal = self._post.env, self._chore_signals[number]
        while True:
            step = self._take_chore()
            if step is None:
                until = math.inf if self.lead is None or number else self.lead.chores.next_at(env.now())
                yield from wait(max(until, env.now() + TICK_S), signal)
                continue
            if number + 1 < CHORES_AT_ONCE:
                self._chore_signals[number + 1].set()
            yield from self._do(step, number)

    def _take_chore(self) -> Step[bool] | None:
        env, lead = self._post.env, self.lead
        return None if lead is None else lead.chores.take(env.now(), env.now_ms(), env.nonce())

    def _do(self, step: Step[bool], number: int = 0) -> Program[None]:
        env, lead = self._post.env, self.lead
        try:
            news = yield from self._precedence.behind(step, number)
        except StoreUnsupported:
            raise
        except Exception as fault:  # noqa: BLE001 - one chore's; it is found again by a later cycle
            env.fault("chore", fault)
            yield from wait(env.now() + 1.0, self._never)
            return
        if lead is not None and self.lead is lead:
            tell_chores(env, lead)
            if news:
                self.wake(survey=False)

    # ---- the end -------------------------------------------------------------------------------------------

    def hand_over(self) -> Program[None]:
        """Run a last cycle and its chores, then resign. The ledger says that this session left; the other programs have
        ended."""
        env, lead = self._post.env, self.lead
        try:
            if lead is not None:
                yield from self.cycle()
                lead.chores.summaries.hurry()
            while self.lead is not None and (step := self._take_chore()) is not None:
                yield from self._do(step)
            if self.lead is not None and self.lead.pending is None:
                yield from elect.resign(self._post.view, self._post.layout, env.nonce())
                env.mark("a leader resigned")
            for _ in range(_LOOKS if self._is_standing else 0):  # the election may still be under way
                me = self._post.me.session
                if (yield from elect.decline(self._post.view, self._post.layout, me, env.nonce(), env.now())):
                    env.mark("a host that left declined its election")
                    break
                yield from wait(env.now() + TICK_S, self._never)
        except StoreError as fault:
            env.warn("store", f"drained without resigning; another host leads when the lease runs out: {fault}")
        if self.lead is not None:
            env.emit("deposed", session=self._post.me.session, text="it leaves")
        self.lead = None
