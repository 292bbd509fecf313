"""How a worker process ends: by itself, with its agent or supervisor, and by a signal."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from s3queue.runtime.local.journal import OK, READY, RUNNING
from s3queue.runtime.local.wire import ORPHANED, CannotStart, Finished, Leaving, unpack
from s3queue.store import ObjectStore
from tests.runtime.desk import Desk, Pipe, desk


def test_worker_leaves_after_its_share_of_messages_and_ends_what_it_has(store: ObjectStore) -> None:
    with desk(store, max_messages=5) as it:
        for row in range(3):
            it.deal_new(row, *[it.message("noop")] * 3)
        notes = [it.next() for _ in range(4)]
        assert [note.row for note in notes if isinstance(note, Finished)] == [0, 1, 2]
        assert sum(isinstance(note, Leaving) for note in notes) == 1
        assert it.stop() == 0


def test_worker_that_grew_too_large_leaves(store: ObjectStore) -> None:
    with desk(store, max_rss_bytes=1_000_000) as it:
        assert "memory" in it.expect(Leaving).why


def test_worker_ends_at_once_when_the_agent_is_gone(store: ObjectStore, pipe: Callable[[str], Pipe]) -> None:
    started, release = pipe("started"), pipe("release")
    with desk(store) as it:
        it.deal_new(0, it.message("wait", started.path, release.path))
        started.line()
        assert it.agent is not None
        it.agent.close()
        it.agent = None
        assert it.exit_status() == ORPHANED


def test_worker_ends_at_once_when_the_supervisor_is_gone(store: ObjectStore, pipe: Callable[[str], Pipe]) -> None:
    started, release = pipe("started"), pipe("release")
    with desk(store) as it:
        it.deal_new(0, it.message("wait", started.path, release.path))
        started.line()
        it.conn.close()
        assert it.exit_status() == ORPHANED


def test_worker_waits_for_an_agent_that_is_not_there_yet(store: ObjectStore) -> None:
    it = Desk(store)
    try:
        address = str(it.life.rundir / "agent.sock")
        os.rename(address, address + ".later")
        it.start()
        os.rename(address + ".later", address)
        it.agent, _ = it.listener.accept()
    finally:
        it.close()


def test_signals_to_the_group_do_not_end_a_worker_nor_are_they_kept_from_what_it_starts(
    store: ObjectStore, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    with desk(store) as it:
        os.kill(it.process.pid, signal.SIGTERM)
        os.kill(it.process.pid, signal.SIGINT)
        it.deal_new(0, it.message("signals", str(out)))
        it.expect(Finished)
        assert it.stop() == 0
    assert out.read_text() == "blocked=[] ignored=[]\n"


def test_death_leaves_the_journal_as_it_was(store: ObjectStore) -> None:
    with desk(store) as it:
        it.deal_new(0, it.message("noop"), it.message("die"), it.message("noop"))
        assert it.exit_status() == -signal.SIGKILL
        assert it.next() is None
        assert it.states(0) == [OK, RUNNING, READY]
        assert [(one.row, one.message) for one in it.journal.running()] == [(0, 1)]


class Unpicklable:
    """A module that cannot be imported in the child looks like this to it."""

    def __reduce__(self) -> tuple[Any, ...]:
        return _no_such_module, ()


def _no_such_module() -> None:
    raise ModuleNotFoundError("No module named 'gone'")


def test_worker_that_cannot_be_unpacked_says_so_and_ends(store: ObjectStore, monkeypatch: pytest.MonkeyPatch) -> None:
    it = Desk(store, method="spawn")
    try:
        monkeypatch.setattr("tests.runtime.desk.registry", Unpicklable())
        it.start()
        note = unpack(it.conn.recv_bytes())
        assert note == CannotStart("ConfigError", ("No module named 'gone'",))
        assert it.exit_status() == 1
    finally:
        it.close()
