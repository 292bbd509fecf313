"""Tasks that acknowledge their messages by hand."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable

from s3queue import Context, Reject, task
from s3queue.options.policies import Backoff
from tests.runtime.jobs.plain import QUEUE


@task(
    queue=QUEUE,
    name="by_hand",
    max_attempts=3,
    give_up_on=KeyError,
    backoff=Backoff(base=20, jitter=False),
    ack="manual",
)
def by_hand(ctx: Context, *words: str) -> None:
    said: dict[str, Callable[[], object]] = {
        "ack": ctx.ack,
        "nack": lambda: ctx.nack("not today"),
        "soon": lambda: ctx.nack("not now", after=7.0),
        "key": lambda: ctx.nack(KeyError("gone")),
        "reject": lambda: ctx.nack(Reject("never")),
        "raise": lambda: (_ for _ in ()).throw(ValueError("after all")),
        "exit": lambda: sys.exit(3),
    }
    for word in words:
        said[word]()


@task(queue=QUEUE, name="by_hand_async", max_attempts=3, soft_time_limit=0.05, ack="manual")
async def by_hand_async(ctx: Context, *words: str) -> None:
    for word in words:
        match word:
            case "ack":
                ctx.ack()
            case "nack":
                ctx.nack("not today")
            case "hang":
                await asyncio.Event().wait()


@task(queue=QUEUE, name="acks_by_itself")
def acks_by_itself(ctx: Context) -> None:
    ctx.ack()
