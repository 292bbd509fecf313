"""A host, driven by hand: joined, with tickets, running; and what it sends."""

from __future__ import annotations

from s3queue.core import ranges
from s3queue.core.ledger import Host
from s3queue.core.ops import Put
from s3queue.core.records import Board, Ledger, Offer, Part, SourceState, Ticket, decode, encode
from s3queue.store import Found, Stored
from tests.core.hands import Hand
from tests.core.world import LAYOUT, board, path

KEY = LAYOUT.host("h1")
SOURCE = path(1, 10)
VISIBILITY = 30.0


def new_host() -> Host:
    return Host(LAYOUT, "h1", 4, {"q": Offer()})


def joined(now: float = 0.0) -> Host:
    host = new_host()
    Hand(host.flush(now, "n0")).tell(Stored("v0"))
    return host


def with_tickets(*names: str, session: str = "h1", **taken: ranges.Ranges) -> Board:
    """A board on which each ticket holds ten messages."""
    tickets = {
        name: Ticket(session, (Part(path(int(name[2:]) + 1, 10), 0, 10, 1),), taken.get(f"t{name[2:]}", ()))
        for name in names
    }
    return board(tickets, {ticket.parts[0].source: SourceState() for ticket in tickets.values()})


def running(*names: str, now: float = 0.0) -> Host:
    """A host that has claimed these."""
    host = joined()
    host.see(with_tickets(*names))
    Hand(host.flush(now, "n1")).tell(Stored("v1"))
    return host


def sent(hand: Hand[object]) -> Ledger:
    assert isinstance(hand.op, Put)
    return decode(Ledger, hand.op.key, hand.op.body)


def theirs(**fields: object) -> Found:
    return Found(encode(Ledger("theirs", "h1", **fields)), "v9")  # type: ignore[arg-type]
