"""``s3queue run jobs | head -1``, or a log on a full disk: each print raised, and 19 of 20 messages were dead."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import pytest
from s3queue_backends.sqlite import SqliteStore

from s3queue import Queue, configure, stats
from tests.deadline import DEADLINE_S
from tests.processes.jobs import QUEUE, chatter

ROOT = Path(__file__).parents[2]


@contextmanager
def host_of_twenty_prints(folder: Path, stdout: int | IO[bytes], workers: int) -> Iterator[subprocess.Popen[bytes]]:
    """A host whose tasks all print. Afterwards all of them are done."""
    url = f"sqlite:///{folder / 'store.db'}"
    store = SqliteStore.from_url(url)
    configure(store=store)
    try:
        chatter.enqueue_many([(number,) for number in range(20)])
        program = (
            "import sys; from s3queue import Supervisor; from tests.processes import jobs\n"
            f"Supervisor({url!r}, queues=[jobs.QUEUE], workers={workers}).run(until_empty=True)\n"
        )
        path = os.pathsep.join([str(ROOT), str(ROOT / "backends"), os.environ.get("PYTHONPATH", "")])
        run = subprocess.Popen([sys.executable, "-c", program], stdout=stdout, env=os.environ | {"PYTHONPATH": path})
        yield run
        assert run.wait(DEADLINE_S) == 0
        assert list(Queue(QUEUE, store).dead_letters()) == []
        assert stats(store, exact=True).queues[QUEUE].done == 20
    finally:
        configure()
        store.close()


@pytest.mark.parametrize("workers", [1, 2])
def test_prints_to_a_pipe_that_nobody_reads_any_more_fail_no_task(tmp_path: Path, workers: int) -> None:
    with host_of_twenty_prints(tmp_path, subprocess.PIPE, workers) as run:
        assert run.stdout is not None
        assert run.stdout.readline()
        run.stdout.close()


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="a full device is what Linux has")
def test_prints_to_a_full_disk_fail_no_task(tmp_path: Path) -> None:
    with Path("/dev/full").open("wb") as full, host_of_twenty_prints(tmp_path, full, workers=1):
        pass
