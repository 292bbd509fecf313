"""Huey on Redis: 2 worker processes, no results, no periodic tasks, no health checks.

``RedisHuey`` waits for messages in the server and does not poll
(https://huey.readthedocs.io/en/latest/api.html#RedisHuey). ``-k process`` uses both cores. ``-n`` turns the scheduler of
periodic tasks off (https://huey.readthedocs.io/en/latest/consumer.html).
"""

from __future__ import annotations

from huey import RedisHuey  # type: ignore[import-not-found, import-untyped, unused-ignore]

from stress.bench.work import stamp
from stress.peers import program

app = RedisHuey("bench", url=program.url(), results=False)
noop = app.task(name="noop")(stamp)


def enqueue(count: int) -> None:
    for _ in range(count):
        noop()


if __name__ == "__main__":
    program.main(enqueue)
