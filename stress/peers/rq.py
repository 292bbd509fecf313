"""RQ on Redis: 2 workers of the class ``SimpleWorker``, which runs jobs in its own process instead of forking for each.

Its documentation recommends this for many short jobs (https://python-rq.org/docs/workers/, "Performance Notes").
Results are not kept (``result_ttl=0``). Jobs are enqueued with ``enqueue_many``, 1,000 in a pipeline (https://python-rq.org/docs/,
"Bulk Job Enqueueing").
"""

from __future__ import annotations

from redis import Redis  # type: ignore[import-not-found, unused-ignore]
from rq import Queue  # type: ignore[import-not-found, unused-ignore]

from stress.bench.work import stamp
from stress.peers import program


def enqueue(count: int) -> None:
    queue = Queue("bench", connection=Redis.from_url(program.url()))
    for start in range(0, count, 1000):
        many = min(1000, count - start)
        queue.enqueue_many([Queue.prepare_data(stamp, result_ttl=0) for _ in range(many)])


if __name__ == "__main__":
    program.main(enqueue)
