"""Take over what ledgers report, and the tickets of sessions that are over."""

from __future__ import annotations

from msgspec.structs import replace

from s3queue.core import ranges
from s3queue.core.plan.planned import Settled
from s3queue.core.plan.planning import Planning
from s3queue.core.records import Failed, Failure, Ledger, Offer, Part, Report, Ticket


def tickets(planning: Planning) -> None:
    claims: dict[str, frozenset[str]] = {}
    for name, ticket in planning.board.tickets.items():
        ledger = planning.ledgers.get(ticket.session)
        if ledger is None:
            continue
        if ticket.session not in claims:
            claims[ticket.session] = frozenset(ledger.claims)
        claimed = ledger.unread or name in claims[ticket.session]
        report = ledger.reports.get(name) if claimed else None
        if report is not None or ledger.over:
            _take(planning, name, ticket, report or Report(), ledger, claimed)


def _take(planning: Planning, name: str, ticket: Ticket, report: Report, ledger: Ledger, claimed: bool) -> None:
    offer = ledger.offers.get(ticket.queue) or Offer(max_attempts=planning.settings.max_attempts)
    # A message has one outcome, whatever a ledger says: what it says of others than the ticket still holds is not read.
    everything = (0, ticket.size)
    ok = ranges.minus(report.ok, ticket.taken)
    taken = ranges.union(ranges.pairs(ticket.taken), ranges.pairs(ok))
    released = ranges.minus(report.released, taken)
    taken = ranges.union(ranges.pairs(taken), ranges.pairs(released))
    failed = {at: one for at, one in report.failed.items() if not ranges.contains(taken, at)}
    left = ranges.minus(everything, ranges.union(ranges.pairs(taken), ranges.pairs(ranges.of(failed))))
    taken = ranges.minus(everything, left)
    if taken == ticket.taken and not ledger.over:
        return
    planning.planned.changed = True
    for part in ticket.spans(ok):
        planning.draft(part.source).done(part.start, part.stop)
        planning.count(part, "done", part.stop - part.start)
        planning.planned.settled.append(Settled(name, part.source, part.start, part.stop, part.attempt, "done"))
    for part in ticket.spans(released):
        planning.draft(part.source).released(part.start, part.stop, part.attempt)
    for offset, outcome in failed.items():
        for part in ticket.spans((offset, offset + 1)):
            _fail(planning, name, part, outcome, offer)
    if ledger.over:
        for part in ticket.spans(left):
            _orphan(planning, name, part, offer, claimed)
    if ledger.over or not left:
        del planning.tickets[name]
    else:
        planning.tickets[name] = replace(ticket, taken=taken)


def _fail(planning: Planning, name: str, part: Part, outcome: Failed, offer: Offer) -> None:
    if outcome.kind == "unfit":
        planning.gave_back(part, outcome)
        return
    died = planning.draft(part.source).failed(
        part.start, part.attempt, outcome, max_attempts=offer.max_attempts, now_ms=planning.heard_ms
    )
    if outcome.kind not in ("snooze", "interrupted"):
        planning.count(part, "failed", 1)
    if died:
        planning.count(part, "dead", 1)
        planning.planned.settled.append(Settled(name, part.source, part.start, part.stop, part.attempt, "dead"))


def _orphan(planning: Planning, name: str, part: Part, offer: Offer, claimed: bool) -> None:
    """The session ended and left no outcome. What it claimed may have been started; what it did not, was not."""
    if not claimed:
        planning.draft(part.source).released(part.start, part.stop, part.attempt)
        return
    failure = Failure(part.attempt, "lost", "its host fell silent or died", planning.now_ms)
    for index in range(part.start, part.stop):
        one = Part(part.source, index, index + 1, part.attempt)
        _fail(planning, name, one, Failed("retry", 0.0, failure), offer)
