"""Who is killed, by a journal as workers write it and a clock of our own."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Iterator

import psutil
import pytest

from s3queue.runtime.local import journal as journals
from s3queue.runtime.local.journal import Journal
from s3queue.runtime.supervisor.watch import OVERRUN_GRACE_S, TICK_S, Watch

SILENCE_S = 30.0
START = 1000.0


class Scene:
    """One worker with two slots, and a process that stands for it."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, pid: int) -> None:
        self.now = START
        self.pid = pid
        monkeypatch.setattr(journals, "clock", lambda: self.now)
        self.journal = Journal(bytearray(Journal.size(1, 2)), 1, 2)
        self.worker = self.journal.worker(0)
        self.worker.open_row(0, "1-1", 0, 10)
        self.watch = Watch(self.journal, SILENCE_S, self.now)

    def passes(self, seconds: float) -> None:
        """Looked at every tick, as the loop does."""
        until = self.now + seconds
        while self.now < until:
            self.now = min(until, self.now + TICK_S)
            self.look()

    def look(self) -> str | None:
        self.watch.tick(self.now)
        verdict = self.watch.worker(0, self.pid, True, self.now)
        return verdict.cause if verdict else None


@pytest.fixture
def scene(monkeypatch: pytest.MonkeyPatch) -> Iterator[Scene]:
    sleeper = subprocess.Popen(["sleep", "600"])
    it = Scene(monkeypatch, sleeper.pid)
    it.worker.beat()
    yield it
    sleeper.kill()
    sleeper.wait()


def test_worker_that_runs_nothing_and_shows_no_life_is_killed(scene: Scene) -> None:
    scene.passes(SILENCE_S)
    assert scene.look() is None
    scene.passes(TICK_S)
    assert scene.look() == "killed"


def test_worker_that_runs_something_is_never_killed_for_silence(scene: Scene) -> None:
    scene.worker.start(0, 0, 1, scene.now)
    scene.passes(20 * SILENCE_S)
    assert scene.look() is None


def test_worker_gets_time_to_show_life_after_what_it_ran(scene: Scene) -> None:
    scene.worker.start(0, 0, 1, scene.now)
    scene.passes(2 * SILENCE_S)
    scene.worker.finish(0, journals.OK)
    scene.passes(SILENCE_S - TICK_S)
    assert scene.look() is None
    scene.passes(2 * TICK_S)
    assert scene.look() == "killed"


def test_worker_that_the_system_has_stopped_is_killed_though_it_runs_something(scene: Scene) -> None:
    scene.worker.start(0, 0, 1, scene.now)
    os.kill(scene.pid, signal.SIGSTOP)
    process = psutil.Process(scene.pid)
    while process.status() != psutil.STATUS_STOPPED:
        os.sched_yield()
    scene.passes(SILENCE_S + TICK_S)
    assert scene.look() == "killed"


def test_time_limit_names_what_overran_and_nothing_else(scene: Scene) -> None:
    scene.worker.start(0, 0, 3, scene.now, scene.now + 5.0)
    scene.worker.start(1, 0, 4, scene.now, scene.now + 50.0)
    scene.passes(5.0 + OVERRUN_GRACE_S)
    assert scene.look() is None
    scene.passes(TICK_S)
    verdict = scene.watch.worker(0, scene.pid, True, scene.now)
    assert verdict is not None
    assert (verdict.cause, verdict.overran) == ("time_limit", ((0, 3),))


def test_nobody_is_blamed_for_silence_while_the_machine_slept(scene: Scene) -> None:
    scene.journal.beat_agent()
    scene.now += 10 * SILENCE_S
    assert scene.look() is None
    assert scene.watch.agent(scene.now) is None
    scene.passes(SILENCE_S + TICK_S)
    assert scene.look() == "killed"
    assert scene.watch.agent(scene.now) is not None


def test_child_that_has_not_shown_life_yet_is_not_missed(scene: Scene) -> None:
    scene.worker.reset()
    scene.passes(3 * SILENCE_S)
    assert scene.look() is None
    assert scene.watch.agent(scene.now) is None


def test_cancelled_message_that_runs_with_others_ends_its_process_and_one_that_has_ended_does_not(scene: Scene) -> None:
    for index in (2, 3):
        scene.worker.start(0, 0, index, scene.now)
    scene.worker.share(0)
    verdict = scene.watch.cancelled(0, [(0, 3), (0, 4), (1, 0), (99, 0)])
    assert verdict is not None
    assert (verdict.cause, verdict.overran) == ("cancelled", ((0, 3),))
    scene.worker.mark(0, 3, journals.OK)
    assert scene.watch.cancelled(0, [(0, 3)]) is None
