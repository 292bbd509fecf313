"""Tasks that take several messages at once."""

from __future__ import annotations

import asyncio
import os
from typing import Any

from s3queue import Context, Reject, Retry, task
from s3queue.options.policies import Backoff
from tests.runtime.jobs.plain import QUEUE, append


@task(
    queue=QUEUE,
    name="together",
    batch=4,
    wait=30,
    max_attempts=3,
    time_limit=600,
    backoff=Backoff(base=20, jitter=False),
)
def together(words: list[str]) -> list[BaseException | None] | None:
    """What each word says becomes of it; the last one may speak for all. Paths are told how many there were."""
    outcomes: list[BaseException | None] = []
    for word in words:
        match word:
            case "retry":
                outcomes.append(Retry("again", after=7))
            case "error":
                outcomes.append(ValueError("wrong"))
            case "reject":
                outcomes.append(Reject("never"))
            case "raise":
                raise KeyError("all of them")
            case "few":
                return outcomes[:-1]
            case "exit":
                os._exit(7)
            case _:
                append.function(word, f"{len(words)}") if "/" in word else None
                outcomes.append(None)
    return outcomes


@task(queue=QUEUE, name="at_once", batch=1000, wait=0, max_attempts=3)
async def at_once(ctx: Context, words: list[str]) -> None:
    for one, word in zip(ctx.batch, words, strict=True):
        one.progress(len(words), text=word)
        append.function(word, f"{one.message_id} {one.attempt}")
    if ctx.attempt == 1:
        raise ValueError("once more")


@task(queue=QUEUE, name="until_first_is_cancelled", batch=2, wait=30, max_attempts=3)
async def until_first_is_cancelled(ctx: Context, reports: list[str]) -> None:
    append.function(reports[0], f"running {len(reports)}")
    while not ctx.batch[0].cancelled:
        await asyncio.sleep(0.001)
    append.function(reports[0], f"cancelled {ctx.cancelled}")
    if ctx.cancelled:
        await asyncio.Event().wait()


@task(queue=QUEUE, name="measured", batch=4, wait=30, max_attempts=3, result_ttl=60)
def measured(words: list[str]) -> list[int | ValueError | None] | None:
    """The length of each word, or what it says."""
    if words[-1] == "all none":
        return None
    special: dict[str, Any] = {"wrong": ValueError("wrong"), "none": None, "float": 0.5}
    return [special.get(word, len(word)) for word in words]


@task(queue=QUEUE, name="measured_at_once", batch=1000, wait=0, result_ttl=60)
async def measured_at_once(words: list[str]) -> list[int]:
    return [len(word) for word in words]
