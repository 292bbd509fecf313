"""Suspects: messages that may have taken their process with them, dealt to run alone."""

from __future__ import annotations

from s3queue.runtime.local.journal import OK
from s3queue.runtime.local.wire import Deal, Recall
from tests.runtime.agent.crews import assign, crew, dealer, dealt, suspect


def test_suspect_is_dealt_as_one_that_runs_alone() -> None:
    dealing, host, notes = dealer(slots=2)
    assign(host, "1-0", 0, attempt=2)
    host.tickets["1-0"].suspect = True
    assign(host, "1-1", 1)
    dealing.claimed(["1-0", "1-1"])
    dealing.deal(0.0)
    assert [note.alone for note in notes if isinstance(note, Deal)] == [True]


def test_suspect_is_dealt_to_a_worker_that_has_nothing_else_and_gets_nothing_else() -> None:
    dealing, host, (notes,) = crew(workers=1, slots=4)
    suspect(host, "1-0", 0)
    assign(host, "1-1", 1, count=8)
    dealing.claimed(["1-0", "1-1"])
    dealing.deal(0.0)
    dealing.deal(0.1)
    assert dealt(notes) == ["1-0"]
    dealing.loads[0].journal.mark(0, 0, OK)
    dealing.look()
    dealing.deal(0.2)
    assert dealt(notes) == ["1-0", "1-1"]


def test_busy_worker_is_cleared_for_a_suspect() -> None:
    dealing, host, (notes,) = crew(workers=1, slots=2)
    assign(host, "1-0", 0, count=8)
    dealing.claimed(["1-0"])
    dealing.deal(0.0)
    dealing.loads[0].journal.start(0, 0, 0, 0.0)
    suspect(host, "1-1", 1)
    dealing.claimed(["1-1"])
    dealing.deal(0.1)
    assert isinstance(notes[-1], Recall), "what it has not started is not waited for"
    dealing.returned(0, [(0, 1)])
    dealing.deal(0.2)
    assert dealt(notes) == ["1-0"], "it still runs one"
    dealing.loads[0].journal.finish(0, OK)
    dealing.look()
    dealing.deal(0.3)
    assert dealt(notes) == ["1-0", "1-1"]


def test_others_have_their_turn_between_two_suspects() -> None:
    dealing, host, (notes,) = crew(workers=1, slots=2)
    for number in range(3):
        suspect(host, f"1-{number}", number)
    assign(host, "1-9", 9, count=4)
    dealing.claimed(["1-0", "1-1", "1-2", "1-9"])
    for now in range(40):
        dealing.deal(float(now))
        journal = dealing.loads[0].journal
        if any(isinstance(note, Recall) for note in notes[-1:]):
            dealing.returned(0, [])
        for row, it in list(dealing.loads[0].rows.items()):
            journal.states(row)[:] = bytes((OK,)) * it.size
        dealing.look()
    assert dealt(notes) == ["1-0", "1-9", "1-1", "1-9", "1-2"]


def test_suspects_leave_one_worker_to_the_others() -> None:
    dealing, host, notes = crew(workers=3, slots=2)
    for number in range(5):
        suspect(host, f"1-{number}", number)
    assign(host, "1-9", 9, count=4)
    dealing.claimed([f"1-{number}" for number in (0, 1, 2, 3, 4, 9)])
    dealing.deal(0.0)
    assert sorted(ticket for each in notes for ticket in dealt(each)) == ["1-0", "1-1", "1-9"]


def test_suspects_get_all_workers_where_nothing_else_waits() -> None:
    dealing, host, notes = crew(workers=3, slots=2)
    for number in range(5):
        suspect(host, f"1-{number}", number)
    dealing.claimed([f"1-{number}" for number in range(5)])
    dealing.deal(0.0)
    assert sorted(ticket for each in notes for ticket in dealt(each)) == ["1-0", "1-1", "1-2"]


def test_suspect_waits_for_a_row() -> None:
    dealing, host, (notes,) = crew(workers=1, slots=1)
    rows = dealing.loads[0].journal.row_count
    for number in range(rows + 1):
        suspect(host, f"1-{number}", number)
        dealing.claimed([f"1-{number}"])
        dealing.deal(0.0)
        if number < rows:
            dealing.loads[0].journal.mark(number, 0, OK)
            dealing.look()
    assert len(dealt(notes)) == rows
    for number in range(rows):
        dealing.finished(0, number, 0.1)
    host.stored_changes = host.changes
    dealing.stored()
    dealing.deal(1.0)
    assert len(dealt(notes)) == rows + 1


def test_suspect_that_is_given_back_is_still_one() -> None:
    dealing, host, (notes,) = crew(workers=1, slots=2)
    suspect(host, "1-0", 0)
    dealing.claimed(["1-0"])
    dealing.deal(0.0)
    dealing.returned(0, [(0, 0)])
    assign(host, "1-1", 1)
    dealing.claimed(["1-1"])
    dealing.deal(0.1)
    assert dealt(notes) == ["1-0", "1-1"]
    dealing.loads[0].journal.mark(1, 0, OK)
    dealing.look()
    dealing.deal(0.2)
    assert dealt(notes) == ["1-0", "1-1", "1-0"]
    assert dealing.loads[0].suspect


def test_worker_is_told_how_many_attempts_of_a_message_do_not_count() -> None:
    dealing, host, notes = dealer(slots=1)
    assign(host, "1-0", 0, attempt=3)
    host.tickets["1-0"].spared = 2
    dealing.claimed(["1-0"])
    dealing.deal(0.0)
    assert [note.spared for note in notes if isinstance(note, Deal)] == [2]
