"""The shop of before.py with s3queue.

Run it: ``s3queue run after``, which keeps the schedule, too, and ``python after.py`` for three orders.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import s3queue

OUTBOX = Path(os.environ.get("OUTBOX", "outbox"))
OUTBOX.mkdir(parents=True, exist_ok=True)


class CardDeclined(Exception):
    pass


def bank(key: str, order: str, cents: int) -> str:
    """Stands for a payment provider: the same key charges once. It fails once where there is a file `down-ORDER`."""
    if (down := OUTBOX / f"down-{order}").exists():
        down.unlink()
        raise ConnectionError("the bank does not answer")
    if cents > 100_000:
        raise CardDeclined(order)
    (OUTBOX / f"charge-{order}").write_text(str(cents))
    return f"paid {cents}"


def mail(to: str, text: str) -> None:
    (OUTBOX / f"mail-{to}").write_text(text)


@dataclass
class Order:
    order: str
    cents: int
    to: str


# A handler takes the raw messages of a queue: as many at once as the event source mapping gave, with an outcome for each.
@s3queue.handler("orders", batch=10, wait=0.2, max_attempts=3, backoff=s3queue.Backoff(base=1, cap=60), time_limit=30)
def take(ctx: s3queue.Context, orders: list[Order]) -> list[Exception | None]:
    return [_charge(one.message_id, order) for one, order in zip(ctx.batch, orders, strict=True)]


def _charge(key: str, order: Order) -> Exception | None:
    try:
        paid = bank(key, order.order, order.cents)
    except CardDeclined as declined:
        return s3queue.Reject(declined)  # a dead letter at once, instead of two more receives
    except ConnectionError as error:
        return error
    send.options(dedup_id=f"receipt-{order.order}").enqueue(order.order, order.to, paid)
    return None


@s3queue.task("receipts")
def send(order: str, to: str, paid: str) -> None:
    mail(to, f"{order}: {paid}")


@s3queue.task("reports", cron="30 2 * * *", tz="Europe/Berlin")
def report() -> None:
    charges = len(list(OUTBOX.glob("charge-*")))
    mail("boss", f"{charges} charges")


def place(order: str, cents: int, to: str) -> s3queue.MessageId[None]:
    # One order at a time for each group, in order; the id counts for `dedup_window`.
    return s3queue.Queue("orders").enqueue(Order(order, cents, to), group=order, dedup_id=f"charge-{order}")


if __name__ == "__main__":
    print(place("A", 1999, "ada"))
    print(place("B", 500, "bob"))
    print(place("C", 1_000_000, "cy"))
