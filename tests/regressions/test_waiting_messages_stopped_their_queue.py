"""A thousand messages that wait for a retry kept everything else of their queue from starting, without a word."""

from __future__ import annotations

from collections import Counter
from contextlib import closing
from pathlib import Path

from s3queue import Context, Queue, Retry, stats, task
from s3queue.core.keys import Layout
from s3queue.core.records import Board, decode
from s3queue.store import Found, ObjectStore
from tests.processes import jobs
from tests.processes.host import Line, drain, host
from tests.processes.jobs import say

QUEUE, WAITING = "patient", 1500


@task(queue=QUEUE, name="second_time", max_attempts=3)
def second_time(ctx: Context, runs: str, doomed: bool) -> None:
    say(runs, f"{ctx.attempt} {ctx.message_id}")
    if doomed or ctx.attempt == 1:
        raise Retry(after=2.0)


def the_board(disk: ObjectStore) -> Board:
    found = disk.get(Layout().board)
    assert isinstance(found, Found)
    return decode(Board, "board", found.body)


def test_urgent_message_runs_while_fifteen_hundred_wait_for_an_hour(disk: ObjectStore, tmp_path: Path) -> None:
    runs = str(tmp_path / "runs")
    jobs.not_now.enqueue_many([(runs,) for _ in range(WAITING)])
    with closing(Line(tmp_path / "told")) as told, host(disk, workers=2) as running:
        while stats(disk, exact=True).queues[jobs.QUEUE].waiting < WAITING:
            jobs.quick.options(priority=0).enqueue(told.path, 1)
            assert told.word()[0] == "1"
        jobs.quick.options(priority=0).enqueue(told.path, 2)
        assert told.word()[0] == "2"
        running.interrupt()
    counts = stats(disk, exact=True).queues[jobs.QUEUE]
    assert (counts.waiting, counts.failed, counts.dead) == (WAITING, WAITING, 0)
    assert sum(len(state.waiting) for state in the_board(disk).sources.values()) <= 1000


def test_what_waited_off_the_board_comes_back_as_itself(disk: ObjectStore, tmp_path: Path) -> None:
    runs = tmp_path / "runs"
    ids = [second_time.enqueue(str(runs), False) for _ in range(20)]
    ids += second_time.enqueue_many([(str(runs), number == 7) for number in range(200)])
    drain(disk, queues=[QUEUE], workers=2, max_parked=10)
    counts = stats(disk, exact=True).queues[QUEUE]
    assert (counts.done, counts.dead, counts.waiting) == (219, 1, 0)
    starts = Counter(runs.read_text().splitlines())
    assert all(starts[f"{attempt} {message}"] == 1 for message in ids for attempt in (1, 2))
    assert sum(starts.values()) == 2 * 220 + 1
    (letter,) = Queue(QUEUE, disk).dead_letters()
    assert letter.id == ids[27]
    assert [one.attempt for one in letter.failures] == [1, 2, 3]
