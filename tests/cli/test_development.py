"""What developers run: a host that starts again by itself, and one that can be stopped at a breakpoint."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from s3queue_backends.sqlite import SqliteStore

from s3queue import Queue, stats
from s3queue.cli import reloading
from tests.deadline import DEADLINE_S

MAIN = [sys.executable, "-c", "import sys; from s3queue.cli import main; main(sys.argv[1:])"]

STOPS = """
import s3queue

@s3queue.task("dev")
def look(n: int) -> None:
    doubled = n * 2
    breakpoint()
    print("after", doubled, flush=True)
"""

TELLS = """
from pathlib import Path
import s3queue

@s3queue.handler("dev")
def tell(payload: str) -> None:
    Path("told").open("a").write("{release} " + payload + "\\n")
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Of a project with a store."""
    return tmp_path


def start(folder: Path, *args: str) -> subprocess.Popen[str]:
    root = Path(__file__).parents[2]
    path = os.pathsep.join([str(root), str(root / "backends")])
    url = f"sqlite:///{folder}/jobs.db"
    return subprocess.Popen(
        [*MAIN, *args, "--store", url],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": path},
        text=True,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )


def until(holds: Callable[[], bool], process: subprocess.Popen[str]) -> None:
    deadline = time.monotonic() + DEADLINE_S
    while not holds():
        assert time.monotonic() < deadline
        assert process.poll() is None
        time.sleep(0.05)


def test_breakpoint_in_a_task_stops_there_and_the_host_works_on(folder: Path) -> None:
    (folder / "dev.py").write_text(STOPS)
    start(folder, "enqueue", "dev:look", "21").communicate(timeout=DEADLINE_S)
    process = start(folder, "run", "dev", "--inline", "--until-empty")
    out, err = process.communicate("p doubled\nc\n", timeout=DEADLINE_S)
    assert "42" in out
    assert "after 42" in out
    assert "start_method=inline" in err
    assert process.returncode == 0
    assert stats(SqliteStore(str(folder / "jobs.db"))).queues["dev"].done == 1


def test_change_and_signal_that_come_while_a_process_is_started_are_not_missed(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    really, started = reloading._start, list[subprocess.Popen[bytes]]()

    def begin(args: Sequence[str]) -> subprocess.Popen[bytes]:
        started.append(really(args))
        if len(started) == 1:
            (folder / "dev.py").write_text("changed\n")
        else:
            signal.raise_signal(signal.SIGTERM)
        return started[-1]

    monkeypatch.setattr(reloading, "_start", begin)
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        status = reloading.reload([], folder, ("-c", "import signal\nwhile True: signal.pause()"))
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    assert [one.returncode for one in started] == [-signal.SIGTERM] * 2
    assert status == -signal.SIGTERM


def test_change_of_a_file_is_served_and_one_that_cannot_be_imported_is_waited_for(folder: Path) -> None:
    module, told, queue = folder / "dev.py", folder / "told", Queue("dev", SqliteStore(str(folder / "jobs.db")))
    module.write_text(TELLS.replace("{release}", "first"))
    process = start(folder, "run", "dev", "--reload", "--workers", "1")
    try:
        queue.enqueue("a")
        until(lambda: told.exists() and told.read_text() == "first a\n", process)
        module.write_text("this is no Python")
        assert process.stderr is not None
        while "cannot be imported" not in process.stderr.readline():
            assert process.poll() is None
        module.write_text(TELLS.replace("{release}", "second"))
        queue.enqueue("b")
        until(lambda: told.read_text() == "first a\nsecond b\n", process)
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=DEADLINE_S)
        assert process.returncode == 0
    finally:
        if process.poll() is None:
            process.kill()
            process.communicate()


@pytest.mark.parametrize("option", [("--workers", "2"), ("--concurrency", "2"), ("--metrics", "127.0.0.1:0")])
def test_options_that_one_process_has_no_use_for_are_a_mistake(folder: Path, option: tuple[str, str]) -> None:
    (folder / "dev.py").write_text(STOPS)
    process = start(folder, "run", "dev", "--inline", *option)
    _, err = process.communicate(timeout=DEADLINE_S)
    assert process.returncode == 2, err
    assert option[0] in err
