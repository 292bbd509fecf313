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


class Audit:
    def failed(self, ctx: s3queue.Context, error: BaseException) -> None:
        with (OUTBOX / "audit").open("a") as audit:
            audit.write(f"{ctx.task} {type(error).__name__}\n")


s3queue.use(Audit())


@s3queue.task(
    "shop",
    max_attempts=6,
    backoff=s3queue.Backoff(base=1, cap=60),
    give_up_on=CardDeclined,
    time_limit=30,
)
def charge(ctx: s3queue.Context, order: str, cents: int, to: str) -> None:
    paid = bank(ctx.message_id, order, cents)
    send.options(dedup_id=f"receipt-{order}").enqueue(order, to, paid)


@s3queue.task("shop", max_attempts=6)
def send(order: str, to: str, paid: str) -> None:
    mail(to, f"{order}: {paid}")


@s3queue.task("shop", cron="30 2 * * *", tz="Europe/Berlin")
def report() -> None:
    charges = len(list(OUTBOX.glob("charge-*")))
    mail("boss", f"{charges} charges")


def place(order: str, cents: int, to: str) -> s3queue.MessageId[None]:
    return charge.enqueue(order, cents, to)


if __name__ == "__main__":
    print(place("A", 1999, "ada"))
    print(place("B", 500, "bob"))
    print(place("C", 1_000_000, "cy"))
