"""A task that ended its process took those that ran beside it into the dead letters, with a false reason."""

from __future__ import annotations

import json
import os
from collections import Counter
from pathlib import Path

from s3queue import Context, Queue, stats, task
from s3queue.options.policies import Backoff
from s3queue.store import ObjectStore
from tests.processes.host import drain
from tests.processes.jobs import say

QUEUE = "neighbours"
AT_ONCE = Backoff(base=0)
SLOTS = 8


def wait_for(path: str, lines: int) -> None:
    """Until a file has so many lines: all that a process runs has begun."""
    while not Path(path).exists() or len(Path(path).read_text().splitlines()) < lines:
        os.sched_yield()


@task(queue=QUEUE, name="innocent", max_attempts=1, backoff=AT_ONCE)
def innocent(ctx: Context, started: str, never: str) -> None:
    """Runs for so long that it is there when its process dies. One attempt is all that it has."""
    say(started, f"innocent {ctx.attempt}")
    if ctx.attempt == 1:
        wait_for(never, 1)


@task(queue=QUEUE, name="exits", max_attempts=2, backoff=AT_ONCE)
def exits(ctx: Context, started: str) -> None:
    say(started, f"guilty {ctx.attempt}")
    if ctx.attempt == 1:
        wait_for(started, SLOTS)
    os._exit(3)


@task(queue=QUEUE, name="overruns", max_attempts=2, backoff=AT_ONCE, time_limit=1.0)
def overruns(ctx: Context, started: str, never: str) -> None:
    say(started, f"guilty {ctx.attempt}")
    wait_for(never, 1)


def test_task_that_exits_dies_alone_and_the_seven_beside_it_end_as_done(disk: ObjectStore, tmp_path: Path) -> None:
    started, never = str(tmp_path / "started"), str(tmp_path / "never")
    for _ in range(SLOTS - 1):
        innocent.enqueue(started, never)
    exits.enqueue(started)
    summary = drain(disk, queues=[QUEUE], workers=1, concurrency=SLOTS, history=str(tmp_path / "history"))
    counts = stats(disk, exact=True).queues[QUEUE]
    assert (counts.done, counts.dead) == (SLOTS - 1, 1)
    (letter,) = Queue(QUEUE, disk).dead_letters()
    assert letter.task == "exits"
    assert [one.cause for one in letter.failures] == ["exited"] * 3
    assert "each of them runs alone next" in letter.failures[0].text
    # The first death names nobody; alone it dies twice, and that are the attempts that it has.
    starts = Counter(Path(started).read_text().splitlines())
    assert {line: many for line, many in starts.items() if line.startswith("guilty")} == {
        "guilty 1": 1,
        "guilty 2": 1,
        "guilty 3": 1,
    }
    assert starts["innocent 1"] == starts["innocent 2"] == SLOTS - 1
    assert summary.deaths == 3
    # Each death is told once, with every message that it ended an attempt of, and what becomes of that.
    told = [json.loads(line) for file in (tmp_path / "history").iterdir() for line in file.read_text().splitlines()]
    assert [len(it["messages"]) for it in told if it["kind"] == "worker_died"] == [SLOTS, 1, 1]
    of = [it for it in told if it["kind"] in ("recovered", "dead")]
    assert Counter(it["attempt"] for it in of) == {1: SLOTS, 2: 1, 3: 1}
    guilty = [(it["kind"], it["attempt"], it["of"], it.get("next")) for it in of if it["message"] == letter.id]
    assert guilty == [
        ("recovered", 1, 2, "it was interrupted, which is not counted, and runs again alone"),
        ("recovered", 2, 3, "it runs again, alone"),
        ("dead", 3, 3, None),
    ]


def test_task_over_its_time_limit_costs_those_beside_it_nothing(disk: ObjectStore, tmp_path: Path) -> None:
    started, never = str(tmp_path / "started"), str(tmp_path / "never")
    for _ in range(3):
        innocent.enqueue(started, never)
    overruns.enqueue(started, never)
    summary = drain(disk, queues=[QUEUE], workers=1, concurrency=4)
    counts = stats(disk, exact=True).queues[QUEUE]
    assert (counts.done, counts.dead) == (3, 1)
    (letter,) = Queue(QUEUE, disk).dead_letters()
    assert letter.task == "overruns"
    assert [(one.attempt, one.cause) for one in letter.failures] == [(1, "time_limit"), (2, "time_limit")]
    assert Counter(Path(started).read_text().splitlines()) == {
        "innocent 1": 3,
        "innocent 2": 3,
        "guilty 1": 1,
        "guilty 2": 1,
    }
    assert summary.deaths == 2
