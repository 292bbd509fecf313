"""The end of a session whose agent died: the next agent of its host stores the outcomes from the workers' journals."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from msgspec.structs import replace

from s3queue.core.elect import View
from s3queue.core.held import Held
from s3queue.core.keys import Layout
from s3queue.core.ops import Overtaken, Step, get, write
from s3queue.core.records import Board, Failed, Ledger, Report, Ticket, decode, encode_over
from s3queue.errors import CorruptRecord
from s3queue.store import Found, Missing, Stored


def end_session(
    view: View, layout: Layout, session: str, outcomes: Mapping[str, Report], nonces: Iterable[str]
) -> Step[bool]:
    """End a session of this host whose agent died, with the outcomes in the journals of its workers.

    Claimed messages that no journal mentions were never dealt to a worker, and are released. This is safe because a
    journal row is closed only after its outcomes are in the stored ledger.

    Args:
        view: of the board, looked at just before.
        outcomes: by ticket; ``ok`` and ``failed`` only.
        nonces: one for each try.

    Returns:
        Whether it is settled: ended, now or before. Otherwise try again, after a look at the board.

    Asks: one Get and one Put; again for each write of the old agent that lands in between.
    """
    key = layout.host(session)
    for nonce in nonces:
        found = yield from get(key)
        if not isinstance(found, Found):
            return True
        try:
            ledger = decode(Ledger, key, found.body)
        except CorruptRecord:
            return True  # the coordinator fences it after the visibility timeout
        if ledger.over:
            return True
        if ledger.claims and view.board is None:
            return False  # the board was deleted: until it is put back, nobody can tell what these claims are
        will = _last_will(ledger, view.board, outcomes, nonce)
        outcome = yield from write(key, encode_over(will, ledger, found.body), nonce=nonce, if_version=found.version)
        if isinstance(outcome, Stored) or (isinstance(outcome, Overtaken) and isinstance(outcome.now, Missing)):
            return True
    return False


def _last_will(ledger: Ledger, board: Board | None, outcomes: Mapping[str, Report], nonce: str) -> Ledger:
    reports = {}
    for name in ledger.claims:
        ticket = board.tickets.get(name) if board is not None else None
        if ticket is None:
            continue
        stored, heard = ledger.reports.get(name, Report()), outcomes.get(name, Report())
        held = Held(ticket, stored.ok, stored.released, dict(stored.failed), memos=dict(stored.memos))
        held.succeed(heard.ok)
        for offset, outcome in heard.failed.items():
            held.fail(offset, _of_attempt(outcome, ticket, offset))
        held.release((0, ticket.size))
        reports[name] = held.report()
    return replace(ledger, nonce=nonce, fenced=True, reports=reports)


def _of_attempt(outcome: Failed, ticket: Ticket, offset: int) -> Failed:
    """A journal does not know which attempt it was; the ticket does."""
    if outcome.failure is None:
        return outcome
    attempt = next(ticket.spans((offset, offset + 1))).attempt
    return replace(outcome, failure=replace(outcome.failure, attempt=attempt))
