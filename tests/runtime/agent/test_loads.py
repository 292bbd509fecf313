"""What one worker was dealt, driven by hand on a journal in plain memory."""

from __future__ import annotations

from s3queue.core.keys import Layout
from s3queue.core.ledger import Host
from s3queue.core.records import Failed, Offer
from s3queue.runtime.agent.loads import STUCK_S, Load
from s3queue.runtime.agent.pool import Piece
from s3queue.runtime.local.journal import OK, Journal
from s3queue.runtime.local.wire import Note, Recall
from tests.runtime.agent.crews import assign


def load(slots: int = 2, max_messages: int | None = None) -> tuple[Load, Host, list[Note]]:
    journal = Journal(bytearray(Journal.size(1, slots)), 1, slots).worker(0)
    host = Host(Layout(), "session", slots, {"q": Offer()})
    assign(host, "1-0", 0, count=10)
    notes: list[Note] = []
    it = Load(host, journal, slots, max_messages)
    it.begin(notes.append)
    return it, host, notes


def test_each_message_is_counted_once_whatever_becomes_of_it() -> None:
    it, host, _ = load()
    row = it.rows[it.open(Piece("1-0", 2, 8), "q")]
    assert it.unfinished == row.left == 6
    it.journal.mark(0, 0, OK)
    it.look()
    it.look()
    it.fail(row, 1, Failed("dead"))
    it.release(row, 2)
    it.move(row, 2)
    assert (it.unfinished, row.left, row.ended_at) == (1, 1, None)
    it.journal.mark(0, 5, OK)
    it.look()
    assert (it.unfinished, row.ended_at) == (0, host.changes)
    held = host.tickets["1-0"]
    assert (held.ok, held.released, list(held.failed)) == ((2, 3, 7, 8), (4, 5), [3])


def test_row_is_closed_when_its_worker_is_done_with_it_and_its_outcomes_are_stored() -> None:
    it, host, _ = load()
    row = it.rows[it.open(Piece("1-0", 0, 1), "q")]
    it.journal.mark(0, 0, OK)
    it.look()
    host.stored_changes = host.changes
    it.close_stored()
    assert list(it.rows) == [0], "its worker may still be at it"
    it.finish(row)
    host.stored_changes = host.changes - 1
    it.close_stored()
    assert list(it.rows) == [0], "nobody else knows what came of it"
    host.stored_changes = host.changes
    it.close_stored()
    assert (it.rows, it.journal.rows()) == ({}, [])


def test_rows_are_used_again_and_run_out() -> None:
    it, _, _ = load(slots=1)
    for number in range(it.journal.row_count):
        assert it.has_room
        assert it.open(Piece("1-0", 0, 1), "q") == number
    assert not it.has_room


def test_worker_is_asked_once_to_give_back_what_it_has_not_started() -> None:
    it, _, notes = load()
    it.recall()
    assert notes == [], "it has nothing"
    it.open(Piece("1-0", 0, 3), "q")
    it.recall()
    it.recall()
    assert notes == [Recall()]


def test_worker_is_stuck_when_all_slots_that_may_be_at_work_are_at_long_tasks() -> None:
    it, _, _ = load(slots=2)
    it.open(Piece("1-0", 0, 3), "q")
    it.journal.start(0, 0, 0, started=10.0)
    late = 10.0 + 2 * STUCK_S
    assert not it.is_stuck(late)
    it.suspect = True
    assert it.is_stuck(late)
    it.suspect = False
    it.journal.start(1, 0, 1, started=late)
    assert not it.is_stuck(late)
    assert it.is_stuck(late + 2 * STUCK_S)


def test_quota_of_a_process_begins_anew_with_the_next_one() -> None:
    it, _, notes = load(max_messages=4)
    it.open(Piece("1-0", 0, 3), "q")
    assert it.quota == 1
    it.end()
    assert not it.is_able
    it.begin(notes.append)
    assert (it.quota, it.is_able) == (4, True)
