from __future__ import annotations

import ctypes
import os
import signal

import multiprocess
import pytest
from multiprocess import connection

from s3queue.core.records import Usage
from s3queue.io.clock import clock
from s3queue.io.meter import WORDS
from s3queue.runtime.local.journal import (
    FAILED,
    MOVED,
    OK,
    READING,
    READY,
    ROW_STATES,
    RUNNING,
    STATES,
    Journal,
    Row,
    ok_ranges,
    row_count,
)
from tests.deadline import DEADLINE_S


def new_journal(workers: int = 2, concurrency: int = 3) -> Journal:
    return Journal(bytearray(Journal.size(workers, concurrency)), workers, concurrency)


def test_new_journal_has_no_rows_no_slots_at_work_and_no_trust() -> None:
    journal = new_journal()
    assert journal.trust_until == 0.0
    assert journal.agent_beat == 0.0
    for number in range(2):
        worker = journal.worker(number)
        assert worker.rows() == []
        assert worker.running() == []
        assert worker.last_beat == 0.0
        assert worker.messages == 0


def test_row_tells_ticket_base_and_size_and_starts_with_every_message_ready() -> None:
    worker = new_journal().worker(1)
    worker.open_row(5, "12-345", 70, 4)
    assert worker.rows() == [5]
    assert worker.row(5) == Row("12-345", 70, 4)
    assert list(worker.states(5)) == [READY] * 4


def test_row_opened_again_shows_nothing_of_its_earlier_life() -> None:
    worker = new_journal().worker(0)
    worker.open_row(0, "1-1000000", 0, ROW_STATES)
    for index in range(ROW_STATES):
        worker.mark(0, index, OK)
    worker.close_row(0)
    assert worker.rows() == []
    assert worker.row(0) is None
    worker.open_row(0, "2-1", 9, ROW_STATES)
    assert worker.row(0) == Row("2-1", 9, ROW_STATES)
    assert set(worker.states(0)) == {READY}


def test_neighbours_do_not_overlap() -> None:
    journal = new_journal(workers=3, concurrency=2)
    for number in range(3):
        worker = journal.worker(number)
        for row in range(worker.row_count):
            worker.open_row(row, f"{number}-{row}", row, ROW_STATES)
            worker.states(row)[:] = bytes([OK]) * ROW_STATES
        for slot in range(2):
            worker.start(slot, 63 - slot, 1023 - slot, 7.0, 8.0)
        worker.usage[3] = 100 + number
        worker.usage[WORDS - 1] = number
        worker.pid = 200 + number
    journal.trust_until = 3.5
    journal.coordinator_usage[0] = 9
    journal.coordinator_usage[WORDS - 1] = 4
    journal.host_usage[0] = 8
    for number in range(3):
        worker = journal.worker(number)
        for row in range(worker.row_count):
            assert worker.row(row) == Row(f"{number}-{row}", row, ROW_STATES)
        assert worker.states(0).tolist() == [OK] * ROW_STATES
        assert [tuple(one) for one in worker.running()] == [(0, 63, 1023, 7.0, 8.0), (1, 62, 1022, 7.0, 8.0)]
        assert worker.states(63)[1023] == RUNNING
        assert worker.pid == 200 + number
        assert worker.messages == 2
    assert journal.trust_until == 3.5
    assert journal.usage() == {
        "coordinator": Usage(put=9, unanswered=4),
        "host": Usage(put=8),
        "worker": Usage(delete=303, unanswered=3),
    }


@pytest.mark.parametrize("concurrency", [1, 8, 200, 1000])
def test_each_slot_has_a_row_for_what_it_runs_what_comes_next_and_what_is_not_stored_yet(concurrency: int) -> None:
    worker = new_journal(workers=1, concurrency=concurrency).worker(0)
    assert worker.row_count == row_count(concurrency) >= 3 * concurrency
    for row in range(worker.row_count):
        worker.open_row(row, f"1-{row}", 0, 1)
    assert worker.rows() == list(range(worker.row_count))


def test_every_state_is_another_and_each_kind_of_outcome_has_one() -> None:
    own = STATES.keys() - {"expired"}  # its state is that of what is given back
    assert len({READY, READING, RUNNING, OK, MOVED, *(STATES[kind] for kind in own)}) == 5 + len(own)
    assert set(STATES) == {"retry", "dead", "snooze", "unfit", "expired"}
    assert STATES["expired"] == STATES["unfit"]


def test_message_is_running_until_it_is_finished_and_then_its_slot_is_idle() -> None:
    worker = new_journal().worker(0)
    worker.open_row(2, "1-1", 0, 10)
    worker.start(1, 2, 4, 10.0, 0.0)
    assert worker.states(2)[4] == RUNNING
    worker.finish(1, OK)
    assert worker.states(2)[4] == OK
    assert worker.running() == []


def test_slot_of_an_ended_session_is_freed_without_touching_the_row() -> None:
    worker = new_journal().worker(0)
    worker.open_row(2, "1-1", 0, 10)
    worker.start(0, 2, 4, 10.0)
    worker.open_row(2, "2-1", 0, 10)
    worker.finish(0, None)
    assert list(worker.states(2)) == [READY] * 10
    assert worker.running() == []


def test_worker_that_is_replaced_keeps_its_rows_and_counts_and_loses_its_slots() -> None:
    worker = new_journal().worker(0)
    worker.open_row(2, "1-1", 0, 3)
    worker.start(0, 2, 1, 10.0, 11.0)
    worker.usage[1] = 5
    worker.beat()
    worker.reset()
    assert worker.running() == []
    assert worker.last_beat == 0.0
    assert worker.messages == 1
    assert worker.usage[1] == 5
    assert list(worker.states(2)) == [READY, RUNNING, READY]


def test_beats_are_told_by_the_shared_clock() -> None:
    journal = new_journal()
    before = clock()
    journal.worker(1).beat()
    journal.beat_agent()
    assert before <= journal.worker(1).last_beat <= journal.agent_beat <= clock()
    journal.trust_until = 5.0
    journal.reset_agent()
    assert (journal.agent_beat, journal.trust_until) == (0.0, 0.0)


@pytest.mark.parametrize(
    ("states", "expected"),
    [
        ([], []),
        ([READY, RUNNING, FAILED, MOVED], []),
        ([OK], [(0, 1)]),
        ([OK, OK, RUNNING, OK, FAILED, OK, OK, OK], [(0, 2), (3, 4), (5, 8)]),
    ],
)
def test_ok_ranges(states: list[int], expected: list[tuple[int, int]]) -> None:
    assert ok_ranges(bytes(states)) == expected


@pytest.mark.parametrize(("ticket", "size"), [("1" * 33, 1), ("1-1", 0), ("1-1", ROW_STATES + 1)])
def test_what_does_not_fit_a_row_is_refused(ticket: str, size: int) -> None:
    with pytest.raises(ValueError, match="does not fit"):
        new_journal().worker(0).open_row(0, ticket, 0, size)


def test_buffer_that_is_too_small_is_refused() -> None:
    with pytest.raises(ValueError, match="too small"):
        Journal(bytearray(Journal.size(2, 1) - 1), 2, 1)


def _fill_and_die(buffer: ctypes.Array[ctypes.c_byte]) -> None:
    worker = Journal(buffer, 2, 1).worker(1)
    worker.start(0, 7, 0, 1.0)
    worker.finish(0, OK)
    worker.start(0, 7, 1, 2.0, 3.0)
    os.kill(os.getpid(), signal.SIGKILL)


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_what_a_process_wrote_before_sigkill_is_there_after_it(method: str) -> None:
    context = multiprocess.get_context(method)
    buffer = context.RawArray("b", Journal.size(2, 1))
    worker = Journal(buffer, 2, 1).worker(1)
    worker.open_row(7, "3-4", 100, 3)
    process = context.Process(target=_fill_and_die, args=(buffer,))
    process.start()
    assert connection.wait([process.sentinel], DEADLINE_S)
    process.join()
    assert process.exitcode == -signal.SIGKILL
    assert worker.row(7) == Row("3-4", 100, 3)
    assert list(worker.states(7)) == [OK, RUNNING, READY]
    assert [tuple(one) for one in worker.running()] == [(0, 7, 1, 2.0, 3.0)]
    assert worker.messages == 2
