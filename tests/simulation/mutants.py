"""The real code with one rule taken away, again and again. Each of these has to be caught, and by an invariant that is
about that rule; one that is not shows that a checker is missing, or weather.

A mutant replaces functions of the production modules for as long as it is applied, in this process.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

import msgspec

from s3queue.core import chores, cycle, elect, ledger, produce, ranges, silence, survey, sweeps
from s3queue.core.agent import leading
from s3queue.core.agent.hosting import Hosting
from s3queue.core.chores import Chores, fences, letters, moves, pages
from s3queue.core.cycle import Cycled, Deposed, Doubt, Lead
from s3queue.core.keys import Layout
from s3queue.core.ledger import Flushed, Host, Refused
from s3queue.core.ops import Overtaken, Unknown, delete, get, put
from s3queue.core.plan import Planned, assign, is_finished, lines, park, planning, take_over
from s3queue.core.records import Failed, Ready
from s3queue.core.settle import Draft
from s3queue.core.silence import Silence
from s3queue.errors import StoreDenied
from s3queue.runtime.agent import dealing as deal
from s3queue.runtime.agent import loads, seats
from s3queue.runtime.local.journal import OK, READY, RUNNING
from s3queue.store import Found, Missing, Stored
from s3queue.testing.simulate import Outcome, Seeded, Times, Weather, run
from s3queue.testing.simulate.scenes import DOZY

#: Schedules within which a mutant has to be caught, unless it says otherwise.
_BUDGET = 150


@dataclass(frozen=True)
class Mutant:
    """
    Attributes:
        rule: what it takes away.
        caught_by: invariants and promises of which one has to notice.
        patches: what is replaced: (where, name, by what).
        scene: fields of the scene that make the fault matter more often.
        within: schedules.
    """

    name: str
    rule: str
    caught_by: tuple[str, ...]
    patches: tuple[tuple[Any, str, Any], ...]
    scene: Mapping[str, Any] = field(default_factory=dict)
    within: int = _BUDGET

    @contextmanager
    def applied(self) -> Iterator[None]:
        with ExitStack() as undo:
            for where, name, substitute in self.patches:
                undo.callback(setattr, where, name, where.__dict__[name])
                setattr(where, name, substitute)
            yield

    def catch(self) -> tuple[int, Outcome] | None:
        """After how many schedules it was caught, and by which. None: it was not."""
        with self.applied():
            for seed in range(self.within):
                outcome = run(Seeded(seed), **({"operators": 0, "redrivers": 0, "deaths": 0.0} | dict(self.scene)))
                if set(self.caught_by) & outcome.violations.keys():
                    return seed + 1, outcome
        return None


MUTANTS: list[Mutant] = []


def mutant(
    where: Any, name: str, caught_by: str, *, within: int = _BUDGET, **scene: Any
) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Register a substitute for ``where.name``. It is called with the original first."""

    def register(substitute: Callable[..., Any]) -> Callable[..., Any]:
        original = where.__dict__[name]

        def wrapped(*args: Any, **kwargs: Any) -> Any:
            return substitute(getattr(original, "fget", None) or original, *args, **kwargs)

        patched: Any = property(wrapped) if isinstance(original, property) else wrapped
        MUTANTS.append(
            Mutant(
                substitute.__name__.replace("_", "-"),
                (substitute.__doc__ or "").strip(),
                tuple(caught_by.split()),
                ((where, name, patched),),
                scene,
                within,
            )
        )
        return substitute

    return register


# Worlds that show some of them sooner.
_LATE = Weather(fault=0.25, fates=("served", "late", "unanswered"), chaos=0.0)
_UNANSWERED = Weather(fault=0.3, fates=("served", "unanswered", "dropped", "late"), chaos=0.02, kinds=("pause host",))
_PAUSES = Weather(fault=0.1, fates=("served", "unanswered", "dropped"), chaos=0.08, kinds=("pause host",))
_SLOW = Weather(fault=0.2, fates=("served", "slow"), chaos=0.02, kinds=("pause candidate",))
_REFUSED = Weather(fault=0.05, chaos=0.08, kinds=("refuse", "kill worker"), ends=0.4)
_SLOW_READS = Weather(
    fault=0.25, fates=("served", "slow", "late", "dropped"), chaos=0.05, kinds=("kill worker", "kill agent")
)
_DEATHS = Weather(fault=0.0, chaos=0.06, kinds=("kill worker", "kill agent"))
_WORKERS_DIE = Weather(fault=0.0, chaos=0.2, kinds=("kill worker",))
_LEADERS = Weather(fault=0.25, fates=("served", "late", "unanswered", "slow"), chaos=0.05, kinds=("kill candidate",))
_ENDS = Weather(fault=0.0, chaos=0.0, ends=0.6)
_DOUBT = Weather(fault=0.6, fates=("served", "dropped", "late"), whose=("main", "lead"), chaos=0.0, ends=0.0)
_CALM = Weather(fault=0.0, chaos=0.01, kinds=("drain host",), ends=0.0)
_HOST_AND_COORDINATOR: dict[str, Any] = {"shared": False, "candidates": 1, "shapes": ("plain",)}
#: A host with much to do, each message taking long, that stands still for longer than the visibility timeout.
_ZOMBIE = _HOST_AND_COORDINATOR | {
    "weather": Weather(fault=0.0, chaos=0.06, kinds=("pause host",), ends=0.0),
    "times": replace(Times(), pauses=(4.6, 9.0), tasks=(0.4, 1.3)),
    "slots": 1,
    "batches": 5,
    "most": 5,
    "storm_s": 14.0,
}
#: A producer's request that lands when its source is long retired, and by another leader.
_SUCCESSION: dict[str, Any] = {
    "weather": Weather(fault=0.12, fates=("served", "late"), chaos=0.03, kinds=("kill candidate",), ends=0.0),
    "times": replace(Times(), late=(8.5,), tasks=(0.05,)),
    "machines": 1,
    "shared": False,
    "candidates": 2,
    "batches": 2,
    "storm_s": 10.0,
    "shapes": ("plain",),
}
#: A coordinator whose cycle takes so long that it is replaced meanwhile, and a host that dies just before it.
_SUPERSEDED: dict[str, Any] = {
    "weather": Weather(
        fault=0.1, fates=("served", "slow"), whose=("main",), chaos=0.08, kinds=("kill host",), ends=0.0
    ),
    "times": replace(Times(), slow=(4.5,), restart=(3.0,)),
    "hosts": 1,
    "shared": False,
    "candidates": 2,
    "producers": 2,
    "batches": 5,
    "most": 2,
    "storm_s": 14.0,
    "shapes": ("plain",),
}

#: A group that fills more pages than a survey reads, before others.
_CROWD: dict[str, Any] = {
    "weather": Weather(fault=0.0, chaos=0.0, ends=0.0),
    "times": replace(Times(), tasks=(0.05,), between=(0.0,)),
    "hosts": 1,
    "slots": 2,
    "page": 2,
    "crowd": 40,
    "batches": 2,
    "storm_s": 2.0,
    "shapes": ("plain",),
}
#: A coordinator that stands still while it rests, for long enough to be replaced.
_PAUSED_AT_REST: dict[str, Any] = {
    "weather": Weather(fault=0.0, chaos=0.05, kinds=("pause candidate",), ends=0.0),
    "times": replace(Times(), pauses=(2.6, 4.6)),
    "shared": False,
    "candidates": 2,
    "batches": 1,
    "storm_s": 10.0,
}


def _hosts(fault: float, *fates: str) -> Weather:
    """Only the requests of hosts go wrong."""
    return Weather(fault=fault, fates=("served", *fates), whose=("host",), chaos=0.0, ends=0.0)


# ---- the host's side -------------------------------------------------------------------------------------------------


@mutant(
    Host,
    "flush",
    "I11",
    weather=_hosts(0.5, "dropped"),
    times=replace(Times(), unanswered=0.1),
    **_HOST_AND_COORDINATOR,
)
def run_before_claim(flush: Any, host: Host, now: float, nonce: str) -> Any:
    """Only what a stored ledger claims may run."""
    outcome = yield from flush(host, now, nonce)
    if outcome is Refused.UNSURE and host.pending is not None:
        sent = host.pending[0]
        return Flushed(sent, tuple(name for name in sent.claims if name in host.tickets))
    return outcome


@mutant(ledger, "write", "I1", weather=_PAUSES)
def unfenced_flush(_: Any, key: str, body: bytes, **__: Any) -> Any:
    """The ledger is written only over the version that this session stored last."""
    found = yield from get(key)
    return (yield from put(key, body, found.version if isinstance(found, Found) else None))


@mutant(ledger, "write", "I11 I6 P3", **_ZOMBIE)
def conflict_is_success(write: Any, key: str, body: bytes, **more: Any) -> Any:
    """A refused ledger write means that the session is over."""
    outcome = yield from write(key, body, **more)
    if isinstance(outcome, Overtaken):
        return Stored(outcome.now.version if isinstance(outcome.now, Found) else "none")
    return outcome


@mutant(Host, "_draft", "I8 P5")
def forget_early(draft: Any, host: Host, nonce: str) -> Any:
    """An outcome stays in the ledger until a board no longer lists its message."""
    drafted = draft(host, nonce)
    told = vars(host).setdefault("told", {})
    left = {name: report for name, report in drafted.reports.items() if told.get(name) != report}
    told.update(drafted.reports)
    return msgspec.structs.replace(drafted, reports=left)


@mutant(Host, "trusted_until", "I11", **_ZOMBIE)
def endless_trust(_: Any, host: Host, visibility_timeout: float) -> float:
    """A task starts only within half the visibility timeout of the last stored write."""
    return float("inf")


@mutant(
    Host,
    "flush",
    "I11",
    within=400,
    weather=_hosts(0.5, "unanswered", "outage", "dropped", "refused"),
    times=replace(Times(), tasks=(0.4, 1.3), between=(0.0,)),
    hosts=1,
    workers=1,
    slots=1,
    producers=2,
    batches=5,
    most=5,
    storm_s=20.0,
    **_HOST_AND_COORDINATOR,
)
def trust_counts_from_the_last_try(flush: Any, host: Host, now: float, nonce: str) -> Any:
    """The trust window begins when the write was first sent, not when it was found to have landed."""
    if host.pending is not None:
        sent, _, changes = host.pending
        host.pending = sent, now, changes
    return (yield from flush(host, now, nonce))


@mutant(
    Host,
    "flush",
    "give-up raise",
    weather=_hosts(0.5, "late", "dropped"),
    times=replace(Times(), late=(0.5, 1.2)),
    **_HOST_AND_COORDINATOR,
)
def another_body_on_its_way(flush: Any, host: Host, now: float, nonce: str) -> Any:
    """While a ledger is unanswered nothing else is sent."""
    outcome = yield from flush(host, now, nonce)
    if outcome is Refused.UNSURE and host.version:
        host.pending = None
    return outcome


@mutant(
    Host,
    "_join",
    "I1",
    within=600,
    hosts=2,
    shared=False,
    candidates=1,
    storm_s=14.0,
    weather=Weather(fault=0.5, fates=("served", "late"), chaos=0.03, kinds=("kill host",)),
)
def joins_twice(_: Any, host: Host, drafted: Any, sent_at: float, changes: int) -> Any:
    """The first ledger of a session is sent once."""
    host.pending = drafted, sent_at, changes
    outcome = yield from ledger.write(host.key, ledger.encode(drafted), nonce=drafted.nonce, if_version=None)
    return outcome if not isinstance(outcome, Unknown) else Overtaken(Missing())


@mutant(ledger, "_last_will", "I6 P4", weather=_DEATHS)
def journals_are_not_read(will: Any, old: Any, board: Any, outcomes: Any, nonce: str) -> Any:
    """The next agent ends the session with what the journals say."""
    return will(old, board, {}, nonce)


@mutant(deal.Dealer, "died", "I6 P4", weather=_DEATHS, slots=1, most=3)
def a_dead_workers_journal_is_not_read(died: Any, dealer: deal.Dealer, worker: int, *more: Any) -> None:
    """What a dead worker finished counts."""
    journal = dealer.loads[worker].journal
    for row in journal.rows():
        states = journal.states(row)
        states[:] = bytes([READY]) * len(states)
    died(dealer, worker, *more)


@mutant(loads, "ok_ranges", "P1", weather=_ENDS)
def what_runs_is_done(ok_ranges: Any, states: bytes) -> Any:
    """A message is done when its task has ended well."""
    return ok_ranges(bytes(OK if state == RUNNING else state for state in states))


@mutant(deal.Dealer, "died", "I7", weather=_DEATHS, most=5)
def all_of_a_dead_workers_messages_failed(died: Any, dealer: deal.Dealer, worker: int, *more: Any) -> None:
    """What a dead worker had not started costs no attempt."""
    journal = dealer.loads[worker].journal
    for row in journal.rows():
        states = journal.states(row)
        states[:] = bytes(RUNNING if state == READY else state for state in states)
    died(dealer, worker, *more)


@mutant(ledger, "_last_will", "I7", weather=_DEATHS, most=5)
def what_was_not_dealt_is_not_released(will: Any, old: Any, board: Any, outcomes: Any, nonce: str) -> Any:
    """What a dead agent had claimed and dealt to nobody costs no attempt."""
    left = will(old, board, outcomes, nonce)
    reports = {
        name: msgspec.structs.replace(report, released=old.reports[name].released if name in old.reports else ())
        for name, report in left.reports.items()
    }
    return msgspec.structs.replace(left, reports=reports)


@mutant(
    deal.Dealer,
    "stored",
    "P4 I6",
    within=400,
    weather=replace(_hosts(0.5, "slow"), chaos=0.02, kinds=("kill agent",)),
    times=replace(Times(), slow=(0.5,), tasks=(0.05, 0.4), ack=2.0),
    billed=True,
    hosts=1,
    slots=2,
    batches=20,
    most=5,
    storm_s=20.0,
    **_HOST_AND_COORDINATOR,
)
def a_row_is_closed_early(stored: Any, dealer: deal.Dealer) -> None:
    """A journal row is closed only when its outcomes are in the stored ledger."""
    kept, dealer.host.stored_changes = dealer.host.stored_changes, dealer.host.changes
    stored(dealer)
    dealer.host.stored_changes = kept


@mutant(seats.Seats, "_hello", "I8", weather=_WORKERS_DIE, hosts=1, batches=5, storm_s=14.0)
def a_dead_process_is_seated(hello: Any, them: seats.Seats, link: Any, note: Any) -> None:
    """A process that was reaped before it was heard of is never seated."""
    for seat in them.seats:
        seat.dead_pids.clear()
    hello(them, link, note)


@mutant(deal, "judge", "innocent", weather=_DEATHS, slots=2, most=5)
def neighbours_pay(judge: Any, suspects: Any, death: Any) -> Any:
    """Of several messages that a process was at when it died none pays for it, unless it is known which."""
    return {one: msgspec.structs.replace(outcome, kind="retry") for one, outcome in judge(suspects, death).items()}


@mutant(deal, "judge", "innocent", weather=_ENDS, slots=2, most=5)
def nobody_pays(judge: Any, suspects: Any, death: Any) -> Any:
    """A message that was over its time limit pays for it, and so does one that was alone in a process that died."""
    return {
        one: msgspec.structs.replace(outcome, kind="interrupted") for one, outcome in judge(suspects, death).items()
    }


@mutant(deal.Dealer, "_put_back", "alone", weather=_ENDS, slots=2, most=5, shapes=("plain", "poison"))
def suspects_run_in_company(_: Any, dealer: deal.Dealer, queue: str, ticket: str, offsets: Any) -> None:
    """A suspect runs in a process with nothing else."""
    pieces = deal._pieces(ticket, dealer.host.tickets.get(ticket), offsets)
    dealer._pool.put_back(deal.line_of(dealer.host, queue, ticket), pieces)


@mutant(Draft, "failed", "I7", weather=_ENDS, slots=2, most=5)
def an_interruption_counts(failed: Any, draft: Draft, index: int, attempt: int, outcome: Failed, **more: Any) -> Any:
    """What was only interrupted has as many attempts left as before."""
    kind = "retry" if outcome.kind == "interrupted" else outcome.kind
    return failed(draft, index, attempt, msgspec.structs.replace(outcome, kind=kind), **more)


@mutant(deal.Dealer, "release_pool", "I6 I3", weather=Weather(fault=0.0, chaos=0.08, kinds=("give back",)))
def released_and_run(_: Any, dealer: deal.Dealer) -> None:
    """What was released is not started."""
    for queue, line in dealer._pool._queues.items():
        for piece in line:
            dealer.host.release(piece.ticket, (piece.start, piece.stop))
        assert dealer._pool.left(queue) == sum(piece.size for piece in line)


# ---- election and board ----------------------------------------------------------------------------------------------


@mutant(cycle, "write", "I5", weather=_LEADERS)
def unfenced_board(write: Any, key: str, body: bytes, **more: Any) -> Any:
    """The board is written only over the version that this coordinator knows."""
    if key == Layout().board:
        found = yield from get(key)
        more["if_version"] = found.version
    return (yield from write(key, body, **more))


@mutant(Lead, "beat", "I5", **_PAUSED_AT_REST)
def a_heartbeat_replaces_whatever_stands(beat: Any, lead: Lead, **more: Any) -> Any:
    """A heartbeat, too, is written only over the version that this coordinator knows."""
    found = yield from get(lead.layout.board)
    lead.version = found.version
    return (yield from beat(lead, **more))


@mutant(Lead, "beat", "I5", **_PAUSED_AT_REST)
def a_refused_heartbeat_is_tried_again(beat: Any, lead: Lead, **more: Any) -> Any:
    """A leader whose heartbeat was refused leads no more, and its board is worth nothing."""
    shown = yield from beat(lead, **more)
    if isinstance(shown, Deposed):
        found = yield from get(lead.layout.board)
        lead.version, lead.pending = found.version, None
        shown = yield from beat(lead, **more)
    return shown


@mutant(Lead, "beat", "I5", weather=_LEADERS)
def a_heartbeat_has_no_nonce_of_its_own(beat: Any, lead: Lead, *, nonce: str, **more: Any) -> Any:
    """Every write has a nonce of its own, so that one that was lost is not taken for the one before it."""
    return (yield from beat(lead, nonce=lead.board.nonce, **more))


@mutant(Lead, "beat", "I8", outlast=False, weather=_CALM)
def what_ended_sessions_left_is_forgotten(beat: Any, lead: Lead, **more: Any) -> Any:
    """A session that ended when nothing but heartbeats are written is known to have ended, too."""
    shown = yield from beat(lead, **more)
    lead.ended = frozenset()
    return shown


@mutant(Lead, "beat", "lease", outlast=True, weather=_CALM)
def a_leader_at_rest_writes_no_heartbeat(_: Any, lead: Lead, *, now: float, nonce: str) -> Any:
    """A leader writes at least every third of a lease, however rarely it polls."""
    lead.written_at = now
    return Cycled(False, Planned(lead.board))
    yield


@mutant(elect, "patience", "lease", weather=_SLOW)
def an_impatient_candidate(patience: Any, board: Any, lease_s: float) -> float:
    """A leader that lives is replaced only after it has been silent for a lease."""
    return float(patience(board, lease_s)) / 2


@mutant(
    elect,
    "stand",
    "I5",
    within=1500,
    weather=Weather(fault=0.0, chaos=0.12, kinds=("pause host", "kill agent"), ends=0.0, order=0.3),
    times=replace(Times(), pauses=(2.6, 4.6)),
    shared=True,
    candidates=0,
    hosts=3,
    batches=1,
    storm_s=20.0,
)
def the_term_of_another_is_led(stand: Any, view: Any, *more: Any, **terms: Any) -> Any:
    """Who was replaced before the answer to its election came leads nothing."""
    outcome = yield from stand(view, *more, **terms)
    return Stored(view.version) if isinstance(outcome, Stored) else outcome


@mutant(elect, "replace", "I5")
def the_epoch_stays(replace_: Any, board: Any, **fields: Any) -> Any:
    """Every election begins a new epoch."""
    if "epoch" in fields:
        fields["epoch"] -= 1
    return replace_(board, **fields)


@mutant(planning.Planning, "result", "I2")
def ticket_ids_are_used_again(result: Any, planning: Any) -> Any:
    """A ticket's id is never used twice."""
    planning.sequence = planning.board.sequence
    return result(planning)


@mutant(fences, "write", "I2 P1 I6 P3", **_ZOMBIE)
def no_fence(write: Any, key: str, body: bytes, **more: Any) -> Any:
    """A silent host's tickets are free only when its ledger is fenced."""
    if key.startswith(Layout().hosts):
        return Stored("not written")
    return (yield from write(key, body, **more))


@mutant(silence, "patience", "P3", weather=_PAUSES)
def impatient_fence(patience: Any, ledger: Any, own_s: float) -> float:
    """A session is fenced after the visibility timeout, not before."""
    return float(patience(ledger, own_s)) / 2


@mutant(survey, "_hear", "P3 I11", weather=_SLOW, within=300)
def silence_counts_from_the_first_sight(hear: Any, seen: Any, layout: Any, heard: Any, *more: Any) -> Any:
    """Silence is measured from the second look, since the first may be answered late."""
    yield from hear(seen, layout, heard, *more)
    for state in heard.values():
        if state.since is None:
            state.since = more[2]


@mutant(
    survey,
    "_hear",
    "P3 I11",
    within=300,
    weather=Weather(fault=0.3, fates=("served", "slow"), whose=("lead",), chaos=0.0, ends=0.0),
    times=replace(Times(), slow=(4.5,)),
    shared=True,
    candidates=0,
    hosts=1,
    storm_s=20.0,
)
def its_own_flush_is_as_old_as_the_cycle(hear: Any, seen: Any, layout: Any, heard: Any, hosts: Any, *more: Any) -> Any:
    """What a host of this process stored during a survey is younger than the survey."""
    at_start = {session: state.version for session, state in heard.items()}
    yield from hear(seen, layout, heard, hosts, at_start, *more[1:])


@mutant(
    fences,
    "write",
    "I8",
    weather=Weather(fault=0.0, chaos=0.05, kinds=("meddle",)),
)
def a_missing_ledger_is_left_alone(write: Any, key: str, body: bytes, **more: Any) -> Any:
    """A ledger that tickets name and that is missing is fenced by creating it."""
    if key.startswith(Layout().hosts) and more["if_version"] is None:
        return Unknown()
    return (yield from write(key, body, **more))


@mutant(silence, "patience", "P3", within=300, weather=_CALM, patience=5.0, storm_s=30.0, hosts=2)
def a_hosts_own_timeout_does_not_count(_: Any, ledger: Any, own_s: float) -> float:
    """A host is fenced after its own visibility timeout or the coordinator's, whichever is longer."""
    return own_s


@mutant(elect, "patience", "lease", within=300, weather=_CALM, patience=3.0, storm_s=30.0, hosts=2)
def a_leaders_own_lease_does_not_count(_: Any, board: Any, lease_s: float) -> float:
    """A leader is replaced after its own lease or the candidate's, whichever is longer."""
    return lease_s


# ---- taking over -----------------------------------------------------------------------------------------------------


@mutant(take_over, "_orphan", "I7 I6", weather=_PAUSES)
def lost_claims_cost_nothing(
    _: Any, planning: Any, name: str, part: Any, offer: Any, claimed: bool, memo: Any = None
) -> bool:
    """What a lost host had claimed may have been started: it counts an attempt."""
    planning.draft(part.source).released(part.start, part.stop, part.attempt)
    return True


@mutant(take_over, "_orphan", "I7")
def the_unclaimed_counts(
    orphan: Any, planning: Any, name: str, part: Any, offer: Any, claimed: bool, memo: Any = None
) -> Any:
    """What was not claimed was not started, and costs no attempt."""
    return orphan(planning, name, part, offer, True)


@mutant(assign, "knows", "fits", shapes=("plain", "new"), hosts=2)
def what_is_unfit_goes_anywhere(_: Any, *args: Any) -> bool:
    """What a host does not know goes to hosts that say that they do."""
    return True


@mutant(Draft, "gave_back", "I7", shapes=("plain", "new"), hosts=2)
def what_is_unfit_costs_an_attempt(gave_back: Any, draft: Draft, index: int, attempt: int, *more: Any) -> None:
    """A message that its host does not know costs no attempt."""
    gave_back(draft, index, attempt + 1, *more)


@mutant(take_over, "_take", "I2 P2")
def taken_over_twice(take: Any, planning: Any, name: str, ticket: Any, *more: Any) -> None:
    """What was taken over is no longer in the ticket."""
    take(planning, name, msgspec.structs.replace(ticket, taken=ranges.EMPTY), *more)


@mutant(Draft, "take", "I2")
def in_two_tickets(take: Any, draft: Draft, *args: Any) -> Any:
    """A message that is out is not ready."""
    before = list(draft.ready)
    taken = take(draft, *args)
    draft.ready = before
    return taken


@mutant(Draft, "released", "I7", weather=Weather(fault=0.05, chaos=0.08, kinds=("give back", "drain host")))
def a_release_counts(_: Any, draft: Draft, start: int, stop: int, attempt: int) -> None:
    """A release costs no attempt."""
    draft.ready = (*draft.ready, Ready(start, stop, attempt + 1))


@mutant(Draft, "failed", "I7", weather=_ENDS)
def a_snooze_counts(failed: Any, draft: Draft, index: int, attempt: int, outcome: Failed, **more: Any) -> Any:
    """A snooze costs no attempt."""
    kind = "retry" if outcome.kind == "snooze" else outcome.kind
    return failed(draft, index, attempt, msgspec.structs.replace(outcome, kind=kind), **more)


@mutant(Draft, "failed", "I7", shapes=("poison",))
def one_attempt_more(failed: Any, draft: Draft, *args: Any, max_attempts: int, now_ms: int) -> Any:
    """Attempts never exceed the maximum."""
    return failed(draft, *args, max_attempts=max_attempts + 1, now_ms=now_ms)


@mutant(Draft, "failed", "I6 I7", weather=_ENDS)
def the_attempt_is_not_counted(failed: Any, draft: Draft, index: int, attempt: int, outcome: Any, **more: Any) -> Any:
    """A failure counts an attempt."""
    return failed(draft, index, max(1, attempt - 1), outcome, **more)


@mutant(Draft, "is_alone", "alone", shapes=("poison", "bomb"))
def suspects_in_company(_: Any, draft: Draft, index: int) -> bool:
    """A message that took its process or host with it is ticketed alone."""
    return False


@mutant(Draft, "trim", "alone", shapes=("poison", "bomb"))
def nobody_remembers_who_was_suspect(_: Any, draft: Draft) -> None:
    """The board keeps why earlier attempts failed."""
    draft.failures = {}


@mutant(assign, "_busy_groups", "I10", shapes=("grouped",))
def a_group_side_by_side(_: Any, planning: Any) -> set[tuple[str, str]]:
    """Of one group one message at a time is out."""
    return set()


@mutant(lines.Line, "first", "I10", shapes=("grouped",))
def a_group_backwards(_: Any, line: Any) -> Any:
    """Messages are dispatched in order."""
    line._sources.sort(key=lambda source: source.rank)
    return line._sources[-1] if line._sources else None


@mutant(
    sweeps,
    "place_of",
    "I10",
    within=300,
    page=2,
    producers=2,
    batches=8,
    shapes=("grouped", "grouped later"),
    weather=Weather(fault=0.0, chaos=0.03, kinds=("kill candidate", "kill agent"), ends=0.0),
    times=replace(Times(), tasks=(0.4,), between=(0.0,)),
)
def a_scheduled_batch_goes_before_what_nobody_has_seen(_: Any, source: Any) -> str:
    """What is due waits for earlier batches of its group that the survey did not reach."""
    return ""


@mutant(survey, "look_behind", "hidden", **_CROWD)
def a_crowd_hides_what_lies_behind_it(look_behind: Any, *args: Any) -> Any:
    """Each survey goes on where the last one stopped, and so gets behind any crowd."""
    return look_behind(*args)[0], None


# ---- sources, pages, dead letters -----------------------------------------------------------------------------------


@mutant(produce, "get", "P1", weather=Weather(fault=0.3, fates=("served", "truncated"), whose=("main",), chaos=0.0))
def a_conflict_on_a_create_is_taken_for_ours(_: Any, key: str) -> Any:
    """What stands under the key of a batch is looked at before it is taken for an earlier try."""
    return Missing()
    yield


@mutant(produce, "put", "P1", weather=_UNANSWERED)
def no_answer_is_an_answer(put_: Any, *args: Any) -> Any:
    """A batch is accepted when the store says so."""
    outcome = yield from put_(*args)
    return Stored("perhaps") if isinstance(outcome, Unknown) else outcome


@mutant(survey, "_read_key", "raise", shapes=("corrupt",))
def a_stranger_stops_the_coordinator(read_key: Any, seen: Any, layout: Any, item: Any) -> Any:
    """What cannot be read is left alone and reported, and the rest goes on."""
    source = read_key(seen, layout, item)
    if source is None:
        raise seen.corrupt[-1]
    return source


@mutant(Lead, "_commit", "I4", weather=_LEADERS)
def deleted_before_the_commit(commit: Any, lead: Lead, planned: Planned, *more: Any) -> Any:
    """A source is deleted when a committed board says that it is settled."""
    finished = [path for path, state in planned.board.sources.items() if is_finished(path, state)]
    yield from delete([lead.layout.source(path) for path in finished])
    return (yield from commit(lead, planned, *more))


@mutant(chores, "is_finished", "I4")
def deleted_when_all_is_out(_: Any, path: str, state: Any) -> bool:
    """A source is deleted only after every message in it is settled."""
    return not (state.ready or state.waiting or state.dying)


@mutant(assign, "tickets", "P6 I9", weather=_LATE)
def no_window(tickets: Any, planning: Any, sources: Any, window: Any, *more: Any) -> None:
    """A source whose id is in the window is never admitted again."""
    tickets(planning, sources, (), *more)


@mutant(Lead, "uptime_ms", "P6 I9", weather=_LATE, within=400)
def the_window_closes_early(_: Any, lead: Lead, now: float) -> int:
    """An id stays in the window until no request of its producer can land any more."""
    return lead.uptime_base_ms + int((now - lead.since) * 20_000)


@mutant(leading, "take_office", "I9")
def uptime_begins_anew(take_office: Any, *args: Any) -> Any:
    """The clock of the window survives a change of leader."""
    lead = yield from take_office(*args)
    lead.uptime_base_ms = 0
    return lead


@mutant(cycle, "list_all", "P6 I9", within=300, **_SUCCESSION)
def a_new_leader_forgets(_: Any, prefix: str) -> Any:
    """A new coordinator loads the retired pages before it assigns anything."""
    return []
    yield


@mutant(pages, "put", "P6 I9", within=300, **_SUCCESSION)
def the_page_is_not_stored(put_: Any, key: str, *more: Any) -> Any:
    """A finished source leaves the board only when its id is on a stored page."""
    if key.startswith(Layout().retired):
        return Stored("not written")
    return (yield from put_(key, *more))


@mutant(letters, "put", "P1", weather=_UNANSWERED, shapes=("poison", "corrupt"))
def a_dead_letter_is_taken_for_stored(put_: Any, key: str, *more: Any) -> Any:
    """A dead message counts as settled only when its dead letter is stored."""
    outcome = yield from put_(key, *more)
    return Stored("perhaps") if isinstance(outcome, Unknown) and "/dead/" in key else outcome


@mutant(letters.Letters, "_write", "P1", within=300, shapes=("poison", "corrupt"))
def one_letter_for_all(write_letters: Any, of: letters.Letters, path: str, state: Any, *more: Any) -> Any:
    """Every dead message has a letter of its own, unless nobody can read it."""
    news = yield from write_letters(of, path, state, *more)
    if any(one == path for one, _ in of.written):
        of.written.update((path, index) for index in state.dying)
    return news


@mutant(Lead, "_commit", "I4 I11", weather=_DOUBT)
def a_board_in_doubt_is_taken_for_stored(commit: Any, lead: Lead, planned: Planned, *more: Any) -> Any:
    """What follows from a board is done when it is known to stand."""
    outcome = yield from commit(lead, planned, *more)
    if isinstance(outcome, Doubt):
        lead.pending, lead.board, lead.version = None, planned.board, "perhaps"
        lead.view.learn(planned.board, "perhaps")
        return lead._cycled(True, planned, *more[-2:])
    return outcome


@mutant(Chores, "follow", "I1", within=1200, **_SUPERSEDED)
def a_ledger_is_deleted_as_soon_as_fenced(follow: Any, of: Chores, facts: Any, heard: Any, *more: Any) -> None:
    """A fenced ledger is deleted only after a board that was planned knowing of the fence."""
    over = frozenset(name for name, state in heard.items() if state.ledger and state.ledger.over)
    follow(of, facts._replace(ended=over), heard, *more)


@mutant(Chores, "follow", "I1")
def idle_ledgers_are_deleted(follow: Any, of: Chores, facts: Any, heard: Any, *more: Any) -> None:
    """A ledger is deleted only when it is over."""
    follow(of, facts._replace(ended=frozenset(heard)), heard, *more)


@mutant(fences.Fences, "_fence", "I1", within=300, weather=_SLOW_READS)
def an_unread_ledger_is_fenced_unread(fence: Any, of: fences.Fences, session: str, silent: Any, *more: Any) -> Any:
    """A ledger that could not be read is read before it is fenced: it may be over already."""
    return (yield from fence(of, session, silent._replace(is_read=True), *more))


@mutant(survey, "get_within", "I8", within=300, weather=_REFUSED)
def an_unreadable_ledger_stops_the_cycle(_: Any, keys: Any, within_s: float) -> Any:
    """A ledger that cannot be read is passed over."""
    found: list[Any] = []
    for key in keys:
        found.append((yield from get(key)))
    return found


@mutant(Lead, "_cycle", "I8", within=300, weather=_REFUSED, shapes=("poison",))
def a_refused_letter_stops_the_cycle(cycle_: Any, lead: Lead, *args: Any) -> Any:
    """Nothing but the board's own write stops a cycle."""
    if any("#" in key for key in lead.chores.troubles.keys):
        raise StoreDenied("put", "a dead letter")
    return (yield from cycle_(lead, *args))


@mutant(Hosting, "_is_shut_out", "I8", within=300, weather=_REFUSED, hosts=1, shapes=("plain",))
def a_session_that_is_shut_out_stays(_: Any, of: Hosting, fault: Exception) -> bool:
    """A host whose ledger the store refuses for ever begins another session."""
    return False


# ---- off the board ---------------------------------------------------------------------------------------------------

#: Much that waits, and writes of which nobody hears.
_WAITS: dict[str, Any] = {
    "weather": Weather(fault=0.15, fates=("served", "unanswered", "late", "dropped"), chaos=0.0, ends=0.6),
    "batches": 4,
    "most": 5,
    "shapes": ("plain",),
}


@mutant(assign, "_is_new", "I2 I9 P6", within=300, **_WAITS)
def what_is_moved_is_admitted_while_it_is_still_there(_: Any, planning: Any, path: str) -> bool:
    """A source of moved messages is admitted when they are settled where they come from."""
    return path not in planning.sources and path not in planning.board.sources


@mutant(park, "moved_path", "I7 I6", **_WAITS)
def what_is_moved_begins_anew(moved_path: Any, like: Any, *, attempt: int, **more: Any) -> str:
    """A message that is moved off the board goes on with its next attempt."""
    path: str = moved_path(like, attempt=1, **more)
    return path


@mutant(moves, "shortened", "P1", **_WAITS)
def what_is_moved_loses_its_history(_: Any, failures: Any) -> Any:
    """The history of a message goes along when it is moved off the board."""
    return ()


@mutant(park, "settle", "P1", **_WAITS)
def what_is_moved_is_settled_at_once(settle: Any, planning: Any, parking: Any) -> None:
    """A message that is moved is settled where it was when the source that holds it is known to be stored."""
    settle(planning, park.Parking(stored=set(planning.board.moves)))


# ---- dozing hosts ----------------------------------------------------------------------------------------------------

#: Billed worlds with pauses of many seconds, in which hosts doze.
_DOZY: dict[str, Any] = {
    "doze_s": 4.0,
    "times": DOZY,
    "billed": True,
    "storm_s": 26.0,
    "shared": True,
    "shapes": ("plain",),
}


@mutant(Silence, "_is_silent", "I22", **_DOZY)
def a_dozing_host_is_fenced_by_its_last_write(_: Any, of: Silence, session: str, heard: Any, now: float) -> bool:
    """The silence of a dozing host counts from the board that assigns it something, not from its last write."""
    return heard.since is not None and now - heard.since > silence.patience(heard.ledger, of._own_s)


@mutant(silence, "claim_s", "I22", **_DOZY)
def a_dozing_host_has_no_time_to_claim(_: Any, ledger_: Any) -> float:
    """A dozing host has some polls' time to claim what it is assigned."""
    return 0.0


@mutant(
    Silence,
    "_is_silent",
    "I8",
    **_DOZY | {"weather": Weather(fault=0.0, chaos=0.02, kinds=("kill host",)), "machines": 3},
)
def a_dozing_host_is_never_fenced(is_silent: Any, of: Silence, session: str, heard: Any, now: float) -> bool:
    """A dozing host that does not claim is fenced."""
    dozes = heard.ledger is not None and heard.ledger.dozing is not None
    return not dozes and is_silent(of, session, heard, now)
