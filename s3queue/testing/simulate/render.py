"""A history for people, one line per event."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from msgspec.structs import astuple

from s3queue.core.keys import Layout
from s3queue.core.records import Board, Ledger, RetiredPage, decode
from s3queue.testing.simulate.history import Event, Wrote

_LAYOUT = Layout()


def lines(events: Iterable[Event]) -> Iterator[str]:
    for n, event in enumerate(events):
        if isinstance(event, Wrote):
            yield f"{n:5} {event.at:8.2f} {event.who} wrote {_body(event)}"
        else:
            yield f"{n:5} {event[0]:8.2f} {type(event).__name__.lower()} {' '.join(map(str, event[1:]))}"


def _body(event: Wrote) -> str:
    key, body = event.key, event.body
    if key == _LAYOUT.board:
        return _board(decode(Board, key, body))
    if key.startswith(_LAYOUT.hosts):
        return _ledger(decode(Ledger, key, body))
    if key.startswith(_LAYOUT.retired):
        return f"{key} {decode(RetiredPage, key, body).sources}"
    return f"{key} ({len(body)} bytes)"


def _board(board: Board) -> str:
    leader = board.leader.session if board.leader else "nobody"
    shown = [f"board: epoch {board.epoch} turn {board.turn} of {leader}, up {board.uptime_ms} ms"]
    for name, ticket in board.tickets.items():
        parts = " ".join(f"{part.source}[{part.start}:{part.stop}]@{part.attempt}" for part in ticket.parts)
        shown.append(
            f"ticket {name} for {ticket.session}: {parts}" + (f" taken {ticket.taken}" if ticket.taken else "")
        )
    for path, state in board.sources.items():
        failures = {index: [one.cause for one in those] for index, those in state.failures.items()}
        shown.append(
            f"{path}: settled {state.settled} ready {[astuple(one) for one in state.ready]} "
            f"waiting {[astuple(one) for one in state.waiting]} dying {state.dying} failures {failures}"
        )
    return "\n               ".join(shown)


def _ledger(ledger: Ledger) -> str:
    shown = f"ledger of {ledger.session}" + " FENCED" * ledger.fenced + " LEFT" * ledger.left
    shown += f": {ledger.slots} slots, claims {' '.join(ledger.claims) or 'nothing'}"
    for name, report in ledger.reports.items():
        failed = {at: (one.kind, one.delay_s, one.failure and one.failure.cause) for at, one in report.failed.items()}
        shown += f"; {name}: ok {report.ok} released {report.released} failed {failed}"
    return shown
