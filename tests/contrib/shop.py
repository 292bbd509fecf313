"""Tasks of Django, for tests."""

from __future__ import annotations

from typing import Any

import s3queue
from s3queue.contrib.django import MessageContext, policy
from s3queue.contrib.django.framework import TaskResult, task

#: What tasks have done, in order.
done: list[Any] = []


@task
def add(a: int, b: int = 1) -> int:
    done.append((a, b))
    return a + b


@task(queue_name="mail")
async def mail(to: str) -> str:
    done.append(to)
    return f"to {to}"


@task(takes_context=True)
@policy(max_attempts=3, backoff=s3queue.Backoff(base=60, cap=60, jitter=False))
def flaky(context: MessageContext, succeeds_at: int) -> int:
    done.append(context.attempt)
    if context.attempt < succeeds_at:
        raise LookupError(f"attempt {context.attempt}")
    return context.attempt


@task(takes_context=True)
@policy(max_attempts=1)
def mended(context: MessageContext) -> str:
    if not done:
        done.append("broken")
        raise OSError("broken")
    return str(mended.get_result(context.task_result.id).status)


@task
@policy(give_up_on=KeyError)
def hopeless() -> None:
    done.append("hopeless")
    raise KeyError("nothing there")


@task
def refused() -> None:
    raise s3queue.Reject("no such customer")


@task(takes_context=True)
def looks_at_itself(context: MessageContext) -> list[Any]:
    found: TaskResult = looks_at_itself.get_result(context.task_result.id)
    done.append((context, found))
    return [found.status, found.attempts, context.message.fencing_token]


@task
@policy(backoff=s3queue.Backoff(base=3600, cap=3600, jitter=False))
def fails_for_an_hour(number: int) -> None:
    raise OSError(number)


@task
def returns_a_set() -> Any:
    return {1}
