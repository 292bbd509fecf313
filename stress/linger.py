"""``python -m stress linger``: single enqueues of many threads that share puts, compared with one thread alone."""

from __future__ import annotations

import tempfile
import threading
import time
from itertools import pairwise
from pathlib import Path
from statistics import median

import click

import s3queue
from s3queue import Producer, Queue
from stress.stores import store_url


def _quantile(times: list[float], part: float) -> float:
    return sorted(times)[min(len(times) - 1, int(len(times) * part))]


def _times_alone(queue: Queue, seconds: float) -> list[float]:
    """Seconds of each enqueue of one thread."""
    marks = [time.perf_counter()]
    while marks[-1] - marks[0] < seconds:
        queue.enqueue(len(marks))
        marks.append(time.perf_counter())
    return [after - before for before, after in pairwise(marks)]


def _times_together(queue: Queue, seconds: float, threads: int, linger: float) -> list[float]:
    """The same of each call of many threads that share a producer."""
    times: list[float] = []
    end = time.perf_counter() + seconds
    with Producer(queue.store, linger=linger) as producer:

        def work() -> None:
            own: list[float] = []
            while (began := time.perf_counter()) < end:
                producer.send(queue, len(own))
                own.append(time.perf_counter() - began)
            times.extend(own)

        workers = [threading.Thread(target=work) for _ in range(threads)]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()
    return times


@click.command("linger")
@click.option("--store", default="seaweedfs", show_default=True)
@click.option("--threads", default=32, show_default=True)
@click.option("--linger", default=0.005, show_default=True, help="Seconds.")
@click.option("--seconds", default=5.0, show_default=True, help="Seconds of each measurement.")
@click.option("--repetitions", default=3, show_default=True)
def command(store: str, threads: int, linger: float, seconds: float, repetitions: int) -> None:
    """Rate and p99 of calls of many threads with a Producer, against single enqueues of one thread, in turn."""
    ratios: list[float] = []
    with tempfile.TemporaryDirectory() as folder, store_url(store, Path(folder)) as url:
        queue = Queue("linger", s3queue.open_store(url))
        queue.enqueue(0)
        for _ in range(repetitions):
            alone = _times_alone(queue, seconds)
            together = _times_together(queue, seconds, threads, linger)
            ratios.append(len(together) / len(alone))
            put = median(alone)
            late = _quantile(together, 0.99)
            click.echo(
                f"one thread {len(alone) / seconds:,.0f}/s, a PUT {put * 1e3:.2f} ms, "
                f"p99 {_quantile(alone, 0.99) * 1e3:.2f}; "
                f"{threads} threads {len(together) / seconds:,.0f}/s, {ratios[-1]:.1f} times that; "
                f"a call p50 {median(together) * 1e3:.2f} ms, p99 {late * 1e3:.2f}, {late / put:.1f} PUTs"
            )
    click.echo(f"median: {median(ratios):.1f} times the rate of one thread")
