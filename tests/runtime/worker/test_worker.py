"""A real worker process, a real socket, a real store; the agent is played by hand."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from msgspec import Raw
from s3queue_backends.sqlite import SqliteStore

from s3queue.core.records import Failed, Part, encode_batch
from s3queue.runtime.local.child import ORPHANED
from s3queue.runtime.local.journal import OK, READY, REJECTED, RUNNING, state_of
from s3queue.runtime.local.wire import CannotStart, FailedNote, Finished, Interrupt, Leaving, Returned, unpack
from s3queue.runtime.worker.outcomes import TEXT_CHARS
from s3queue.runtime.worker.room import CACHE_SOURCES
from s3queue.store import Missing, ObjectStore
from tests.runtime import jobs
from tests.runtime.desk import Desk, Pipe, desk

# ---- what ends well


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_messages_run_once_in_order_and_their_states_say_so(store: ObjectStore, tmp_path: Path, method: str) -> None:
    out = tmp_path / "out"
    with desk(store, method=method) as it:
        it.deal_new(3, *(it.message("append", str(out), str(n)) for n in range(20)))
        finished = it.expect(Finished)
        assert finished.row == 3
        assert finished.busy_s > 0
        assert it.states(3) == [OK] * 20
        assert it.journal.messages == 20
        assert it.stop() == 0
    assert out.read_text().split() == [str(n) for n in range(20)]


def test_slices_of_one_source_run_only_their_messages_and_read_it_once(store: ObjectStore, tmp_path: Path) -> None:
    out = tmp_path / "out"
    with desk(store) as it:
        path = it.put([it.message("append", str(out), str(n)) for n in range(10)])
        it.deal(0, Part(path, 7, 10, 1))
        it.deal(1, Part(path, 0, 2, 1), Part(path, 4, 5, 1))
        assert {it.expect(Finished).row, it.expect(Finished).row} == {0, 1}
        it.deal(2, Part(path, 5, 6, 1))
        assert it.expect(Finished).row == 2
        assert it.journal.usage[1] == 1
        assert it.stop() == 0
    assert out.read_text().split() == ["7", "8", "9", "0", "1", "4", "5"]


def test_only_the_newest_sources_are_kept_for_later_slices(store: ObjectStore, tmp_path: Path) -> None:
    out = tmp_path / "out"
    with desk(store) as it:
        paths = [it.put([it.message("append", str(out), "x")] * 3) for _ in range(CACHE_SOURCES + 1)]
        it.deal(0, *(Part(path, 0, 1, 1) for path in paths))
        assert it.expect(Finished).row == 0
        it.deal(1, Part(paths[-1], 1, 2, 1), Part(paths[1], 1, 2, 1))
        assert it.expect(Finished).row == 1
        assert it.journal.usage[1] == len(paths)
        it.deal(2, Part(paths[0], 1, 2, 1))
        assert it.expect(Finished).row == 2
        assert it.journal.usage[1] == len(paths) + 1
        assert it.stop() == 0


def test_many_sources_in_one_deal_run_in_the_order_of_its_parts(store: ObjectStore, tmp_path: Path) -> None:
    out = tmp_path / "out"
    with desk(store) as it:
        paths = [it.put([it.message("append", str(out), str(n))]) for n in range(100)]
        it.deal(0, *(Part(path, 0, 1, 1) for path in paths))
        it.expect(Finished)
        assert it.stop() == 0
    assert out.read_text().split() == [str(n) for n in range(100)]


def test_as_many_messages_run_at_once_as_there_are_slots(store: ObjectStore, pipe: Callable[[str], Pipe]) -> None:
    started, release = pipe("started"), pipe("release")
    with desk(store, concurrency=3) as it:
        it.deal_new(0, *[it.message("wait", started.path, release.path)] * 4)
        seen = ""
        while seen.count(str(it.process.pid)) < 3:
            seen += started.line()
        assert sorted(one.message for one in it.journal.running()) == [0, 1, 2]
        assert it.states(0) == [RUNNING] * 3 + [READY]
        for _ in range(4):
            release.release()
        it.expect(Finished)
        assert it.journal.running() == []
        assert it.stop() == 0


def test_async_tasks_of_all_slots_share_one_loop(store: ObjectStore, tmp_path: Path) -> None:
    out = tmp_path / "out"
    with desk(store, concurrency=3) as it:
        it.deal_new(0, *(it.message("add_async", str(out), str(n)) for n in range(30)))
        it.expect(Finished)
        assert it.states(0) == [OK] * 30
        assert it.stop() == 0
    lines = [line.split() for line in out.read_text().splitlines()]
    assert sorted(int(number) for number, _ in lines) == list(range(30))
    assert len({loop for _, loop in lines}) == 1


def test_context_tells_message_attempt_token_session_and_headers(store: ObjectStore, tmp_path: Path) -> None:
    out = tmp_path / "out"
    with desk(store, time_limit=None) as it:
        path = it.put([it.message("noop"), it.message("context", str(out), headers={"trace": "t"})])
        it.deal(0, Part(path, 1, 2, 2), ticket="3-9")
        it.expect(Finished)
        message = it.layout.message_id(path, 1)
        assert it.stop() == 0
    assert out.read_text() == f"{message}|2|{(3 << 32) + 9}|session-1|{{'trace': 't'}}|None\n"


def test_history_names_each_run_before_it_starts(store: ObjectStore, tmp_path: Path) -> None:
    with desk(store, history=str(tmp_path / "history")) as it:
        path = it.deal_new(0, it.message("die"), attempt=2)
        assert it.exit_status() == -signal.SIGKILL
        pid, message = it.process.pid, it.layout.message_id(path, 0)
    (line,) = (tmp_path / "history" / f"worker-{pid}.jsonl").read_text().splitlines()
    told = json.loads(line)
    assert (told["kind"], told["message"], told["attempt"], told["ticket"]) == ("started", message, 2, "1-7")


# ---- what does not end well


def outcome(it: Desk) -> Failed:
    """Of a row with one message."""
    note = it.expect(FailedNote)
    assert it.expect(Finished).row == note.row
    assert note.index == 0
    assert it.states(note.row) == [state_of(note.outcome)]
    return note.outcome


@pytest.mark.parametrize(
    ("how", "attempt", "kind", "delay_s", "cause", "says"),
    [
        ("error", 1, "retry", 2.0, "error", "ValueError: no such thing"),
        ("error", 2, "retry", 4.0, "error", "ValueError: no such thing"),
        ("error", 3, "dead", 0.0, "error", "ValueError: no such thing"),
        ("exit", 1, "retry", 2.0, "error", "SystemExit: 3"),
        ("interrupt", 1, "retry", 2.0, "error", "KeyboardInterrupt"),
        ("unprintable", 1, "retry", 2.0, "error", "Unprintable"),
        ("retry", 1, "retry", 7.0, "error", "not yet"),
        ("retry_own", 2, "retry", 4.0, "error", "not yet"),
        ("retry", 3, "dead", 0.0, "error", "not yet"),
        ("reject", 1, "dead", 0.0, "rejected", "never"),
        ("reject_odd", 1, "dead", 0.0, "rejected", "'never'"),
        ("retry_odd", 1, "retry", 2.0, "error", "TypeError: float() argument must be"),
    ],
)
def test_exception_of_a_task_becomes_the_outcome_of_its_attempt(
    store: ObjectStore, how: str, attempt: int, kind: str, delay_s: float, cause: str, says: str
) -> None:
    with desk(store) as it:
        it.deal_new(0, it.message("fails", how), attempt=attempt)
        failed = outcome(it)
        assert (failed.kind, failed.delay_s) == (kind, delay_s)
        assert failed.failure is not None
        assert (failed.failure.attempt, failed.failure.cause) == (attempt, cause)
        assert says in failed.failure.text
        assert failed.failure.at_ms > 1_600_000_000_000
        assert "s3queue/runtime" not in failed.failure.text
        # The worker lives on.
        it.deal_new(1, it.message("noop"))
        assert it.expect(Finished).row == 1
        assert it.stop() == 0


def test_a_signal_of_the_tasks_own_that_lacks_what_is_asked_of_it_is_an_error(store: ObjectStore) -> None:
    with desk(store) as it:
        it.deal_new(0, it.message("fails", "half_made"))
        failure = outcome(it).failure
        assert failure is not None
        assert failure.cause == "error"
        assert "'HalfMade' object has no attribute 'after'" in failure.text
        assert it.stop() == 0


def test_snooze_costs_no_attempt_and_leaves_no_failure(store: ObjectStore) -> None:
    with desk(store) as it:
        it.deal_new(0, it.message("fails", "snooze"), attempt=3)
        assert outcome(it) == Failed("snooze", 11.0, None)


def test_text_of_a_failure_is_bounded_and_keeps_its_end(store: ObjectStore) -> None:
    with desk(store) as it:
        it.deal_new(0, it.message("fails", "long"))
        failure = outcome(it).failure
        assert failure is not None
        assert len(failure.text) == TEXT_CHARS


def test_system_exit_in_an_async_task_ends_its_attempt_and_not_the_loop(store: ObjectStore, tmp_path: Path) -> None:
    with desk(store) as it:
        it.deal_new(0, it.message("exit_async"))
        failure = outcome(it).failure
        assert failure is not None
        assert "SystemExit" in failure.text
        it.deal_new(1, it.message("add_async", str(tmp_path / "out"), "after"))
        it.expect(Finished)
        assert (tmp_path / "out").read_text().startswith("after")


def test_async_task_over_its_time_limit_is_cancelled_and_says_so(store: ObjectStore) -> None:
    with desk(store) as it:
        it.deal_new(0, it.message("slow_async"))
        failure = outcome(it).failure
        assert failure is not None
        assert failure.cause == "time_limit"


def test_timeout_error_of_an_async_task_itself_is_an_ordinary_error(store: ObjectStore) -> None:
    with desk(store) as it:
        it.deal_new(0, it.message("own_timeout"))
        failure = outcome(it).failure
        assert failure is not None
        assert failure.cause == "error"
        assert "from inside" in failure.text


def test_deadline_of_a_task_is_in_the_journal_before_it_runs(store: ObjectStore, pipe: Callable[[str], Pipe]) -> None:
    started, release = pipe("started"), pipe("release")
    with desk(store, time_limit=1000.0) as it:
        it.deal_new(0, it.message("wait", started.path, release.path))
        started.line()
        (running,) = it.journal.running()
        assert running.deadline == pytest.approx(running.started + 1000.0)
        release.release()
        it.expect(Finished)


def test_message_beyond_its_attempts_is_dead_without_being_run(store: ObjectStore, tmp_path: Path) -> None:
    with desk(store) as it:
        it.deal_new(0, it.message("append", str(tmp_path / "out"), "x"), attempt=4)
        assert outcome(it) == Failed("dead")
        assert it.journal.messages == 0
    assert not (tmp_path / "out").exists()


def test_task_that_this_worker_does_not_know_is_left_for_a_newer_release(store: ObjectStore) -> None:
    with desk(store) as it:
        it.deal_new(0, it.message("not here"))
        failed = outcome(it)
        assert (failed.kind, failed.token) == ("unfit", "not here@")
        assert failed.failure is not None
        assert failed.failure.cause == "unknown_task"
        assert it.journal.messages == 0


def test_arguments_that_do_not_fit_this_releases_signature_are_left_for_another_release(store: ObjectStore) -> None:
    with desk(store) as it:
        good = it.message("append", "a", "b")
        it.deal_new(0, Raw(bytes(good).replace(b"text", b"txet")))
        failed = outcome(it)
        assert (failed.kind, failed.token) == ("unfit", f"append@{jobs.append.digest}")
        assert failed.failure is not None
        assert failed.failure.cause == "signature"
        assert "the arguments do not fit task 'append'" in failed.failure.text


def test_payload_that_does_not_fit_the_task_is_corrupt(store: ObjectStore) -> None:
    """One that is no MessagePack: no release will ever take it."""
    with desk(store) as it:
        good = it.message("append", "a", "b")
        it.deal_new(0, Raw(bytes(good).replace(b"\xa4text\xa1b", b"\xa4text\xa1\xff")))
        failed = outcome(it)
        assert failed.kind == "dead"
        assert failed.failure is not None
        assert failed.failure.cause == "corrupt"


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


# ---- the trust window


def test_nothing_starts_outside_of_the_trust_window(
    store: ObjectStore, pipe: Callable[[str], Pipe], tmp_path: Path
) -> None:
    started, release, out = pipe("started"), pipe("release"), tmp_path / "out"
    with desk(store) as it:
        first = it.message("wait", started.path, release.path)
        it.deal_new(0, first, *(it.message("append", str(out), str(n)) for n in range(3)))
        started.line()
        it.shared.trust_until = 0.0
        release.release()
        # It is over: everything that was fed is behind it, and none of it runs.
        it.recall()
        returned = it.expect(Returned).messages
        assert set(returned) <= {(0, 1), (0, 2), (0, 3)}
        assert {(0, 2), (0, 3)} <= set(returned)
        assert not out.exists()
        it.trust()
        it.expect(Finished)
        kept = {(0, 1), (0, 2), (0, 3)} - set(returned)
        assert out.exists() == bool(kept)


def test_message_that_waited_for_trust_starts_when_it_is_extended(store: ObjectStore, tmp_path: Path) -> None:
    out = tmp_path / "out"
    with desk(store) as it:
        it.shared.trust_until = 0.0
        it.deal_new(0, it.message("append", str(out), "a"), it.message("append", str(out), "b"))
        it.trust()
        it.expect(Finished)
        assert it.states(0) == [OK, OK]
    assert out.read_text() == "a\nb\n"


# ---- recall, cancel, stop


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


# ---- life and death


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
