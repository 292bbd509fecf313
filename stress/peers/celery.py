"""Celery on Redis: 2 prefork processes, results ignored, set up as its guide advises for many short tasks.

``worker_prefetch_multiplier`` 128 (https://docs.celeryq.dev/en/stable/userguide/optimizing.html, "Prefetch Limits": short
tasks do better with 64 or 128), no gossip, mingle or heartbeat
(https://docs.celeryq.dev/en/stable/userguide/workers.html), no rate limits, no events.
"""

from __future__ import annotations

from celery import Celery  # type: ignore[import-not-found, import-untyped, unused-ignore]

from stress.bench.work import stamp
from stress.peers import program

app = Celery("bench", broker=program.url())
app.conf.update(
    task_ignore_result=True,
    worker_prefetch_multiplier=128,
    worker_disable_rate_limits=True,
    worker_send_task_events=False,
    task_default_queue="bench",
    broker_connection_retry_on_startup=True,
)
noop = app.task(stamp, name="noop")


def enqueue(count: int) -> None:
    # One connection for all of them (https://docs.celeryq.dev/en/stable/userguide/calling.html, "Connections").
    with app.pool.acquire(block=True) as connection, app.amqp.Producer(connection) as producer:
        for _ in range(count):
            noop.apply_async(producer=producer)


if __name__ == "__main__":
    program.main(enqueue)
