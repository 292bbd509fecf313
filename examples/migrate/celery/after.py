"""The shop of before.py with s3queue.

Run it: ``s3queue run after``, which keeps the schedule, too, and ``python after.py`` for three orders.
"""

from __future__ import annotations

import os
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


@s3queue.task(
    "shop",
    max_attempts=6,
    backoff=s3queue.Backoff(base=1, cap=60),
    retry_on=ConnectionError,  # anything else is a dead letter at once
    time_limit=30,
    result_ttl=3600,
)
def charge(ctx: s3queue.Context, order: str, cents: int, to: str) -> str:
    paid = bank(ctx.message_id, order, cents)
    # The next step is enqueued here. If this attempt is repeated, the second call finds the first one's message.
    send.options(dedup_id=f"receipt-{order}").enqueue(paid, order, to)
    return paid


@s3queue.task("shop", max_attempts=6)
def send(paid: str, order: str, to: str) -> None:
    mail(to, f"{order}: {paid}")


@s3queue.task("shop", cron="30 2 * * *", tz="Europe/Berlin")
def report() -> None:
    charges = len(list(OUTBOX.glob("charge-*")))
    mail("boss", f"{charges} charges")


def place(order: str, cents: int, to: str) -> s3queue.MessageId[str]:
    return charge.enqueue(order, cents, to)


if __name__ == "__main__":
    print(place("A", 1999, "ada"))
    print(place("B", 500, "bob"))
    print(place("C", 1_000_000, "cy"))
