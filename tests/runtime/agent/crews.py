"""A dealer, its host, and the workers that it deals to: lists in place of sockets."""

from __future__ import annotations

from s3queue.core.held import Held
from s3queue.core.keys import Layout, source_path
from s3queue.core.ledger import Host
from s3queue.core.records import Offer, Part, Ticket
from s3queue.runtime.agent.dealing import Dealer
from s3queue.runtime.agent.deaths import Death
from s3queue.runtime.local.journal import Journal
from s3queue.runtime.local.wire import Deal, Note


def source(number: int, count: int = 1) -> str:
    return source_path("q", sent_ms=1_700_000_000_000 + number, batch=f"{number:016x}", count=count)


def dealer(slots: int, max_messages: int | None = None) -> tuple[Dealer, Host, list[Note]]:
    journal = Journal(bytearray(Journal.size(1, slots)), 1, slots)
    host = Host(Layout(), "session", slots, {"q": Offer()})
    dealing = Dealer(host, [journal.worker(0)], slots, max_messages)
    notes: list[Note] = []
    dealing.comes(0, notes.append)
    return dealing, host, notes


def assign(host: Host, name: str, number: int, attempt: int = 1, count: int = 1) -> None:
    host.tickets[name] = Held(Ticket(host.session, (Part(source(number, count), 0, count, attempt),)))


KILLED = Death("killed", "worker 0 was killed by SIGKILL", 7)


def crew(workers: int, slots: int) -> tuple[Dealer, Host, list[list[Note]]]:
    """Several workers, all there."""
    journal = Journal(bytearray(Journal.size(workers, slots)), workers, slots)
    host = Host(Layout(), "session", slots * workers, {"q": Offer()})
    dealing = Dealer(host, [journal.worker(number) for number in range(workers)], slots)
    notes: list[list[Note]] = [[] for _ in range(workers)]
    for number in range(workers):
        dealing.comes(number, notes[number].append)
    return dealing, host, notes


def dealt(notes: list[Note]) -> list[str]:
    return [note.ticket for note in notes if isinstance(note, Deal)]


def suspect(host: Host, name: str, number: int, attempt: int = 2) -> None:
    assign(host, name, number, attempt)
    host.tickets[name].suspect = True
