"""What the dealer gives to whom, driven by hand: a host, a journal in plain memory, and a list instead of a socket."""

from __future__ import annotations

from s3queue.core.keys import Layout, source_path
from s3queue.core.ledger import Held, Host
from s3queue.core.records import Failed, Offer, Part, Ticket
from s3queue.runtime.agent import deaths
from s3queue.runtime.agent.dealing import Dealer
from s3queue.runtime.local.journal import MOVED, OK, READY, RUNNING, STATES, Journal
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


def test_a_message_whose_worker_died_does_not_queue_behind_what_came_after_it() -> None:
    dealing, host, notes = dealer(slots=1)
    assign(host, "1-0", 0, count=50)
    dealing.claimed(["1-0"])
    assign(host, "1-1", 1, attempt=2)
    dealing.claimed(["1-1"])
    dealing.deal(now=0.0)
    assert [note.ticket for note in notes if isinstance(note, Deal)] == ["1-1"]
    assert dealing.pooled == 50


def test_new_tickets_are_dealt_in_the_order_in_which_they_were_claimed() -> None:
    dealing, host, notes = dealer(slots=3)
    for number in range(3):
        assign(host, f"1-{number}", number)
    dealing.claimed(["1-0", "1-1", "1-2"])
    dealing.deal(now=0.0)
    assert [note.ticket for note in notes if isinstance(note, Deal)] == ["1-0", "1-1", "1-2"]


def test_a_process_is_never_given_more_than_it_may_run() -> None:
    dealing, host, notes = dealer(slots=2, max_messages=3)
    assign(host, "1-0", 0, count=50)
    dealing.claimed(["1-0"])
    for now in range(2):
        dealing.deal(float(now))
        for number, row in dealing.loads[0].rows.items():
            for index in range(row.ok, row.size):
                dealing.loads[0].journal.start(0, number, index, 0.0)
                dealing.loads[0].journal.finish(0, OK)
            dealing.finished(0, number, busy_s=1e-6)
    assert sum(part.stop - part.start for note in notes if isinstance(note, Deal) for part in note.parts) == 3
    assert dealing.pooled == 47
    dealing.leaves(0)
    dealing.deal(2.0)
    assert dealing.pooled == 47
    dealing.comes(0, notes.append)
    dealing.deal(3.0)
    assert dealing.pooled == 44


def test_long_tasks_of_a_process_that_may_run_no_more_do_not_hold_what_waits_behind_them() -> None:
    dealing, host, _ = dealer(slots=4, max_messages=2)
    assign(host, "1-0", 0, count=8)
    dealing.claimed(["1-0"])
    dealing.deal(0.0)
    for slot in range(2):
        dealing.loads[0].journal.start(slot, 0, slot, 0.0)
    assert dealing.pooled == 6
    assert dealing.recall(100.0)


def test_worker_that_counts_less_than_it_was_given_is_not_left_without_work() -> None:
    dealing, host, notes = dealer(slots=1, max_messages=1)
    assign(host, "1-0", 0)
    assign(host, "1-1", 1)
    dealing.claimed(["1-0", "1-1"])
    dealing.deal(0.0)
    dealing.failed(0, 0, 0, Failed("dead", 0.0))  # nobody could read it
    dealing.finished(0, 0, busy_s=0.0)
    dealing.deal(1.0)
    assert len([note for note in notes if isinstance(note, Deal)]) == 2


def test_what_a_worker_gives_back_is_not_counted_as_its_own() -> None:
    dealing, host, notes = dealer(slots=2, max_messages=2)
    assign(host, "1-0", 0, count=50)
    dealing.claimed(["1-0"])
    dealing.deal(0.0)
    dealing.returned(0, [(0, 1)])
    dealing.deal(1.0)
    assert len([note for note in notes if isinstance(note, Deal)]) == 2


def test_a_journal_tells_how_each_message_ended_that_no_agent_heard_of() -> None:
    journal = Journal(bytearray(Journal.size(1, 1)), 1, 1).worker(0)
    journal.open_row(0, "1-0", 10, 7)
    for index, state in enumerate([READY, OK, RUNNING, STATES["retry"], STATES["dead"], STATES["snooze"], MOVED]):
        journal.mark(0, index, state)
    report = deaths.testament([journal], now_ms=5)["1-0"]
    assert report.ok == (11, 12)
    assert {at: failed.kind for at, failed in report.failed.items()} == {
        12: "retry",
        13: "retry",
        14: "dead",  # a message that was rejected does not run again
        15: "snooze",  # and one that was put off has not lost an attempt
    }
    causes = {at: failed.failure.cause for at, failed in report.failed.items() if failed.failure is not None}
    assert causes == {12: "killed", 13: "error", 14: "rejected"}
    assert report.failed[15].delay_s > 0
