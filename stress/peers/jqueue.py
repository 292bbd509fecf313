"""jqueue on S3: 2 worker processes with a ``BrokerQueue`` each, 50 messages per claim, which are
acknowledged together and then counted.

``BrokerQueue`` commits all concurrent requests in one write (its README, "BrokerQueue: group commit"). A whole queue is one
object, so more requests at once mean fewer writes.
"""

from __future__ import annotations

import asyncio
import os

from jqueue import BrokerQueue  # type: ignore[import-not-found, unused-ignore]
from jqueue.adapters.storage.s3 import S3Storage  # type: ignore[import-not-found, unused-ignore]

from stress.bench.work import stamp
from stress.peers import program


def _storage() -> S3Storage:
    return S3Storage(program.bucket(), f"{program.run_id()}.json", region_name="us-east-1", endpoint_url=program.url())


async def enqueue(count: int) -> None:
    async with BrokerQueue(_storage()) as queue:
        await asyncio.gather(*(queue.enqueue("noop", b"") for _ in range(count)))


async def work() -> None:
    # Two that start in one moment would meet at their first write.
    await asyncio.sleep(0.05 * int(os.environ["S3STRESS_WORKER"]))
    async with BrokerQueue(_storage()) as queue:
        while True:
            jobs = await queue.dequeue("noop", batch_size=50)
            await asyncio.gather(*(queue.ack(job.id) for job in jobs))
            for _ in jobs:
                stamp()
            if not jobs:
                await asyncio.sleep(0.01)


if __name__ == "__main__":
    program.main_async(enqueue, work)
