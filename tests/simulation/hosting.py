"""What is taken away from a host: claims, trust, journals, and who pays for a death."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import msgspec

from s3queue.core import last_will, ledger
from s3queue.core.ledger import Flushed, Host, Refused
from s3queue.core.ops import Overtaken, Unknown, get, put, write
from s3queue.core.records import Failed, encode
from s3queue.core.settle import Draft
from s3queue.runtime.agent import dealing as deal
from s3queue.runtime.agent import loads, seats
from s3queue.runtime.agent.gates import line_of
from s3queue.runtime.agent.pool import pieces_of
from s3queue.runtime.local.journal import OK, READY, RUNNING
from s3queue.store import Found, Missing, Stored
from s3queue.testing.simulate import Times, Weather
from tests.simulation.mutants import mutant
from tests.simulation.worlds import DEATHS, ENDS, HOST_AND_COORDINATOR, PAUSES, WORKERS_DIE, ZOMBIE, only_hosts


@mutant(
    Host,
    "flush",
    "I11",
    weather=only_hosts(0.5, "dropped"),
    times=replace(Times(), unanswered=0.1),
    **HOST_AND_COORDINATOR,
)
def run_before_claim(flush: Any, host: Host, now: float, nonce: str) -> Any:
    """Only what a stored ledger claims may run."""
    outcome = yield from flush(host, now, nonce)
    if outcome is Refused.UNSURE and host.pending is not None:
        sent = host.pending[0]
        return Flushed(sent, tuple(name for name in sent.claims if name in host.tickets))
    return outcome


@mutant(ledger, "write", "I1", weather=PAUSES)
def unfenced_flush(_: Any, key: str, body: bytes, **__: Any) -> Any:
    """The ledger is written only over the version that this session stored last."""
    found = yield from get(key)
    return (yield from put(key, body, found.version if isinstance(found, Found) else None))


@mutant(ledger, "write", "I11 I6 P3", **ZOMBIE)
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


@mutant(Host, "trusted_until", "I11", **ZOMBIE)
def endless_trust(_: Any, host: Host, visibility_timeout: float) -> float:
    """A task starts only within half the visibility timeout of the last stored write."""
    return float("inf")


@mutant(
    Host,
    "flush",
    "I11",
    within=400,
    weather=only_hosts(0.5, "unanswered", "outage", "dropped", "refused"),
    times=replace(Times(), tasks=(0.4, 1.3), between=(0.0,)),
    hosts=1,
    workers=1,
    slots=1,
    producers=2,
    batches=5,
    most=5,
    storm_s=20.0,
    **HOST_AND_COORDINATOR,
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
    weather=only_hosts(0.5, "late", "dropped"),
    times=replace(Times(), late=(0.5, 1.2)),
    **HOST_AND_COORDINATOR,
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
    outcome = yield from write(host.key, encode(drafted), nonce=drafted.nonce, if_version=None)
    return outcome if not isinstance(outcome, Unknown) else Overtaken(Missing())


@mutant(last_will, "_last_will", "I6 P4", weather=DEATHS)
def journals_are_not_read(will: Any, old: Any, board: Any, outcomes: Any, nonce: str) -> Any:
    """The next agent ends the session with what the journals say."""
    return will(old, board, {}, nonce)


@mutant(deal.Dealer, "died", "I6 P4", weather=DEATHS, slots=1, most=3)
def a_dead_workers_journal_is_not_read(died: Any, dealer: deal.Dealer, worker: int, *more: Any) -> None:
    """What a dead worker finished counts."""
    journal = dealer.loads[worker].journal
    for row in journal.rows():
        states = journal.states(row)
        states[:] = bytes([READY]) * len(states)
    died(dealer, worker, *more)


@mutant(loads, "ok_ranges", "P1", weather=ENDS)
def what_runs_is_done(ok_ranges: Any, states: bytes) -> Any:
    """A message is done when its task has ended well."""
    return ok_ranges(bytes(OK if state == RUNNING else state for state in states))


@mutant(deal.Dealer, "died", "I7", weather=DEATHS, most=5)
def all_of_a_dead_workers_messages_failed(died: Any, dealer: deal.Dealer, worker: int, *more: Any) -> None:
    """What a dead worker had not started costs no attempt."""
    journal = dealer.loads[worker].journal
    for row in journal.rows():
        states = journal.states(row)
        states[:] = bytes(RUNNING if state == READY else state for state in states)
    died(dealer, worker, *more)


@mutant(last_will, "_last_will", "I7", weather=DEATHS, most=5)
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
    weather=replace(only_hosts(0.5, "slow"), chaos=0.02, kinds=("kill agent",)),
    times=replace(Times(), slow=(0.5,), tasks=(0.05, 0.4), ack=2.0),
    billed=True,
    hosts=1,
    slots=2,
    batches=20,
    most=5,
    storm_s=20.0,
    **HOST_AND_COORDINATOR,
)
def a_row_is_closed_early(stored: Any, dealer: deal.Dealer) -> None:
    """A journal row is closed only when its outcomes are in the stored ledger."""
    kept, dealer.host.stored_changes = dealer.host.stored_changes, dealer.host.changes
    stored(dealer)
    dealer.host.stored_changes = kept


@mutant(seats.Seats, "_hello", "I8", weather=WORKERS_DIE, hosts=1, batches=5, storm_s=14.0)
def a_dead_process_is_seated(hello: Any, them: seats.Seats, link: Any, note: Any) -> None:
    """A process that was reaped before it was heard of is never seated."""
    for seat in them.seats:
        seat.dead_pids.clear()
    hello(them, link, note)


@mutant(deal, "judge", "innocent", weather=DEATHS, slots=2, most=5)
def neighbours_pay(judge: Any, suspects: Any, death: Any) -> Any:
    """Of several messages that a process was at when it died none pays for it, unless it is known which."""
    return {one: msgspec.structs.replace(outcome, kind="retry") for one, outcome in judge(suspects, death).items()}


@mutant(deal, "judge", "innocent", weather=ENDS, slots=2, most=5)
def nobody_pays(judge: Any, suspects: Any, death: Any) -> Any:
    """A message that was over its time limit pays for it, and so does one that was alone in a process that died."""
    return {
        one: msgspec.structs.replace(outcome, kind="interrupted") for one, outcome in judge(suspects, death).items()
    }


@mutant(deal.Dealer, "_put_back", "alone", weather=ENDS, slots=2, most=5, shapes=("plain", "poison"))
def suspects_run_in_company(_: Any, dealer: deal.Dealer, queue: str, ticket: str, offsets: Any) -> None:
    """A suspect runs in a process with nothing else."""
    pieces = pieces_of(ticket, dealer.host.tickets.get(ticket), offsets)
    dealer._pool.put_back(line_of(dealer.host, queue, ticket), pieces)


@mutant(Draft, "failed", "I7", weather=ENDS, slots=2, most=5)
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
