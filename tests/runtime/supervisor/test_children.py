"""One child process: real ones, which do what a test says instead of what a worker does."""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections.abc import Callable, Iterator
from typing import Any

import multiprocess
import pytest
from multiprocess import connection
from s3queue_backends.memory import MemoryStore

from s3queue.config import Config
from s3queue.registry import Registry
from s3queue.runtime.local.life import Life
from s3queue.runtime.local.wire import Drain, Empty, Read, Started, pack, unpack
from s3queue.runtime.supervisor.children import Child
from s3queue.runtime.supervisor.watch import Verdict
from s3queue.runtime.worker import main as worker_main
from tests.deadline import DEADLINE_S

Start = Callable[[Callable[[Any], None]], Child]


@pytest.fixture
def start(monkeypatch: pytest.MonkeyPatch) -> Iterator[Start]:
    life, children = Life.create(), list[Child]()

    def make(script: Callable[[Any], None]) -> Child:
        monkeypatch.setattr(worker_main, "main", script)
        fields = {
            "store": MemoryStore(),
            "config": Config(),
            "worker": 0,
            "workers": 1,
            "concurrency": 1,
            "rundir": str(life.rundir),
            "session": "s",
            "buffer": bytearray(0),
            "tasks": Registry(),
        }
        ours = [one.conn for one in children]
        children.append(Child(multiprocess.get_context("fork"), "worker", "worker 0", fields, life, ours))
        return children[-1]

    yield make
    for child in children:
        with contextlib.suppress(ValueError):  # it is reaped
            if not child.is_dead:
                child.kill(Verdict("killed", ""))
            child.reap()
    life.close(remove=True)


def ended(child: Child) -> Child:
    while not child.is_dead:
        connection.wait(child.watched(), DEADLINE_S)
        child.hear()
    assert child.reap()
    return child


def _talks(spec: Any) -> None:
    spec.conn.send_bytes(pack(Started()))
    assert isinstance(unpack(spec.conn.recv_bytes()), Drain)
    spec.conn.send_bytes(pack(Empty()))
    spec.conn.send_bytes(pack(Read(3)))


def _hangs(spec: Any) -> None:
    spec.conn.send_bytes(pack(Started()))
    time.sleep(600)


def test_child_is_heard_told_and_reaped(start: Start) -> None:
    child = start(_talks)
    assert connection.wait(child.watched(), DEADLINE_S)
    assert child.hear() == [Started()]
    assert child.hear() == []
    child.tell(Drain())
    notes = []
    while not child.is_dead:
        connection.wait(child.watched(), DEADLINE_S)
        notes += child.hear()
    notes += child.hear()
    assert notes == [Empty(), Read(3)]
    assert child.reap()
    assert child.status == 0
    assert child.death(out_of_memory=False)[0] == "exited"


def test_note_to_a_child_that_has_ended_is_lost(start: Start) -> None:
    child = ended(start(lambda spec: os._exit(7)))
    assert child.status == 7
    child.tell(Drain())


def test_first_verdict_is_why_it_was_killed(start: Start) -> None:
    child = start(_hangs)
    connection.wait(child.watched(), DEADLINE_S)
    child.kill(Verdict("time_limit", "a task exceeded its time limit"))
    child.kill(Verdict("killed", "something else"))
    assert ended(child).status == -signal.SIGKILL
    cause, text = child.death(out_of_memory=True)
    assert (cause, text) == ("time_limit", f"worker 0 (process {child.pid}) was killed: a task exceeded its time limit")


def test_killing_what_has_been_reaped_by_somebody_else_is_no_error(start: Start) -> None:
    child = start(lambda spec: os._exit(0))
    connection.wait(child.watched()[:1], DEADLINE_S)
    os.waitpid(child.pid, 0)
    child.kill(Verdict("killed", "too late"))
    ended(child)


def test_end_of_a_child_is_seen_although_a_process_that_it_has_left_holds_its_pipe(start: Start) -> None:
    reading, writing = os.pipe()

    def leaves_one(spec: Any) -> None:
        if os.fork():
            os.close(writing)
            os._exit(0)
        os.setsid()
        os.close(writing)
        os.read(reading, 1)
        os._exit(0)

    child = start(leaves_one)
    os.close(reading)
    try:
        assert connection.wait(child.watched()[:1], DEADLINE_S)
        assert child.is_dead
        assert child.reap()
    finally:
        os.close(writing)


def test_start_that_fails_leaves_no_descriptor(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_room() -> int:
        raise OSError(12, "Cannot allocate memory")

    ended(start(lambda spec: None))  # what is opened once by the first start
    before = sorted(os.listdir("/proc/self/fd"))
    monkeypatch.setattr(os, "fork", no_room)
    with pytest.raises(OSError, match="allocate"):
        start(_hangs)
    assert sorted(os.listdir("/proc/self/fd")) == before
