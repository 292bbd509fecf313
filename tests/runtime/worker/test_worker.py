"""A real worker process, a real socket, a real store; the agent is played by hand."""

from __future__ import annotations

import json
import signal
from collections.abc import Callable
from pathlib import Path

import pytest
from msgspec import Raw

from s3queue.core.records import Failed, Part
from s3queue.runtime.local.journal import OK, READY, RUNNING
from s3queue.runtime.local.wire import Finished, Returned
from s3queue.runtime.worker.outcomes import TEXT_CHARS
from s3queue.runtime.worker.room import CACHE_SOURCES
from s3queue.store import ObjectStore
from tests.runtime import jobs
from tests.runtime.desk import Pipe, desk, outcome

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
        assert (failed.kind, failed.token) == ("unfit", f"append@{jobs.plain.append.digest}")
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


# ---- life and death
