"""What tasks start does not outlive its worker, and is gone before the next attempt."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

from s3queue import Queue
from s3queue.store import ObjectStore
from tests.deadline import DEADLINE_S
from tests.processes.host import Line, drain, host
from tests.processes.jobs import QUEUE, background, hold, is_alive, program, quick, twin

Fifo = Callable[[str], Line]

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="needs /proc")


def wait_for(condition: Callable[[], object], what: str) -> None:
    deadline = time.monotonic() + DEADLINE_S
    while not condition():
        assert time.monotonic() < deadline, what
        time.sleep(0.02)


def is_zombie(process: psutil.Process) -> bool:
    """And not reaped meanwhile."""
    with suppress(psutil.NoSuchProcess):
        return bool(process.status() == psutil.STATUS_ZOMBIE)
    return False


@pytest.mark.parametrize("how", ["plain", "shell", "session"])
def test_program_of_a_task_over_its_time_limit_is_gone_before_the_next_attempt(
    store: ObjectStore, tmp_path: Path, how: str
) -> None:
    told = tmp_path / "told"
    program.enqueue(str(told), how)
    drain(store, queues=[QUEUE], workers=1)
    programs = told.read_text().split()
    assert len(programs) == 3
    (letter,) = Queue(QUEUE, store).dead_letters()
    assert [one.cause for one in letter.failures] == ["time_limit"] * 3
    assert (tmp_path / "told-alive").read_text().split() == []
    assert [pid for pid in programs if is_alive(pid)] == []


@pytest.mark.parametrize("how", ["agent", "interrupt", "drain"])
def test_program_is_gone_when_its_worker_is_killed_with_the_host(store: ObjectStore, tmp_path: Path, how: str) -> None:
    told = tmp_path / "told"
    program.enqueue(str(told), "session")
    with host(store, workers=1, drain_timeout=0.1 if how == "drain" else 3600.0, time_limit=None) as it:
        wait_for(lambda: told.exists() and told.read_text().endswith("\n"), "it does not start")
        first = told.read_text().split()[0]
        if how == "agent":
            it.children()[0].kill()
            wait_for(lambda: not is_alive(first), "it goes on")
        if how == "interrupt":
            it.signal(signal.SIGINT)
            it.interrupt()
        else:
            it.signal(signal.SIGTERM)
        it.process.wait(DEADLINE_S)
    assert [pid for pid in told.read_text().split() if is_alive(pid)] == []


def test_copy_of_a_worker_that_a_task_has_forked_does_not_outlive_the_host(store: ObjectStore, fifo: Fifo) -> None:
    told = fifo("told")
    twin.enqueue(told.path)
    with host(store, workers=1) as it:
        (pid,) = told.word()
        assert is_alive(pid)
        it.signal(signal.SIGTERM)
        summary = it.summary()
    assert summary.drained
    assert not is_alive(pid)


def test_signal_to_the_group_does_not_reach_what_tasks_run(store: ObjectStore, fifo: Fifo) -> None:
    started, release = fifo("started"), fifo("release")
    hold.enqueue(started.path, release.path)
    with host(store, workers=1) as it:
        _, pid, _ = started.word()
        assert os.getpgid(int(pid)) == int(pid)
        assert os.getpgid(it.pid) == it.pid
        it.signal(signal.SIGTERM, group=True)
        release.release()
        assert it.summary().drained


def _can_unshare() -> bool:
    if os.geteuid() != 0 or shutil.which("unshare") is None:
        return False
    command = ["unshare", "--pid", "--fork", "--mount-proc", "true"]
    return subprocess.run(command, capture_output=True, check=False).returncode == 0


def test_process_1_of_a_container_reaps_what_tasks_leave(store: ObjectStore, tmp_path: Path, fifo: Fifo) -> None:
    if not _can_unshare():
        pytest.skip("needs the right to make a namespace of processes")
    told, started, release = fifo("told"), fifo("started"), fifo("release")
    background.enqueue(told.path)
    wrapper = ("unshare", "--pid", "--fork", "--mount-proc", "--kill-child")
    with host(store, wrapper=wrapper, workers=2) as it:
        assert told.word() == ["done"]
        (first,) = psutil.Process(it.pid).children()
        assert first.ppid() == it.pid
        wait_for(first.children, "its children do not come")
        wait_for(lambda: not [child for child in first.children() if is_zombie(child)], "zombies stay")
        # And it has taken nothing that is its own: a worker that dies is told of.
        hold.enqueue(started.path, release.path)
        started.word()
        first.children()[1].kill()
        quick.enqueue(str(tmp_path / "runs"), 1)
        wait_for((tmp_path / "runs").exists, "nothing runs any more")
        release.release()
        release.release()
        os.kill(first.pid, signal.SIGTERM)
        summary = it.summary()
    assert summary.deaths == 1
    assert summary.drained


def test_process_1_of_a_container_is_ended_by_sigterm_before_its_modules_are_there(tmp_path: Path, fifo: Fifo) -> None:
    if not _can_unshare():
        pytest.skip("needs the right to make a namespace of processes")
    started = fifo("started")
    # Python looks for signals between bytecodes only. A single call that blocks would miss one that came just before it.
    (tmp_path / "slow.py").write_text(
        f"import time\nopen({started.path!r}, 'w').write('importing\\n')\nwhile True:\n    time.sleep(0.05)\n"
    )
    root = Path(__file__).parents[2]
    command = [sys.executable, "-c", "from s3queue.cli import main; main()", "run", "slow"]
    process = subprocess.Popen(
        [
            "unshare",
            "--pid",
            "--fork",
            "--mount-proc",
            "--kill-child",
            *command,
            "--store",
            f"sqlite:///{tmp_path}/q.db",
        ],
        env=os.environ | {"PYTHONPATH": os.pathsep.join([str(tmp_path), str(root), str(root / "backends")])},
        stderr=subprocess.DEVNULL,
    )
    try:
        assert started.word() == ["importing"]
        (first,) = psutil.Process(process.pid).children()
        os.kill(first.pid, signal.SIGTERM)
        assert process.wait(DEADLINE_S) == 143
    finally:
        process.kill()
        process.wait()
