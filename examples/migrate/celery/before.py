"""A shop with Celery.

Run it: ``celery -A before worker``, ``celery -A before beat``, and ``python before.py`` for three orders.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from celery import Celery, chain
from celery.schedules import crontab

app = Celery(
    "before",
    broker=os.environ.get("BROKER", "redis://localhost"),
    backend=os.environ.get("RESULTS", "redis://localhost"),
)
app.conf.update(
    task_acks_late=True,  # the default loses a task with its worker
    task_reject_on_worker_lost=True,
    timezone="Europe/Berlin",
    beat_schedule={"nightly": {"task": "before.report", "schedule": crontab(hour=2, minute=30)}},
)

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


@app.task(
    bind=True, autoretry_for=(ConnectionError,), retry_backoff=1, retry_backoff_max=60, max_retries=5, time_limit=30
)
def charge(self: Any, order: str, cents: int) -> str:
    return bank(self.request.id, order, cents)


@app.task(max_retries=5)
def send(paid: str, order: str, to: str) -> None:
    mail(to, f"{order}: {paid}")


@app.task
def report() -> int:
    charges = len(list(OUTBOX.glob("charge-*")))
    mail("boss", f"{charges} charges")
    return charges


def place(order: str, cents: int, to: str) -> Any:
    return chain(charge.s(order, cents), send.s(order, to)).apply_async()


if __name__ == "__main__":
    place("A", 1999, "ada")
    place("B", 500, "bob")
    place("C", 1_000_000, "cy")
