"""buquet on S3: 2 worker processes, each with half of the 16 shards, polling every 10 ms.

With separate shards, workers do not compete for one message (its guide, "Shards"). Messages are submitted with
``submit_many``. Its monitor runs in the worker (the default).
"""

from __future__ import annotations

import os
from typing import Any

import buquet  # type: ignore[import-not-found, unused-ignore]

from stress.bench.work import stamp
from stress.peers import program


async def _queue() -> Any:
    return await buquet.connect(endpoint=program.url(), bucket=program.bucket(), region="us-east-1")


async def enqueue(count: int) -> None:
    queue = await _queue()
    for start in range(0, count, 100):
        await queue.submit_many([("noop", {})] * min(100, count - start))


async def work() -> None:
    number = int(os.environ["S3STRESS_WORKER"])
    shards = [f"{shard:x}" for shard in range(16) if shard % 2 == number % 2]
    worker = buquet.Worker(await _queue(), f"worker-{number}", shards)

    async def noop(input: object) -> dict[str, bool]:
        stamp()
        return {"ok": True}

    worker.task("noop")(noop)
    await worker.run(buquet.WorkerRunOptions(poll_interval_ms=10))


if __name__ == "__main__":
    program.main_async(enqueue, work)
