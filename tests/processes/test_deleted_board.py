"""Somebody deletes the board while a host runs."""

from __future__ import annotations

import time
from collections.abc import Callable

from s3queue.core import restore
from s3queue.core.keys import Layout
from s3queue.io.drive import Driver
from s3queue.store import Found, ObjectStore
from tests.deadline import DEADLINE_S
from tests.processes.host import IMPATIENT, Line, host
from tests.processes.jobs import hold

Fifo = Callable[[str], Line]


def test_board_that_was_deleted_is_put_back_and_nothing_runs_twice(store: ObjectStore, fifo: Fifo) -> None:
    started, release = fifo("started"), fifo("release")
    layout, driver = Layout(), Driver(store)
    hold.enqueue(started.path, release.path)
    hold.enqueue(started.path, release.path)
    with host(store, until_empty=True, workers=1, concurrency=1, **IMPATIENT) as it:
        attempt, _, session = started.word()
        store.delete([layout.board])
        deadline = time.monotonic() + DEADLINE_S
        while not (copies := driver.run(restore.copies(layout))):
            assert time.monotonic() < deadline, "no copy was kept"
            time.sleep(0.05)
        (copy,) = copies
        assert (copy.session, copy.is_exact) == (session, True)
        assert not isinstance(store.get(layout.board), Found), "nobody begins a new one beside hosts that run"
        assert isinstance(driver.run(restore.put_back(layout, copy, "by hand")), restore.Restored)
        release.release()
        again, _, same = started.word()
        assert (attempt, again, same) == ("1", "1", session), "the other message, and the first was not run again"
        release.release()
        assert it.summary().messages == 2
