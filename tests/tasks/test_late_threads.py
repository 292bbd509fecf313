"""The first enqueue of a program, in a thread that outlives the main one."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from s3queue import Queue
from tests.deadline import DEADLINE_S

PROGRAM = """
import threading
import s3queue
s3queue.configure(store={url!r})

@s3queue.task("q")
def it(n: int) -> None: ...

def late() -> None:
    threading.main_thread().join()
    {enqueue}

threading.Thread(target=late).start()
"""


@pytest.mark.parametrize(
    "enqueue",
    [
        "it.enqueue(1)",
        "it.enqueue_many([(1,)])",
        "s3queue.Queue('q').enqueue(1)",
        "import asyncio; asyncio.run(it.aenqueue(1))",
    ],
)
def test_first_enqueue_after_the_main_thread_has_ended(enqueue: str, tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/jobs.db"
    program = PROGRAM.format(url=url, enqueue=enqueue)
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=DEADLINE_S, check=False
    )
    assert done.stderr == ""
    queue = Queue("q", url)
    assert queue.stats(exact=True).ready == 1
    queue.store.close()
