"""A worker whose store does not give it every source, or not in time."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from s3queue_backends.sqlite import SqliteStore

from s3queue.core.records import Part
from s3queue.errors import StoreDenied, StoreUnavailable
from s3queue.io.clock import clock
from s3queue.runtime.local.journal import OK, READING, READY, SNOOZED
from s3queue.runtime.local.wire import FailedNote, Finished, Note, Returned, Unreadable
from s3queue.runtime.worker import sources
from s3queue.runtime.worker.troubles import FIRST_PARK_S
from tests.runtime.desk import Desk, Pipe


class Odd(SqliteStore):
    """A store that does something of its own when one of some keys is read."""

    def __init__(self, folder: Path, act: Callable[[str], None]) -> None:
        super().__init__(str(folder / "odd.db"))
        self.odd: set[str] = set()
        self._act = act

    def get(self, key: str, *, unless: str | None = None) -> Any:
        if key in self.odd:
            self._act(key)
        return super().get(key, unless=unless)


def denies(key: str) -> None:
    raise StoreDenied("get", key, "403")


def is_unavailable(key: str) -> None:
    raise StoreUnavailable("get", key, "503")


def cannot_decode(key: str) -> None:
    raise ValueError("unexpected end of the XML")


def runs_out_of_memory(key: str) -> None:
    raise MemoryError("no room for it")


def dies(key: str) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


#: Of a store that is slow; long against what a busy machine may add to a message that does nothing. Seconds.
SLOW_S = 1.0


def is_slow(key: str) -> None:
    time.sleep(SLOW_S)


def heard(it: Desk, rows: int) -> list[Note]:
    """Everything until so many rows have finished."""
    notes: list[Note] = []
    while sum(isinstance(note, Finished) for note in notes) < rows:
        note = it.next()
        assert note is not None
        notes.append(note)
    return notes


def one_bad(it: Desk, store: Odd, out: Path, healthy: int = 5) -> tuple[str, list[Part]]:
    """A source that is odd and some that are not."""
    bad = it.put([it.message("append", str(out), "bad")])
    store.odd.add(it.layout.source(bad))
    good = [it.put([it.message("append", str(out), f"good {n}")]) for n in range(healthy)]
    return bad, [Part(path, 0, 1, 1) for path in good]


class Prepared(Desk):
    """A desk whose worker is not there yet: what is set on the store before it comes is set there, too."""

    def __enter__(self) -> Prepared:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def open(self) -> None:
        self.seat()
        self.trust()


@pytest.mark.parametrize("fate", [denies, is_unavailable, cannot_decode, runs_out_of_memory])
def test_source_that_stays_unreadable_holds_up_no_other_and_costs_no_attempt(
    tmp_path: Path, fate: Callable[[str], None]
) -> None:
    out = tmp_path / "out"
    store = Odd(tmp_path, fate)
    with Prepared(store) as it:
        bad, good = one_bad(it, store, out)
        it.open()
        it.deal(0, Part(bad, 0, 1, 2))
        it.deal(1, *good)
        first = heard(it, 1)
        assert first == [note for note in first if isinstance(note, Finished) and note.row == 1]
        assert out.read_text().splitlines() == [f"good {n}" for n in range(5)]
        notes = heard(it, 1)
        assert [type(note) for note in notes if not isinstance(note, Finished)] == [Unreadable, FailedNote]
        told, failed = notes[:2]
        assert isinstance(told, Unreadable)
        assert isinstance(failed, FailedNote)
        assert (told.source, told.tries, told.next_s) == (bad, 1, FIRST_PARK_S)
        assert (failed.row, failed.index) == (0, 0)
        assert (failed.outcome.kind, failed.outcome.delay_s) == ("snooze", FIRST_PARK_S)
        assert failed.outcome.failure is not None
        assert (failed.outcome.failure.attempt, failed.outcome.failure.cause) == (2, "unreadable")
        assert it.states(0) == [SNOOZED]
        assert it.stop() == 0
    store.close()


def test_source_that_is_unreadable_again_waits_longer_each_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # A clock on which every pause is over by the next deal.
    monkeypatch.setattr(sources, "clock", lambda: clock() * 1e6)
    store = Odd(tmp_path, denies)
    with Prepared(store) as it:
        bad, _ = one_bad(it, store, tmp_path / "out", 0)
        it.open()
        delays = []
        for row in range(4):
            it.deal(row, Part(bad, 0, 1, 1))
            told, failed, _ = heard(it, 1)
            assert isinstance(told, Unreadable)
            assert isinstance(failed, FailedNote)
            assert (told.tries, told.next_s) == (row + 1, failed.outcome.delay_s)
            delays.append(told.next_s)
        assert delays == pytest.approx([FIRST_PARK_S * 2**n for n in range(4)])
    store.close()


def test_reader_goes_on_after_something_that_nobody_expects(tmp_path: Path) -> None:
    """A store on this machine has one reader: nothing would be read any more without it."""
    out = tmp_path / "out"
    store = Odd(tmp_path, runs_out_of_memory)
    with Prepared(store) as it:
        bad, good = one_bad(it, store, out)
        it.open()
        it.deal(0, Part(bad, 0, 1, 1))
        it.recall()
        it.deal(1, *good)
        rows = {note.row for note in heard(it, 2) if isinstance(note, Finished)}
        assert rows == {0, 1}
        assert it.states(1) == [OK] * 5
    store.close()


def test_death_while_a_source_is_read_names_its_messages_and_no_others(tmp_path: Path) -> None:
    store = Odd(tmp_path, dies)
    with Prepared(store) as it:
        _, good = one_bad(it, store, tmp_path / "out")
        bad = it.put([it.message("noop")] * 3)
        store.odd.add(it.layout.source(bad))
        it.open()
        it.deal(0, *good, Part(bad, 0, 2, 1), Part(it.put([it.message("noop")]), 0, 1, 1))
        assert it.exit_status() == -signal.SIGKILL
        states = it.states(0)
        assert states[5:] == [READING, READING, READY]
        assert READING not in states[:5]
    store.close()


def test_messages_whose_source_is_being_read_are_ready_once_they_are_given_back(
    tmp_path: Path, pipe: Callable[[str], Pipe]
) -> None:
    reads, answer = pipe("reads"), pipe("answer")

    def waits(key: str) -> None:
        os.write(reads.fd, b".")
        os.read(answer.fd, 1)

    store = Odd(tmp_path, waits)
    with Prepared(store) as it:
        bad, _ = one_bad(it, store, tmp_path / "out", 0)
        it.open()
        it.deal(0, Part(bad, 0, 1, 1))
        reads.line()
        assert it.states(0) == [READING]
        it.recall()
        assert it.expect(Returned).messages == ((0, 0),)
        it.expect(Finished)
        assert it.states(0) == [READY]
        answer.release()
        # What the reader brings now is for nobody.
        it.deal(1, Part(it.put([it.message("noop")]), 0, 1, 1))
        it.expect(Finished)
        assert it.states(0) == [READY]
        assert it.stop() == 0
    store.close()


def test_time_of_a_message_is_what_its_slot_spent_with_the_wait_for_its_source(tmp_path: Path) -> None:
    store = Odd(tmp_path, is_slow)
    with Prepared(store) as it:
        slow = [it.put([it.message("noop")]) for _ in range(2)]
        store.odd.update(map(it.layout.source, slow))
        fast = it.put([it.message("noop")] * 4)
        it.open()
        it.deal(0, *(Part(path, 0, 1, 1) for path in slow))
        waited = it.expect(Finished)
        it.deal(1, Part(fast, 0, 4, 1))
        at_once = it.expect(Finished)
        assert waited.busy_s >= 2 * SLOW_S > waited.run_s
        assert at_once.run_s <= at_once.busy_s < waited.busy_s
    store.close()
