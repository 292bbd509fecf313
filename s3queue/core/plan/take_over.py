"""Takes over the reports of ledgers, and the tickets of sessions that are over."""

from __future__ import annotations

from collections.abc import Iterator

from msgspec.structs import replace

from s3queue.core import ranges
from s3queue.core.halts import is_given_back
from s3queue.core.histories import LAST_TEXT, NEWEST_TEXT, is_last, weigh
from s3queue.core.keys import parse_source
from s3queue.core.plan import halts
from s3queue.core.plan.planned import Settled
from s3queue.core.plan.planning import Planning
from s3queue.core.plan.room import added
from s3queue.core.ranges import Ranges
from s3queue.core.records import Failed, Failure, Ledger, Memo, Offer, Part, Report, Ticket


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
    failed = ranges.minus(ranges.of(at for at in report.failed if 0 <= at < ticket.size), taken)
    ended = list(ticket.spans(ok))
    planning.done(ended, name)
    if planning.marks:
        for part in ended:
            planning.ends(part, "done")
    for part in ticket.spans(released):
        _release(planning, name, part)
    done = [
        offset
        for offset, part in _singles(ticket, failed)
        if _fail(planning, name, part, report.failed[offset], offer, report.memos.get(offset))
    ]
    if ledger.over:
        left = ranges.minus(everything, ranges.union(ranges.pairs(taken), ranges.pairs(failed)))
        done += [
            offset
            for offset, part in _singles(ticket, left)
            if _orphan(planning, name, part, offer, claimed, report.memos.get(offset))
        ]
    taken = ranges.union(ranges.pairs(taken), ranges.pairs(ranges.of(done)))
    taken = ranges.minus(everything, ranges.minus(everything, taken))
    if taken == ticket.taken:
        return
    planning.planned.changed = True
    if taken == everything:
        del planning.tickets[name]
    else:
        planning.tickets[name] = replace(ticket, taken=taken)


def _release(planning: Planning, name: str, part: Part) -> None:
    """These were not started. Marked ones never are."""
    for index in sorted(planning.marks.get(part.source, ())):
        if part.start <= index < part.stop:
            if part.start < index:
                planning.draft(part.source).released(part.start, index, part.attempt)
            _cancel(planning, name, Part(part.source, index, index + 1, part.attempt), began=part.attempt > 1)
            part = Part(part.source, index + 1, part.stop, part.attempt)
    if part.start < part.stop:
        planning.draft(part.source).released(part.start, part.stop, part.attempt)


def _cancel(planning: Planning, name: str, part: Part, *, began: bool) -> None:
    began = began or part.start in planning.state(part.source).failures
    mark = planning.marks[part.source][part.start]
    planning.end(part, mark.how, name, began=began, reason=mark.reason)
    planning.ends(part, "cancelled")


def _singles(ticket: Ticket, offsets: Ranges) -> Iterator[tuple[int, Part]]:
    """The messages at these offsets, one by one."""
    members = ranges.members(offsets)
    for part in ticket.spans(offsets):
        for index in range(part.start, part.stop):
            yield next(members), Part(part.source, index, index + 1, part.attempt)


def _fail(planning: Planning, name: str, part: Part, outcome: Failed, offer: Offer, memo: Memo | None = None) -> bool:
    """Take over one message that did not end well, if the board has room for it. Otherwise it stays in the ledger."""
    if planning.is_marked(part):
        if not planning.room.takes(added("", LAST_TEXT), dies=True):
            return False
        if outcome.failure is not None and outcome.failure.cause != "cancelled":
            planning.draft(part.source).remember(part.start, planning.signed(outcome.failure, name))
        _cancel(planning, name, part, began=True)
        return True
    if outcome.kind == "unfit":
        planning.gave_back(part, outcome)
        return True
    if outcome.token and is_given_back(outcome):
        halts.hold(planning, part, outcome.token)
        return True
    if outcome.kind == "expired":  # told by its host, which has claimed it
        if not planning.room.takes(added("", LAST_TEXT), dies=True):
            return False
        planning.end(part, "expired", name, began=True)
        return True
    failure = None if outcome.failure is None else planning.signed(outcome.failure, name)
    outcome = replace(outcome, failure=failure)
    state = planning.state(part.source)
    history = state.failures.get(part.start, ())
    dies = is_last(outcome, part.attempt, state.spared.get(part.start, 0), offer.max_attempts)
    text, *where = (failure.text, failure.host, failure.ticket) if failure is not None else ("",)
    squeezed = False
    size = added(text, LAST_TEXT if dies else NEWEST_TEXT, *where) + (memo.size if memo is not None and not dies else 0)
    if not planning.room.takes(size, dies=dies):
        # One that is on the board with its history goes on with less of it.
        if dies or not history:
            return False
        squeezed = failure is not None
    draft = planning.draft(part.source)
    draft.failed(part.start, part.attempt, outcome, max_attempts=offer.max_attempts, now_ms=planning.heard_ms)
    if squeezed:
        draft.squeeze(part.start, weigh(history))
    if memo is not None and not dies:
        planning.memos.setdefault(part.source, {})[part.start] = memo
    if outcome.kind == "snooze" and parse_source(part.source).expires_ms is not None:
        draft.begins_again(part.start)
    if outcome.kind not in ("snooze", "interrupted"):
        planning.count(part, "failed", 1)
    if dies:
        planning.count(part, "dead", 1)
        planning.planned.settled.append(Settled(name, part.source, part.start, part.stop, part.attempt, "dead"))
    return True


def _orphan(planning: Planning, name: str, part: Part, offer: Offer, claimed: bool, memo: Memo | None = None) -> bool:
    """The session ended without an outcome of this message. A claimed message may have started; others have not."""
    if not claimed:
        _release(planning, name, part)
        return True
    failure = Failure(part.attempt, "lost", "its host fell silent or died", planning.now_ms)
    return _fail(planning, name, part, Failed("retry", 0.0, failure), offer, memo)
