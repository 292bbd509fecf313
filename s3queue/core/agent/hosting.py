"""The host's loop: reads the board, writes the ledger, deals claimed messages."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from msgspec.structs import replace

from s3queue.core import elect, last_will
from s3queue.core.agent.environment import LONGEST_PAUSE, TICK_S, Crew, Ending, Post, Terms
from s3queue.core.agent.leading import NO_BOARD, Leading
from s3queue.core.declare import declare
from s3queue.core.flushes import Flushes
from s3queue.core.keys import Layout, is_source, parse_source
from s3queue.core.ledger import Flushed, Host, Refused
from s3queue.core.ops import Program, Signal, Step, Unknown, list_page, wait
from s3queue.core.pacing import Backoff
from s3queue.core.plan import is_finished
from s3queue.core.records import Board, Report
from s3queue.core.restore import keep_copy
from s3queue.errors import CorruptRecord, StoreDenied, StoreError, StoreUnsupported

#: Seconds from the end of a lease until the board is read: clocks are not that exact.
SOON_S = 0.01
#: Seconds that messages may stay in the pool while all slots are stuck, before they are given back.
RELEASE_S = 5.0
#: Seconds between checks for empty queues: the first pause and the longest.
_EMPTY_S, _EMPTY_MAX_S = 0.1, 2.0
#: Share of the visibility timeout between two checks whether this host runs anything of a limited queue.
_GUARD = 1 / 4
#: Attempts to end the session of a dead agent before the board is read again.
_TRIES = 5


class Hosting:
    def __init__(self, post: Post, host: Host, crew: Crew, terms: Terms) -> None:
        self._post, self._host, self._crew, self._stands = post, host, crew, terms.stands
        self._leading = Leading(post, self.look_soon, self.wake)
        self._signal, self._never = Signal(), Signal()
        self._flushes = Flushes(host, post.pace, post.settings.visibility_timeout)
        self._backoff = Backoff(TICK_S, post.settings.visibility_timeout * LONGEST_PAUSE)
        self._next_look, self._seen = 0.0, ""
        self._kept_copy = False
        self._stuck_since: float | None = None
        self._wants_empty = terms.until_empty
        self._declared, self._undeclared, self._declare_at = terms.declared, True, 0.0
        self._next_empty, self._empty_pause = 0.0, _EMPTY_S

    @property
    def leading(self) -> Leading:
        return self._leading

    def wake(self) -> None:
        """Start a turn now: a note from a worker, a new board."""
        self._signal.set()

    def look_soon(self) -> None:
        """Read the board now: it may have been replaced."""
        self._next_look = 0.0
        self._signal.set()

    def join(self, orphaned: Sequence[str] = (), outcomes: Mapping[str, Report] | None = None) -> Program[bool]:
        """End the sessions of the agents that died before this one, and store the first ledger. Waits for the store.

        Args:
            orphaned: their sessions. outcomes: from the journals of their workers, by ticket.

        Returns:
            Whether the session has begun. False: it is unknown whether its ledger is stored, and such a session is not
            used: exit, and start another one.
        """
        waiting = list(orphaned)
        while waiting or not self._host.version:
            try:
                if waiting:
                    yield from elect.look(self._post.view, self._post.layout, self._post.env.now())
                    nonces = [self._post.env.nonce() for _ in range(_TRIES)]
                    step = last_will.end_session(self._post.view, self._post.layout, waiting[0], outcomes or {}, nonces)
                    if not (yield from step):
                        if self._post.view.board is None:
                            self._post.env.warn(self._post.layout.board, NO_BOARD)
                        yield from wait(self._post.env.now() + self._backoff.failed(), self._never)
                        continue
                    del waiting[0]
                elif (yield from self._host.flush(self._post.env.now(), self._post.env.nonce())) is Refused.FENCED:
                    return False
                self._backoff.worked()
            except (StoreError, CorruptRecord) as fault:
                if waiting and isinstance(fault, StoreDenied) and fault.key == self._post.layout.host(waiting[0]):
                    # Start all the same. The coordinator fences that ledger after the visibility timeout, if it can.
                    self._post.env.warn(
                        fault.key, f"cannot end the previous session of this host; the coordinator will: {fault}"
                    )
                    del waiting[0]
                    continue
                self._post.env.warn("store", f"this host cannot start yet, retrying: {fault}")
                yield from wait(self._post.env.now() + self._backoff.failed(), self._never)
        self._post.env.trust(self._host.trusted_until(self._post.settings.visibility_timeout))
        return True

    def serve(self) -> Program[Ending]:
        """Run until the session is over."""
        env, until = self._post.env, 0.0
        while True:
            yield from wait(until, self._signal)
            try:
                if (yield from self._turn()):
                    return Ending.FENCED
                if self._host.over:
                    return Ending.LEFT
                self._backoff.worked()
                until = self._wait_until(env.now())
            except StoreUnsupported:  # proof that the store breaks a promise: end loudly
                raise
            except (StoreError, CorruptRecord) as fault:
                if self._host.pending is not None:
                    env.mark("a flush was not answered")
                if self._is_shut_out(fault):
                    env.warn(
                        fault.key,
                        f"the store has refused this ledger for too long; its session ends, another begins: {fault}",
                    )
                    return Ending.FENCED
                env.warn(
                    fault.key or "store", f"this host cannot read the board or write its ledger, retrying: {fault}"
                )
                # The next turn writes the ledger if that is due, even if the board cannot be read.
                self._next_look = until = env.now() + self._backoff.failed()
                yield from self._mind_until(until)
                until = 0.0

    def guard(self) -> Program[None]:
        """Return when what this host runs of limited queues has to end, since its last stored write is as old as the
        visibility timeout: from then on it may be fenced, and its places given to others."""
        host, env, timeout_s = self._host, self._post.env, self._post.settings.visibility_timeout
        while True:
            now = env.now()
            until = now + timeout_s * _GUARD
            if host.trusted_from is not None and not host.over and host.holds_limited:
                until = host.trusted_from + timeout_s
                if now >= until:  # not by the difference: with rounding it would wait for 0 seconds, again and again
                    return
            yield from wait(until, self._never)

    def _is_shut_out(self, fault: Exception) -> bool:
        """Whether the store has refused this session's ledger for longer than the visibility timeout. Other hosts may run
        its messages by now; a new session has a new ledger."""
        host = self._host
        if not (isinstance(fault, StoreDenied) and fault.key == host.key and host.trusted_from is not None):
            return False
        return self._post.env.now() - host.trusted_from > self._post.settings.visibility_timeout

    def _mind_until(self, until: float) -> Program[None]:
        """Serve the workers without store requests until then."""
        while (now := self._post.env.now()) < until:
            yield from wait(min(until, now + TICK_S), self._never)
            self._mind_the_workers()

    def _turn(self) -> Program[bool]:
        """Returns whether the session was fenced."""
        host, env = self._host, self._post.env
        if self._leading.lead is None and env.now() >= self._next_look:
            yield from self._look()
        self._see()
        self._mind_the_workers()
        if self._undeclared and env.now() >= self._declare_at:
            yield from self._declare()
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
        if self._leading.lead is None:
            until.append(self._next_look)
        if self._crew.unfinished or self._crew.pooled or self._host.draining:
            until.append(now + TICK_S)
        if self._wants_empty and self._is_idle():
            until.append(self._next_empty)
        if self._undeclared and self._declare_at > now:
            until.append(self._declare_at)
        return min(until)

    def _look(self) -> Program[None]:
        """Read the board, and stand for election if there is no leader."""
        env, view, pace = self._post.env, self._post.view, self._post.pace
        began, before = env.now(), view.board
        changed = (yield from elect.look(view, self._post.layout, began)) and tells_more(before, view.board)
        now = env.now()
        view.answered(now)
        if view.is_gone:
            if not self._kept_copy and view.board is not None:
                self._kept_copy = yield from keep_copy(self._post.layout, self._post.me.session, view.board)
            env.warn(self._post.layout.board, NO_BOARD)
        else:
            self._kept_copy = False
        if changed:
            env.wake_waiters()
        # A board without work, or without news, is a heartbeat: the next one need not be read soon.
        busy = bool(self._host.tickets) or (changed and view.board is not None and view.board.is_busy)
        self._next_look = now + pace.poll_s(busy=busy, changed=changed, now=now)
        if (silent_at := view.silent_at(self._post.settings.leader_lease) + SOON_S) > now:
            self._next_look = min(self._next_look, silent_at)
        if self._stands and not view.is_gone:
            self._leading.looked(began)

    def _see(self) -> None:
        view = self._post.view
        if view.board is not None and view.version != self._seen:
            self._seen = view.version
            self._host.see(view.board)
            if self._host.unknown:
                self._post.env.mark("a host left a ticket of a newer release alone")
                self._post.env.warn(
                    "unknown tickets",
                    f"{len(self._host.unknown)} tickets of this host name messages of a kind that this release does not "
                    "know, and wait until another host may have them: upgrade s3queue here",
                )

    def _declare(self) -> Program[None]:
        """Make the control name the schedules that the code of this host declares. The last agent to start decides."""
        env, view, layout = self._post.env, self._post.view, self._post.layout
        if not self._declared and not (view.board is not None and view.board.schedules):
            return
        knows = {(queue, task) for queue, offer in self._host.offers.items() for task in offer.tasks}
        try:
            outcome = yield from declare(layout, self._declared, knows, env.nonce(), env.now_ms())
        except (StoreError, CorruptRecord) as fault:
            env.warn(layout.control, f"cannot declare the schedules of this host, retrying: {fault}")
        else:
            if not isinstance(outcome, Unknown):
                self._undeclared = False
                env.mark("a host declared its schedules")
                return
        self._declare_at = env.now() + self._post.settings.leader_lease

    def _mind_the_workers(self) -> None:
        crew, now = self._crew, self._post.env.now()
        crew.look()
        if self._host.draining:
            crew.interrupt(now)
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
        return not (self._host.tickets or self._left)

    def _is_done(self) -> bool:
        return not self._crew.unfinished and self._host.is_done

    @property
    def _left(self) -> int:
        return self._crew.pooled + self._crew.unfinished

    # ---- its ledger ----------------------------------------------------------------------------------------

    def _flush(self, now: float) -> Program[bool]:
        """Returns whether the session was fenced."""
        env, host = self._post.env, self._host
        host.offers = {
            queue: replace(offer, mean_s=round(self._crew.mean_s(queue, now), 6))
            for queue, offer in host.offers.items()
        }
        host.usage, host.about = env.usage(), env.about()
        dozed = host.stored is not None and host.stored.dozing is not None
        host.clock_ms = env.now_ms() if (board := self._post.view.board) is not None and board.schedules else 0
        self._flushes.begins(self._left, now)
        outcome = yield from host.flush(now, env.nonce())
        match outcome:
            case Refused.FENCED:
                return True
            case Refused.UNSURE:
                env.warn(
                    "unsure", "no answer to a write of the ledger; no message starts until it is known to be stored"
                )
            case Flushed():
                if outcome.ledger.dozing is not None:
                    env.mark("a host dozed")
                elif dozed and outcome.claimed:
                    env.mark("a dozing host claimed")
                self._stored(outcome)
        return False

    def _stored(self, flushed: Flushed) -> None:
        self._post.env.trust(self._host.trusted_until(self._post.settings.visibility_timeout))
        self._crew.claimed(flushed.claimed)
        if flushed.claimed and self._post.env.wants("claimed"):
            self._post.env.emit("claimed", session=self._host.session, tickets=sorted(flushed.claimed))
        self._flushes.stored(flushed.claimed)
        self._crew.stored()
        self._leading.stored(flushed.ledger, self._host.version)
        if self._leading.lead is None and flushed.ledger.reports and self._post.is_led_here:
            self._post.env.wake_machine()

    # ---- whether anything is left --------------------------------------------------------------------------

    def _look_for_the_end(self) -> Program[None]:
        """Check whether the served queues are empty. A source is deleted only when all its messages are settled, so empty
        listings are proof."""
        board, queues = self._post.view.board, set(self._host.offers)
        unsettled = board is not None and any(
            is_source(path) and parse_source(path).queue in queues and not is_finished(path, state)
            for path, state in board.sources.items()
        )
        if not unsettled and (
            yield from holds_nothing(self._post.layout, queues, self._post.settings.max_source_bytes)
        ):
            self._wants_empty = False
            self._post.env.queues_are_empty()
            return
        self._next_empty = self._post.env.now() + self._empty_pause
        self._empty_pause = min(_EMPTY_MAX_S, self._empty_pause * 2)


def tells_more(before: Board | None, board: Board | None) -> bool:
    """Whether a board has news, or will have some soon because a message waits for its time or for a host. If all messages
    are in tickets, a heartbeat is no news: each ticket takes a number of the sequence, and each outcome is counted."""
    if before is None or board is None or _pulse(before) != _pulse(board):
        return before is not board
    return any(state.ready or state.waiting or state.dying for state in board.sources.values())


def _pulse(board: Board) -> tuple[object, ...]:
    return board.epoch, board.sequence, board.totals, len(board.tickets), len(board.sources)


def holds_nothing(layout: Layout, queues: set[str], largest: float = math.inf) -> Step[bool]:
    """Whether these queues have no source that could run; one of more than ``largest`` bytes never runs.

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
