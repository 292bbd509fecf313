"""What was dealt is given back, cancelled or interrupted."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from s3queue.runtime.local.journal import OK, READY, RUNNING
from s3queue.runtime.local.wire import FailedNote, Finished, Interrupt, Returned
from s3queue.store import ObjectStore
from tests.runtime.desk import Pipe, desk


def test_recall_gives_back_what_did_not_start_and_what_runs_goes_on(
    store: ObjectStore, pipe: Callable[[str], Pipe]
) -> None:
    started, release = pipe("started"), pipe("release")
    with desk(store) as it:
        it.deal_new(0, *[it.message("wait", started.path, release.path)] * 3)
        it.deal_new(1, it.message("noop"))
        started.line()
        it.recall()
        assert it.expect(Returned).messages == ((0, 1), (0, 2), (1, 0))
        assert it.expect(Finished).row == 1
        assert it.states(0) == [RUNNING, READY, READY]
        it.recall()
        assert it.expect(Returned).messages == ()
        release.release()
        assert it.expect(Finished).row == 0
        assert it.states(0) == [OK, READY, READY]
        assert it.journal.messages == 1
        assert it.stop() == 0


def test_cancel_cancels_async_tasks_and_nothing_of_them_is_reported(
    store: ObjectStore, pipe: Callable[[str], Pipe]
) -> None:
    started, report = pipe("started"), pipe("report")
    with desk(store, concurrency=2) as it:
        it.deal_new(0, *[it.message("wait_async", started.path, report.path)] * 3)
        seen = ""
        while seen.count("running") < 2:
            seen += started.line()
        it.cancel()
        seen = ""
        while seen.count("cancelled") < 2:
            seen += report.line()
        it.deal_new(1, it.message("noop"))
        assert it.expect(Finished).row == 1
        assert it.states(0) == [RUNNING, RUNNING, READY]
        assert it.stop() == 0


def test_cancel_tells_tasks_that_look_at_their_context(store: ObjectStore, pipe: Callable[[str], Pipe]) -> None:
    started, report = pipe("started"), pipe("report")
    with desk(store) as it:
        it.deal_new(0, it.message("until_cancelled", started.path, report.path), it.message("noop"))
        started.line()
        it.cancel()
        assert report.line() == "cancelled"
        # The next session's tasks are not cancelled.
        it.deal_new(1, it.message("until_cancelled", started.path, report.path))
        assert started.line() == "running"
        assert it.states(0) == [RUNNING, READY]
        it.cancel()
        assert report.line() == "cancelled"


def test_interrupt_cancels_the_async_task_of_that_message_and_no_other(
    store: ObjectStore, pipe: Callable[[str], Pipe]
) -> None:
    started, report = pipe("started"), pipe("report")
    with desk(store, concurrency=2) as it:
        it.deal_new(0, *[it.message("wait_async", started.path, report.path)] * 2)
        seen = ""
        while seen.count("running") < 2:
            seen += started.line()
        it.send(Interrupt(0, (1,)))
        assert report.line() == "cancelled"
        note = it.expect(FailedNote)
        assert (note.row, note.index, note.outcome.kind) == (0, 1, "retry")
        assert note.outcome.failure is not None
        assert note.outcome.failure.cause == "cancelled"
        assert it.states(0)[0] == RUNNING
        it.cancel()


def test_interrupted_async_task_that_ends_well_all_the_same_is_done(
    store: ObjectStore, pipe: Callable[[str], Pipe]
) -> None:
    started = pipe("started")
    with desk(store) as it:
        it.deal_new(0, it.message("finish_when_cancelled", started.path))
        started.line()
        it.send(Interrupt(0, (0,)))
        it.expect(Finished)
        assert it.states(0) == [OK]
        assert it.stop() == 0


def test_interrupt_that_comes_before_its_message_begins_reaches_it(
    store: ObjectStore, pipe: Callable[[str], Pipe]
) -> None:
    started, report = pipe("started"), pipe("report")
    with desk(store) as it:
        it.shared.trust_until = 0.0
        it.deal_new(0, it.message("wait_async", started.path, report.path))
        it.send(Interrupt(0, (0,)))
        it.trust()
        note = it.expect(FailedNote)
        assert note.outcome.failure is not None
        assert note.outcome.failure.cause == "cancelled"
        it.expect(Finished)
        assert it.stop() == 0


def test_interrupt_tells_the_context_of_that_message(store: ObjectStore, pipe: Callable[[str], Pipe]) -> None:
    started, report = pipe("started"), pipe("report")
    with desk(store) as it:
        it.deal_new(
            0, it.message("check_cancelled", started.path), it.message("until_cancelled", started.path, report.path)
        )
        started.line()
        it.send(Interrupt(0, (0,)))
        note = it.expect(FailedNote)
        assert note.outcome.failure is not None
        assert note.outcome.failure.cause == "cancelled"
        assert started.line() == "running", "the next one is not cancelled"
        assert it.states(0)[1] == RUNNING
        it.cancel()
        assert report.line() == "cancelled"


def test_message_that_waits_for_trust_does_not_start_after_a_cancel(store: ObjectStore, tmp_path: Path) -> None:
    out = tmp_path / "out"
    with desk(store) as it:
        it.shared.trust_until = 0.0
        it.deal_new(0, it.message("append", str(out), "old"))
        it.cancel()
        it.recall()  # once this is answered, so is the cancel
        assert it.expect(Returned).messages == ()
        it.trust()
        it.deal_new(1, it.message("append", str(out), "new"))
        assert it.expect(Finished).row == 1
    assert out.read_text() == "new\n"
