"""Real processes, in sessions of their own, as tasks start them."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from s3queue.runtime.child import MARK
from s3queue.runtime.supervisor.leftovers import Leftovers, look_up, table
from tests.deadline import DEADLINE_S
from tests.runtime.desk import Pipe

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="needs /proc")

#: Tells the pid of a program that goes on for long, started in this way, and waits.
STAND_IN = """
import os, subprocess, sys
how, told = sys.argv[1:]
program = ["sh", "-c", f"echo $$ > {told}; exec sleep 600"]
if how == "session":
    subprocess.run(program, start_new_session=True)
elif how == "shell":
    subprocess.run(["sh", "-c", "\\"$@\\"; true", "sh", *program])
elif how == "daemon":
    subprocess.run(["sh", "-c", "setsid \\"$@\\" & exit", "sh", *program])
elif how == "background":
    subprocess.Popen(program)
else:
    subprocess.run(program)
sys.stdin.read()
"""


class Worker:
    """A process that leads a session and carries a mark, as a worker does."""

    def __init__(self, how: str, told: Pipe) -> None:
        self.mark = f"{told.path}/{how}"
        self.process = subprocess.Popen(
            [sys.executable, "-c", STAND_IN, how, told.path],
            env=os.environ | {MARK: self.mark},
            stdin=subprocess.PIPE,
            start_new_session=True,
        )
        self.program = psutil.Process(int(told.line()))
        self.left = Leftovers(self.process.pid, self.mark)

    def die(self) -> None:
        self.process.kill()
        self.process.wait()


@pytest.fixture
def worker(tmp_path: Path) -> Iterator[Callable[[str], Worker]]:
    made: list[Worker] = []
    told = Pipe(tmp_path / "told")

    def make(how: str) -> Worker:
        made.append(Worker(how, told))
        return made[-1]

    yield make
    told.close()
    for it in made:
        if it.process.poll() is None:
            it.die()
        if it.process.stdin:
            it.process.stdin.close()
        if it.program.is_running():
            it.program.kill()


def is_gone(process: psutil.Process) -> bool:
    return not process.is_running() or process.status() == psutil.STATUS_ZOMBIE


@pytest.mark.parametrize("how", ["plain", "shell", "background", "session", "daemon"])
def test_program_of_a_worker_that_was_killed_is_gone(worker: Callable[[str], Worker], how: str) -> None:
    it = worker(how)
    it.left.hold()
    it.die()
    assert it.left.end(in_session_only=False)
    assert is_gone(it.program)


@pytest.mark.parametrize("how", ["plain", "shell", "session", "daemon"])
def test_program_of_a_worker_that_crashed_is_gone(worker: Callable[[str], Worker], how: str) -> None:
    it = worker(how)
    it.die()
    assert it.left.end(in_session_only=False)
    assert is_gone(it.program)


def test_worker_that_ended_in_good_order_takes_its_session_along_and_nothing_else(
    worker: Callable[[str], Worker],
) -> None:
    background, daemon = worker("background"), worker("daemon")
    for it in (background, daemon):
        it.die()
        assert it.left.end(in_session_only=True)
    assert is_gone(background.program)
    assert not is_gone(daemon.program)


def test_programs_of_another_worker_are_left_alone(worker: Callable[[str], Worker]) -> None:
    one, other = worker("plain"), worker("session")
    one.left.hold()
    one.die()
    assert one.left.end(in_session_only=False)
    assert not is_gone(other.program)
    assert other.process.poll() is None


def test_program_that_has_no_environment_of_its_worker_is_found_while_that_lives(tmp_path: Path) -> None:
    sleeper = subprocess.Popen(
        ["sh", "-c", "env -i setsid sleep 600; true"], start_new_session=True, env=os.environ | {MARK: str(tmp_path)}
    )
    parent = psutil.Process(sleeper.pid)
    while not (found := [it for it in parent.children(recursive=True) if it.name() == "sleep"]):
        os.sched_yield()
    left = Leftovers(sleeper.pid, str(tmp_path))
    left.hold()
    sleeper.kill()
    sleeper.wait()
    assert left.end(in_session_only=False)
    _, alive = psutil.wait_procs(found, DEADLINE_S)
    assert alive == []


def test_process_table_knows_us() -> None:
    me = next(process for process in table() if process.pid == os.getpid())
    assert (me.parent, me.session, me.state) == (os.getppid(), os.getsid(0), "R")
    assert look_up(me.pid) is not None
    assert look_up(2**22 + 1) is None
