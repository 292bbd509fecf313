"""pawn-queue on S3: 2 consumers, conditional writes, 10 messages per poll (its default), no pause between polls.

``conditional_write`` is its fast strategy: it does not wait, as the other one does, and the server here supports it (its
README, "Strategy: conditional_write"). ``max_messages_per_poll`` and ``interval_seconds`` are its throughput settings
(README, "Configuration"). Messages of one poll are acknowledged together and then counted.
"""

from __future__ import annotations

import asyncio
import os
from typing import Any

from pawn_queue import PawnQueueBuilder  # type: ignore[import-not-found, unused-ignore]

from stress.bench.work import stamp
from stress.peers import program


async def _open() -> Any:
    key, secret = program.login()
    return await (
        PawnQueueBuilder()
        .s3(
            endpoint_url=program.url(),
            bucket_name=program.bucket(),
            access_key=key,
            secret_key=secret,
            region_name="us-east-1",
            use_ssl=False,
        )
        .polling(interval_seconds=1, max_messages_per_poll=10)
        .concurrency(strategy="conditional_write")
        .build()
    )


async def enqueue(count: int) -> None:
    async with await _open() as queue:
        await queue.create_topic(program.run_id())
        producer = await queue.register_producer("bench")
        for start in range(0, count, 16):
            await asyncio.gather(*(producer.publish(program.run_id(), {}) for _ in range(min(16, count - start))))


async def work() -> None:
    async with await _open() as queue:
        consumer = await queue.register_consumer(f"worker-{os.environ['S3STRESS_WORKER']}", topics=[program.run_id()])
        while True:
            messages = await consumer.poll()
            await asyncio.gather(*(message.ack() for message in messages))
            for _ in messages:
                stamp()


if __name__ == "__main__":
    program.main_async(enqueue, work)
