"""``s3queue run jobs | head -1``: each print raised, and 19 of 20 messages were dead."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from s3queue_backends.sqlite import SqliteStore

from s3queue import Queue, configure, stats
from tests.processes.jobs import QUEUE, chatter
from tests.runtime.desk import DEADLINE_S

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("workers", [1, 2])
def test_prints_to_a_pipe_that_nobody_reads_any_more_fail_no_task(tmp_path: Path, workers: int) -> None:
    url = f"sqlite:///{tmp_path / 'store.db'}"
    store = SqliteStore.from_url(url)
    configure(store=store)
    try:
        chatter.enqueue_many([(number,) for number in range(20)])
        program = (
            "import sys; from s3queue import Supervisor; from tests.processes import jobs\n"
            f"Supervisor({url!r}, queues=[jobs.QUEUE], workers={workers}).run(until_empty=True)\n"
        )
        path = os.pathsep.join([str(ROOT), str(ROOT / "backends"), os.environ.get("PYTHONPATH", "")])
        run = subprocess.Popen(
            [sys.executable, "-c", program], stdout=subprocess.PIPE, env=os.environ | {"PYTHONPATH": path}
        )
        assert run.stdout is not None
        assert run.stdout.readline()
        run.stdout.close()
        assert run.wait(DEADLINE_S) == 0
        assert list(Queue(QUEUE, store).dead_letters()) == []
        assert stats(store, exact=True).queues[QUEUE].done == 20
    finally:
        configure()
        store.close()
