"""A rolling deploy: a message that only the new release can run was a dead letter within a second, or within a minute."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest
from msgspec import Raw

from s3queue import Queue, stats
from s3queue.core.records import Message
from s3queue.store import ObjectStore
from tests.deadline import DEADLINE_S
from tests.processes.host import Line, host, send
from tests.processes.jobs import QUEUE, quick

ROOT = Path(__file__).parents[2]

#: The new release: a task that the old one does not know, and one with another parameter.
NEW = """
import sys
from s3queue import Context, Supervisor, task
from tests.processes.jobs import QUEUE, say

@task(queue=QUEUE, name="newer")
def newer(ctx: Context, started: str) -> None:
    say(started, f"newer {ctx.attempt}")

import s3queue.registry
s3queue.registry.registry._tasks.pop((QUEUE, "quick"))

@task(queue=QUEUE, name="quick")
def quick(ctx: Context, runs: str, number: int, colour: str = "red") -> None:
    say(runs, f"{colour} {ctx.attempt}")

if __name__ == "__main__":
    Supervisor(sys.argv[1], queues=[QUEUE], workers=1, drain_timeout=1.0).run(until_empty=True)
"""


def payload(**arguments: object) -> Raw:
    return Raw(msgspec.msgpack.encode(arguments))


@pytest.mark.parametrize("what", ["task", "signature"])
def test_message_that_only_the_new_release_can_run_waits_for_it_and_costs_no_attempt(
    disk: ObjectStore, tmp_path: Path, fifo: Callable[[str], Line], what: str
) -> None:
    runs, told = fifo("runs"), fifo("told")
    newer = {
        "task": Message("newer", payload(started=told.path), {}),
        "signature": Message("quick", payload(runs=told.path, number=1, colour="newer"), {}),
    }[what]
    with host(disk, workers=1, max_attempts=1) as old:
        send(disk, [newer])
        # The old one goes on with what it knows, while the other message waits.
        for number in range(3):
            quick.enqueue(runs.path, number)
            assert runs.word()[0] == str(number)
        program = tmp_path / "new.py"
        program.write_text(NEW)
        path = os.pathsep.join([str(ROOT), str(ROOT / "backends"), os.environ.get("PYTHONPATH", "")])
        new = subprocess.Popen([sys.executable, str(program), disk.url], env=os.environ | {"PYTHONPATH": path})
        try:
            assert told.word() == ["newer", "1"]
            assert new.wait(DEADLINE_S) == 0
        finally:
            new.kill()
            new.wait()
        old.interrupt()
    assert list(Queue(QUEUE, disk).dead_letters()) == []
    assert stats(disk, exact=True).queues[QUEUE].done == 4
