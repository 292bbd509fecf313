"""Tasks that note how far they are."""

from __future__ import annotations

from s3queue import Context, task
from tests.runtime.jobs.plain import QUEUE, wait


@task(queue=QUEUE, name="pages")
def pages(ctx: Context, until: int) -> None:
    """One page more with each attempt; tells where it began, and fails."""
    began = ctx.state.get("page", 0)
    for page in range(began, until):
        ctx.progress(page + 1, 10, f"from {began}")
        ctx.state["page"] = page + 1
    raise ValueError(f"began at {began}")


@task(queue=QUEUE, name="notes_then_waits")
def notes_then_waits(ctx: Context, started: str, release: str) -> None:
    for number in range(3):
        ctx.progress(number)
    wait.function(started, release)


@task(queue=QUEUE, name="notes_late")
def notes_late(ctx: Context) -> None:
    """Leaves a thread behind that goes on noting."""
    ctx.progress(1)
    left.append(ctx)


left: list[Context] = []


@task(queue=QUEUE, name="notes_for_another")
def notes_for_another() -> None:
    left[0].progress(99)
