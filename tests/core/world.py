"""Short ways to write down paths, boards and ledgers."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import Any, NamedTuple

from s3queue.core.cycle import Cycled, Deposed, Doubt, Lead
from s3queue.core.keys import Layout, Source, parse_source, source_path
from s3queue.core.ops import Step
from s3queue.core.plan import Planned, Settings, Settled, plan
from s3queue.core.records import (
    Board,
    Failed,
    Failure,
    Leader,
    Ledger,
    Message,
    Offer,
    Part,
    Ready,
    Report,
    SourceState,
    Ticket,
    encode_batch,
    encode_message,
)

LAYOUT = Layout()
SETTINGS = Settings()
NOW_MS = 1_800_000_000_000


def path(
    order: int,
    count: int = 1,
    *,
    queue: str = "q",
    group: str | None = None,
    priority: int = 5,
    due_ms: int | None = None,
    newest_first: bool = False,
    key: str | None = None,
    expires_ms: int | None = None,
) -> str:
    return source_path(
        queue,
        sent_ms=order,
        batch=f"{order:x}",
        count=count,
        group=group,
        priority=priority,
        due_ms=due_ms,
        newest_first=newest_first,
        key=key,
        expires_ms=expires_ms,
    )


def sources(*paths: str) -> list[Source]:
    return [parse_source(one) for one in paths]


def body(count: int = 1) -> bytes:
    from msgspec import Raw, msgpack

    messages = [encode_message(Message("", Raw(msgpack.encode(index)))) for index in range(count)]
    return encode_batch(messages, 1)


def ledger(session: str = "h1", slots: int = 4, **fields: Any) -> Ledger:
    """A host that serves ``q``."""
    fields.setdefault("offers", {"q": Offer(max_attempts=3)})
    return Ledger("n", session, slots=slots, **fields)


def by_session(*ledgers: Ledger) -> dict[str, Ledger]:
    return {one.session: one for one in ledgers}


def board(
    tickets: Mapping[str, Ticket] | None = None, states: Mapping[str, SourceState] | None = None, **fields: Any
) -> Board:
    fields.setdefault("epoch", 1)
    fields.setdefault("turn", 1)
    fields.setdefault("leader", Leader("h1"))
    fields.setdefault("sequence", 100)
    return Board("b", tickets=dict(tickets or {}), sources=dict(states or {}), **fields)


def one_ticket(count: int = 1, *, attempt: int = 1, session: str = "h1", **fields: Any) -> tuple[Board, str]:
    """A board with one source of so many messages, all in ticket ``1-0``. Returns it with the source's path."""
    source = path(1, count)
    ticket = Ticket(session, (Part(source, 0, count, attempt),))
    return board({"1-0": ticket}, {source: SourceState()}, **fields), source


def claimed(name: str = "1-0", report: Report | None = None, session: str = "h1", **fields: Any) -> Ledger:
    return ledger(session, claims=(name,), reports={name: report} if report is not None else {}, **fields)


def decide(
    of: Board, ledgers: Iterable[Ledger] = (), listed: Iterable[str] = (), *, now_ms: int = NOW_MS, **fields: Any
) -> Planned:
    fields.setdefault("settings", SETTINGS)
    return plan(of, by_session(*ledgers), sources(*listed), now_ms=now_ms, **fields)


def error(attempt: int = 1, text: str = "boom") -> Failure:
    return Failure(attempt, "error", text, 1)


def retry(attempt: int = 1, delay_s: float = 0.0) -> Failed:
    return Failed("retry", delay_s, error(attempt))


def ready(*triples: tuple[int, int, int]) -> tuple[Ready, ...]:
    return tuple(Ready(*one) for one in triples)


def parts(planned: Planned) -> dict[str, list[tuple[Part, ...]]]:
    """By session, what is in its tickets."""
    found: dict[str, list[tuple[Part, ...]]] = {}
    for ticket in planned.board.tickets.values():
        found.setdefault(ticket.session, []).append(ticket.parts)
    return found


def assigned(planned: Planned) -> dict[str, int]:
    """By session, how many messages are in its tickets."""
    return {session: sum(p.stop - p.start for ps in tickets for p in ps) for session, tickets in parts(planned).items()}


class Whole(NamedTuple):
    """A cycle, the chores that follow from it, and the cycle that enters what they found out.

    Attributes:
        committed: whether any of them committed a board. planned: of the first.
        fenced: sessions that were ended.
    """

    committed: bool
    planned: Planned
    settled: list[Settled]
    fenced: tuple[str, ...]
    next_due_ms: int | None
    corrupt: tuple[Any, ...]


def whole_cycle(
    lead: Lead, *, now: float, now_ms: int, nonce: str, gone: Collection[str] = ()
) -> Step[Whole | Deposed | Doubt]:
    """What `s3queue.core.agent` does when it is rung, one thing after the other: a cycle, all chores, and while they find
    anything for the next plan, a cycle that enters it, without a survey."""
    outcome = yield from lead.cycle(now=now, now_ms=now_ms, nonce=nonce, gone=gone)
    if not isinstance(outcome, Cycled):
        return outcome
    first, committed, settled = outcome, outcome.committed, list(outcome.settled)
    while (yield from do_chores(lead, now=now, now_ms=now_ms, nonce=nonce)):
        nonce += "+"
        outcome = yield from lead.cycle(now=now, now_ms=now_ms, nonce=nonce, look=False)
        if not isinstance(outcome, Cycled):
            return outcome
        committed = committed or outcome.committed
        settled += outcome.settled
    fenced = tuple(sorted(lead.chores.fences.done))
    lead.chores.fences.done.clear()
    corrupt = (*first.corrupt, *lead.chores.fences.corrupt)
    return Whole(committed, first.planned, settled, fenced, first.next_due_ms, corrupt)


def do_chores(lead: Lead, *, now: float, now_ms: int, nonce: str) -> Step[bool]:
    """All that can be done now. Returns whether there is anything for the next plan."""
    news, number = False, 0
    while (step := lead.chores.take(now, now_ms, f"{nonce}.{number}")) is not None:
        number += 1
        news = (yield from step) or news
    return news
