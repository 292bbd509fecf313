"""Dramatiq on Redis: 2 processes of 8 threads each, its default number; results off, no metrics server.

``dramatiq_queue_prefetch`` is 256 instead of twice the number of threads, so that one fetch from Redis gets many short
messages (https://dramatiq.io/advanced.html, "environment variables"). One thread was slower than eight here.
"""

from __future__ import annotations

from typing import Any

import dramatiq as library  # type: ignore[import-not-found, unused-ignore]
from dramatiq.brokers import redis  # type: ignore[import-not-found, unused-ignore]

from stress.bench.work import stamp
from stress.peers import program

#: Its annotations do not say all that it takes.
dramatiq: Any = library
brokers: Any = redis

broker = brokers.RedisBroker(url=program.url())
broker.middleware = [one for one in broker.middleware if type(one).__name__ != "Prometheus"]
dramatiq.set_broker(broker)

noop = dramatiq.actor(stamp, actor_name="noop", queue_name="bench")


def enqueue(count: int) -> None:
    for _ in range(count):
        noop.send()


if __name__ == "__main__":
    program.main(enqueue)
