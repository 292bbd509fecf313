"""What the program, the machine and its keepers do to a host."""

from __future__ import annotations

import contextlib
import os
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from s3queue import stats
from s3queue.store import ObjectStore
from tests.deadline import DEADLINE_S
from tests.processes.host import IMPATIENT, Line, drain, host
from tests.processes.jobs import QUEUE, hog, hold_first, poison, quick

Fifo = Callable[[str], Line]


def test_program_that_reaps_all_its_children_does_not_keep_the_host(store: ObjectStore, tmp_path: Path) -> None:
    def reap(*_: object) -> None:
        with contextlib.suppress(ChildProcessError):
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass

    quick.enqueue_many([(str(tmp_path / "runs"), number) for number in range(20)])
    poison.enqueue(str(tmp_path / "starts"), "kill")
    before = signal.signal(signal.SIGCHLD, reap)
    try:
        summary = drain(store, queues=[QUEUE], workers=2)
    finally:
        signal.signal(signal.SIGCHLD, before)
    assert summary.drained
    counts = stats(store, exact=True).queues[QUEUE]
    assert (counts.done, counts.dead) == (20, 1)


def test_one_call_that_holds_the_interpreter_for_longer_than_the_visibility_timeout_is_left_alone(
    store: ObjectStore,
) -> None:
    hog.enqueue(2 * round(IMPATIENT["visibility_timeout"]))
    summary = drain(store, queues=[QUEUE], workers=1, **IMPATIENT)
    assert (summary.messages, summary.deaths) == (1, 0)
    assert stats(store, exact=True).queues[QUEUE].done == 1


def test_worker_is_replaced_after_a_cleaner_has_removed_the_files_of_the_host(store: ObjectStore, fifo: Fifo) -> None:
    started, never = fifo("started"), fifo("never")
    hold_first.enqueue(started.path, never.path)
    base = Path(tempfile.gettempdir()) / f"s3queue-{os.getuid()}"
    before = set(base.glob("run-*"))  # of hosts that were killed; one may have had the same pid
    with host(store, until_empty=True, workers=1) as it:
        _, pid, session = started.word()
        (rundir,) = set(base.glob(f"run-{it.pid}-*")) - before
        shutil.rmtree(rundir)
        os.kill(int(pid), signal.SIGKILL)
        attempt, _, same_session = started.word()
        assert (attempt, same_session) == ("2", session)
        summary = it.summary()
    assert (summary.deaths, summary.drained) == (1, True)


def _no_file_can_be_written() -> None:
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))


def test_command_says_what_it_needs_where_nothing_can_be_written(tmp_path: Path) -> None:
    (tmp_path / "jobs.py").write_text("import s3queue\n@s3queue.task('q')\ndef f() -> None: ...\n")
    command = [
        sys.executable,
        "-B",
        "-c",
        "from s3queue.cli import main; main()",
        "run",
        "jobs",
        "--store",
        "memory://",
    ]
    done = subprocess.run(
        command,
        capture_output=True,
        text=True,
        cwd=tmp_path,
        timeout=DEADLINE_S,
        check=False,
        preexec_fn=_no_file_can_be_written,
    )
    assert done.returncode == 2
    assert done.stderr == (
        "s3queue: no temporary directory can be written (set TMPDIR to a directory that you may write, not full)\n"
    )
