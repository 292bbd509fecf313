"""Resources, and tasks that are given them."""

from __future__ import annotations

from collections.abc import Iterator

from s3queue import given, resource, task
from tests.runtime.jobs.plain import QUEUE, append


@resource
def tool() -> Iterator[list[str]]:
    made: list[str] = []
    yield made
    append.function(made[0], f"closed after {len(made)}")


@task(queue=QUEUE, name="uses_tool")
def uses_tool(path: str, *, it: list[str] = given(tool)) -> None:
    it.append(path)


@task(queue=QUEUE, name="uses_tool_async")
async def uses_tool_async(path: str, *, it: list[str] = given(tool)) -> None:
    it.append(path)


@resource
def broken_tool() -> int:
    raise OSError("the other side is down")


@task(queue=QUEUE, name="lacks_tool", max_attempts=3)
def lacks_tool(*, it: int = given(broken_tool)) -> None: ...
