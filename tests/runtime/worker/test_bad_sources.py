"""Sources that are gone, cannot be decoded, or come from a store that does not answer."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from msgspec import Raw
from s3queue_backends.sqlite import SqliteStore

from s3queue.core.records import Part, encode_batch
from s3queue.runtime.local.journal import OK, READY, REJECTED
from s3queue.runtime.local.wire import FailedNote, Finished, Returned
from s3queue.store import Missing, ObjectStore
from tests.runtime.desk import Pipe, desk, outcome


@pytest.mark.parametrize("what", ["message", "batch", "count"])
def test_what_cannot_be_decoded_is_dead_and_says_why_and_its_neighbours_run(
    store: ObjectStore, tmp_path: Path, what: str
) -> None:
    out = tmp_path / "out"
    with desk(store) as it:
        good = it.message("append", str(out), "good")
        neighbour = it.put([good])
        bodies = {
            "message": encode_batch([Raw(b"\xc0")], 1),
            "batch": b"nonsense",
            "count": encode_batch([good, good], 1),
        }
        bad = it.put_body(bodies[what], 1)
        it.deal(0, Part(bad, 0, 1, 1), Part(neighbour, 0, 1, 1))
        note = it.expect(FailedNote)
        it.expect(Finished)
        assert (note.row, note.index, note.outcome.kind) == (0, 0, "dead")
        assert note.outcome.failure is not None
        assert note.outcome.failure.cause == "corrupt"
        assert it.states(0) == [REJECTED, OK]
    assert out.read_text() == "good\n"


def test_source_that_is_gone_neither_vanishes_nor_loops(store: ObjectStore) -> None:
    with desk(store) as it:
        it.deal(0, Part(it.missing(1), 0, 1, 2))
        failed = outcome(it)
        assert failed.kind == "retry"
        assert failed.delay_s == 30.0
        assert failed.failure is not None
        assert (failed.failure.attempt, failed.failure.cause) == (2, "corrupt")


def test_store_that_is_away_is_asked_again_until_it_answers(tmp_path: Path) -> None:
    out = tmp_path / "out"
    with SqliteHole(tmp_path) as (store, mend), desk(store) as it:
        path = it.missing(1)
        it.deal(0, Part(path, 0, 1, 1))
        store.signal.line()
        mend(it.layout.source(path), encode_batch([it.message("append", str(out), "here")], 1))
        it.expect(Finished)
        assert it.states(0) == [OK]
    assert out.read_text() == "here\n"


def test_messages_whose_source_cannot_be_read_can_be_recalled(tmp_path: Path) -> None:
    with SqliteHole(tmp_path) as (store, _), desk(store) as it:
        it.deal(0, Part(it.missing(2), 0, 2, 1))
        store.signal.line()
        it.recall()
        assert it.expect(Returned).messages == ((0, 0), (0, 1))
        assert it.expect(Finished).row == 0
        assert it.states(0) == [READY] * 2
        assert it.stop() == 0


class SqliteHole(SqliteStore):
    """A store that cannot be reached for objects that are not there; says so into a fifo at every try."""

    def __init__(self, directory: Path) -> None:
        super().__init__(str(directory / "hole.db"))
        self.signal = Pipe(directory / "tried")

    def get(self, key: str, *, unless: str | None = None) -> Any:
        found = super().get(key, unless=unless)
        if isinstance(found, Missing):
            os.write(self.signal.fd, b".")
            raise ConnectionError("nobody there")
        return found

    def __enter__(self) -> tuple[SqliteHole, Callable[[str, bytes], None]]:
        def mend(key: str, body: bytes) -> None:
            self.put(key, body, if_version=None)

        return self, mend

    def __exit__(self, *_: object) -> None:
        self.signal.close()
        self.close()
