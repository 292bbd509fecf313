"""What dies, what runs again, and what does not."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from s3queue import Queue, stats
from s3queue.core.records import Message
from s3queue.store import ObjectStore
from tests.deadline import DEADLINE_S
from tests.processes.host import IMPATIENT, Line, drain, failures, host, send
from tests.processes.jobs import QUEUE, hold, hold_first, overrun, poison, quick

Fifo = Callable[[str], Line]


def numbers(runs: Path) -> list[int]:
    """Which quick messages ran, in the order in which they did."""
    return [int(line.split()[0]) for line in runs.read_text().splitlines()]


def runs_of(history: Path) -> list[tuple[str, int, str]]:
    """Message, attempt and ticket of every start, from the history files."""
    told = [json.loads(line) for file in history.glob("worker-*.jsonl") for line in file.read_text().splitlines()]
    return [(it["message"], it["attempt"], it["ticket"]) for it in told if it["kind"] == "started"]


def test_worker_killed_in_a_long_task_costs_only_the_message_that_it_was_running(
    store: ObjectStore, tmp_path: Path, fifo: Fifo
) -> None:
    started, release, runs, history = fifo("started"), fifo("release"), tmp_path / "runs", tmp_path / "history"
    # Quick ones first, so that it is known how quick they are, and they are ticketed by the hundred.
    quick.enqueue_many([(str(runs), number) for number in range(500)])
    messages = [Message("quick", quick.encode((str(runs), number), {})) for number in range(500, 700)]
    messages[150] = Message("hold", hold.encode((started.path, release.path), {}))
    mixed = send(store, messages)
    with host(store, until_empty=True, workers=1, visibility_timeout=30.0, history=str(history)) as it:
        attempt, pid, session = started.word()
        assert attempt == "1"
        os.kill(int(pid), signal.SIGKILL)
        again, other_pid, same_session = started.word()
        assert again == "2"
        assert other_pid != pid
        assert same_session == session, "not by a fence: the host is the same"
        (failure,) = failures(store)
        assert (failure.attempt, failure.cause) == (1, "killed")
        assert "SIGKILL" in failure.text
        release.release()
        summary = it.summary()
    assert (summary.deaths, summary.restarts, summary.drained) == (1, 1, True)
    assert Counter(numbers(runs)) == Counter(number for number in range(700) if number != 650)
    told = runs_of(history)
    ticket = next(ticket for message, attempt, ticket in told if (message, attempt) == (mixed[150], 1))
    finished = {message for message, _, on in told if on == ticket} - {mixed[150]}
    assert finished, "others of the same ticket had finished when it died"
    assert [message for message, attempt, _ in told if attempt > 1] == [mixed[150]]


@pytest.mark.parametrize("how", ["kill", "exit", "crash"])
def test_message_that_kills_its_worker_dies_after_its_attempts_and_harms_nobody_else(
    store: ObjectStore, tmp_path: Path, how: str
) -> None:
    runs, starts = tmp_path / "runs", tmp_path / "starts"
    quick.enqueue_many([(str(runs), number) for number in range(100)])
    poison.enqueue(str(starts), how)
    quick.enqueue_many([(str(runs), number) for number in range(100, 200)])
    summary = drain(store, queues=[QUEUE], workers=2)
    assert Counter(numbers(runs)) == Counter(range(200))
    (letter,) = Queue(QUEUE, store).dead_letters()
    assert letter.task == "poison"
    # One that ended while its process read the batch of another message counts for neither.
    counted = [one for one in letter.failures if "no attempt is counted" not in one.text]
    assert len(counted) == 3
    many = len(letter.failures)
    assert [line.split()[0] for line in starts.read_text().splitlines()] == [str(n + 1) for n in range(many)]
    cause = "exited" if how == "exit" else "killed"
    assert [(one.attempt, one.cause) for one in letter.failures] == [(n + 1, cause) for n in range(many)]
    said = {"kill": "SIGKILL", "exit": "status 3", "crash": "SIGSEGV"}[how]
    assert all(said in one.text for one in letter.failures)
    assert summary.deaths == many
    counts = stats(store, exact=True).queues[QUEUE]
    assert (counts.done, counts.dead) == (200, 1)


def test_task_over_its_time_limit_is_killed_and_its_history_says_so(
    store: ObjectStore, tmp_path: Path, fifo: Fifo
) -> None:
    started, never, runs = fifo("started"), fifo("never"), tmp_path / "runs"
    overrun.enqueue(started.path, never.path)
    quick.enqueue_many([(str(runs), number) for number in range(50)])
    summary = drain(store, queues=[QUEUE], workers=1)
    assert [started.word()[0], started.word()[0]] == ["1", "2"]
    (letter,) = Queue(QUEUE, store).dead_letters()
    assert [(one.attempt, one.cause) for one in letter.failures] == [(1, "time_limit"), (2, "time_limit")]
    assert Counter(numbers(runs)) == Counter(range(50))
    assert summary.deaths == 2


def test_worker_that_shows_no_life_is_killed(store: ObjectStore, fifo: Fifo) -> None:
    started, never = fifo("started"), fifo("never")
    hold_first.enqueue(started.path, never.path)
    with host(store, until_empty=True, workers=1, visibility_timeout=2.0) as it:
        _, pid, session = started.word()
        os.kill(int(pid), signal.SIGSTOP)
        attempt, _, same_session = started.word()
        assert (attempt, same_session) == ("2", session)
        assert it.summary().deaths == 1


def test_agent_killed_takes_its_workers_along_and_the_next_one_knows_what_they_had_finished(
    store: ObjectStore, tmp_path: Path, fifo: Fifo
) -> None:
    started, never, runs = fifo("started"), fifo("never"), tmp_path / "runs"
    quick.enqueue_many([(str(runs), number) for number in range(300)])
    hold_first.enqueue(started.path, never.path)
    with host(store, until_empty=True, workers=2, visibility_timeout=30.0) as it:
        _, pid, session = started.word()
        agent = it.children()[0]
        assert agent.pid != int(pid)
        agent.kill()
        attempt, other_pid, other_session = started.word()
        assert attempt == "2"
        assert other_pid != pid
        assert other_session != session
        assert not psutil.pid_exists(int(pid))
        summary = it.summary()
    assert summary.drained
    assert summary.deaths == 1
    assert Counter(numbers(runs)) == Counter(range(300))


def test_agent_killed_before_it_has_ended_the_session_of_the_one_before_leaves_that_to_the_next(
    store: ObjectStore, tmp_path: Path, fifo: Fifo
) -> None:
    runs, never = tmp_path / "runs", fifo("never")
    first, release, second = fifo("first"), fifo("release"), fifo("second")
    # Quick ones first, so that the two that wait for us are claimed and dealt together.
    quick.enqueue_many([(str(runs), number) for number in range(500)])
    waiting = [hold.encode((first.path, release.path), {}), hold_first.encode((second.path, never.path), {})]
    send(store, [Message(name, payload) for name, payload in zip(("hold", "hold_first"), waiting, strict=True)])
    with host(store, until_empty=True, workers=1, visibility_timeout=30.0) as it:
        first.word()
        before = it.children()
        writer = sqlite3.connect(tmp_path / "store.db", isolation_level=None, timeout=DEADLINE_S)
        writer.execute("BEGIN IMMEDIATE")  # nobody can store anything: what ends now is in the journal alone
        release.release()
        _, _, session = second.word()
        before[0].kill()
        deadline = time.monotonic() + DEADLINE_S
        while not (fresh := [child for child in it.children() if child not in before]):
            assert time.monotonic() < deadline, "no other agent came"
        fresh[0].kill()
        writer.execute("ROLLBACK")
        writer.close()
        attempt, _, other_session = second.word()
        assert attempt == "2"
        assert other_session != session
        summary = it.summary()
    assert (summary.drained, summary.deaths) == (True, 2)
    counts = stats(store, exact=True).queues[QUEUE]
    assert (counts.done, counts.dead) == (502, 0)
    # What had ended before its agent died did not run again: nobody would have released it.


def test_whole_tree_killed_and_another_supervisor_finishes_everything(
    store: ObjectStore, tmp_path: Path, fifo: Fifo
) -> None:
    started, never, runs = fifo("started"), fifo("never"), tmp_path / "runs"
    quick.enqueue_many([(str(runs), number) for number in range(300)])
    hold_first.enqueue(started.path, never.path)
    quick.enqueue_many([(str(runs), number) for number in range(300, 400)])
    with host(store, workers=2, **IMPATIENT) as it:
        _, pid, session = started.word()
        it.kill_tree()
        assert not psutil.pid_exists(int(pid))
    summary = drain(store, queues=[QUEUE], workers=2, **IMPATIENT)
    assert summary.drained
    attempt, _, other_session = started.word()
    assert attempt == "2"
    assert other_session != session
    counts = stats(store, exact=True).queues[QUEUE]
    assert (counts.done, counts.dead, counts.ready, counts.running) == (401, 0, 0, 0)
    # What had finished since the last flush may have run again; nothing else, and nothing was left out.
    ran = Counter(numbers(runs))
    assert set(ran) == set(range(400))
    assert max(ran.values()) <= 2


def test_host_whose_supervisor_is_killed_leaves_no_process(store: ObjectStore, fifo: Fifo) -> None:
    started, never = fifo("started"), fifo("never")
    for _ in range(2):
        hold_first.enqueue(started.path, never.path)
    with host(store, workers=2) as it:
        for _ in range(2):  # then both workers are there
            started.word()
        children = it.children()
        assert len(children) == 3
        os.kill(it.pid, signal.SIGKILL)
        _, alive = psutil.wait_procs(children, DEADLINE_S)
        assert alive == []


@pytest.mark.parametrize("method", ["spawn", "forkserver"])
def test_spawned_worker_that_is_killed_is_replaced(store: ObjectStore, fifo: Fifo, method: str) -> None:
    started, never = fifo("started"), fifo("never")
    hold_first.enqueue(started.path, never.path)
    with host(store, until_empty=True, workers=1, start_method=method) as it:
        _, pid, session = started.word()
        os.kill(int(pid), signal.SIGKILL)
        attempt, _, same_session = started.word()
        assert (attempt, same_session) == ("2", session)
        summary = it.summary()
    assert (summary.deaths, summary.drained) == (1, True)
