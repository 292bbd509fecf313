"""Slots by themselves: real threads and a real journal; what an attempt does is the test's."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from queue import SimpleQueue
from typing import Any, cast

from s3queue.core.records import Failed, Failure, Part
from s3queue.io.clock import clock
from s3queue.runtime.local.journal import FAILED, OK, RUNNING, Journal
from s3queue.runtime.local.wire import Deal, FailedNote, Finished, Note
from s3queue.runtime.worker.attempt import Attempts
from s3queue.runtime.worker.dealt import Dealt, Item, Piece
from s3queue.runtime.worker.notes import Notes
from s3queue.runtime.worker.slots import Slots
from tests.deadline import DEADLINE_S

SOURCE = "in/q/5/0000000000001-1-3"


class Bench:
    """One worker with its slots, and one row of three messages."""

    def __init__(self, run: Callable[[int, Piece, int, float], Failed | None], concurrency: int = 1) -> None:
        self.journal = Journal(bytearray(Journal.size(1, concurrency)), 1, concurrency)
        self.worker = self.journal.worker(0)
        self.journal.trust_until = clock() + 1000.0
        self.ready: SimpleQueue[Item | None] = SimpleQueue()
        self.notes: SimpleQueue[Note] = SimpleQueue()
        self.released: list[Piece] = []
        self.run = run
        self.slots = Slots(
            self.ready,
            self.journal,
            0,
            cast(Attempts, self),
            Notes(self.notes.put, concurrency),
            send=self.notes.put,
            release=self.released.append,
            finished=lambda dealt: None,
        )
        self.worker.open_row(0, "1-0", 0, 3)
        parts = (Part(SOURCE, 0, 3, 1),)
        self.dealt = Dealt(Deal(0, "1-0", "q", parts), concurrency, threading.Event())
        self.piece = Piece(self.dealt, parts[0], 0, self.worker.states_at(0))

    def member(self, item: Item) -> None:
        """None of these messages is for a task that takes several."""

    def faulty(self, piece: Piece, number: int) -> Failed:
        return Failed("retry", 0.0, Failure(1, "error", "a fault of ours"))

    def feed(self, *numbers: int) -> None:
        for number in numbers:
            self.ready.put((self.piece, number))

    def states(self) -> list[int]:
        return list(self.worker.states(0))

    def note(self) -> Note:
        return self.notes.get(timeout=DEADLINE_S)


@contextmanager
def started(bench: Bench) -> Iterator[Bench]:
    bench.slots.start()
    yield bench
    bench.slots.stop()


def ok(bench: list[Bench]) -> Callable[..., Any]:
    def run(slot: int, piece: Piece, number: int, started_at: float) -> None:
        bench[0].worker.start(slot, piece.dealt.row, piece.first + number, started_at, 0.0)

    return run


def well() -> Bench:
    benches: list[Bench] = []
    benches.append(Bench(ok(benches)))
    return benches[0]


def test_row_is_reported_once_when_its_last_message_has_ended() -> None:
    with started(well()) as bench:
        bench.feed(0, 1, 2)
        note = bench.note()
        assert isinstance(note, Finished)
        assert note.row == 0
        assert bench.states() == [OK, OK, OK]
        assert bench.released == [bench.piece]
    assert bench.notes.empty()


def test_failure_is_told_before_its_state_says_so() -> None:
    seen: list[list[int]] = []
    benches: list[Bench] = []

    def run(slot: int, piece: Piece, number: int, started_at: float) -> Failed:
        benches[0].worker.start(slot, 0, number, started_at, 0.0)
        return Failed("retry", 1.0, Failure(1, "error"))

    bench = Bench(run)
    benches.append(bench)
    put = bench.notes.put
    bench.slots._send = lambda note: (seen.append(bench.states()), put(note))[1]  # type: ignore[func-returns-value]
    with started(bench):
        bench.feed(0)
        note = bench.note()
        assert isinstance(note, FailedNote)
        assert (note.row, note.index) == (0, 0)
    assert seen[0][0] == RUNNING
    assert bench.states()[0] == FAILED


def test_unexpected_exception_is_the_outcome_of_that_message_and_the_slot_goes_on() -> None:
    benches: list[Bench] = []

    def run(slot: int, piece: Piece, number: int, started_at: float) -> None:
        benches[0].worker.start(slot, 0, number, started_at, 0.0)
        if number == 0:
            raise MemoryError

    bench = Bench(run)
    benches.append(bench)
    with started(bench):
        bench.feed(0, 1, 2)
        first = bench.note()
        assert isinstance(first, FailedNote)
        assert first.outcome.failure is not None
        assert isinstance(bench.note(), Finished)
    assert bench.states() == [FAILED, OK, OK]


def test_nothing_starts_past_the_trust_window_until_it_is_extended() -> None:
    bench = well()
    bench.journal.trust_until = clock() - 1.0
    with started(bench):
        bench.feed(0)
        while bench.slots._held == [None]:
            pass  # the slot has it as soon as it runs
        assert bench.states() == [0, 0, 0]
        bench.journal.trust_until = clock() + 1000.0
        bench.slots.look_again()
        bench.feed(1, 2)
        assert isinstance(bench.note(), Finished)


def test_what_waits_for_the_trust_window_is_taken_back_and_never_starts() -> None:
    bench = well()
    bench.journal.trust_until = clock() - 1.0
    with started(bench):
        bench.feed(0)
        while not (taken := bench.slots.take_back()):
            pass
        assert taken == [(bench.piece, 0)]
        bench.journal.trust_until = clock() + 1000.0
        bench.slots.look_again()
    assert bench.states() == [0, 0, 0]
    assert bench.notes.empty()


def test_end_of_a_message_of_a_session_that_is_over_is_told_to_nobody() -> None:
    benches: list[Bench] = []

    def run(slot: int, piece: Piece, number: int, started_at: float) -> None:
        benches[0].worker.start(slot, 0, number, started_at, 0.0)
        piece.dealt.over = True

    bench = Bench(run)
    benches.append(bench)
    with started(bench):
        bench.feed(0)
    assert bench.notes.empty()
    assert bench.states()[0] == RUNNING
    assert bench.worker.running() == []
