"""An application, as a user of the plugin has one."""

from __future__ import annotations

from datetime import timedelta

import s3queue

sent: list[object] = []
#: Not among `sent`: a test that moves the clock may do so shortly before a full hour.
ticks: list[object] = []
charged: dict[str, int] = {}


def smtp(user: str) -> None:
    raise AssertionError("a test is to patch this")


def charge(order: str) -> None:
    charged[order] = charged.get(order, 0) + 1


@s3queue.task("shop", "welcome", backoff=s3queue.Backoff(base=600, jitter=False))
def welcome(user: str, greeting: str = "hello") -> None:
    smtp(user)


@s3queue.task("shop", "pay")
def pay(order: str) -> None:
    charge(order)


@s3queue.task("shop", "pay_once")
def pay_once(ctx: s3queue.Context, order: str) -> None:
    if ctx.message_id not in charged:
        charged[ctx.message_id] = 1


@s3queue.task("shop", "later")
async def later(n: int) -> None:
    sent.append(n)
    if n:
        await later.options(delay=timedelta(days=1)).aenqueue(n - 1)


@s3queue.task("shop", "hourly", cron="0 * * * *")
def hourly(ctx: s3queue.Context) -> None:
    ticks.append(ctx.tick)


@s3queue.task("shop", "fails", max_attempts=3)
def fails(n: int) -> None:
    raise ValueError(f"no {n}")


@s3queue.task("shop", "total", result_ttl=60)
def total(a: int, b: int) -> int:
    return a + b
