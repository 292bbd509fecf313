"""What every peer's program has in common. Imports nothing that a peer's environment may lack."""

from __future__ import annotations

import asyncio
import json
import os
import sys
import time
from collections.abc import Awaitable, Callable


def url() -> str:
    """Of the server, or the path of the database file."""
    return os.environ["S3STRESS_URL"]


def bucket() -> str:
    return os.environ["S3STRESS_BUCKET"]


def run_id() -> str:
    """Fresh for each repetition: names queues, prefixes and files."""
    return os.environ["S3STRESS_RUN"]


def login() -> tuple[str, str]:
    return os.environ["AWS_ACCESS_KEY_ID"], os.environ["AWS_SECRET_ACCESS_KEY"]


def main(enqueue: Callable[[int], None], work: Callable[[], None] | None = None) -> None:
    """``enqueue N`` or ``work``."""
    if sys.argv[1] == "work" and work is not None:
        work()
        return
    began, cpu = time.perf_counter(), time.process_time()
    enqueue(int(sys.argv[2]))
    print(json.dumps({"seconds": time.perf_counter() - began, "cpu_s": time.process_time() - cpu}))


def main_async(enqueue: Callable[[int], Awaitable[None]], work: Callable[[], Awaitable[None]]) -> None:
    async def put(count: int) -> None:
        await enqueue(count)

    async def serve() -> None:
        await work()

    main(lambda count: asyncio.run(put(count)), lambda: asyncio.run(serve()))
