"""A shop with RQ.

Run it: ``rq worker shop --with-scheduler``, ``rq cron before.py``, and ``python -c 'import before; before.main()'``
for three orders.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from redis import Redis
from rq import Queue, Retry, get_current_job
from rq.cron import register

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


def charge(order: str, cents: int) -> Any:
    job = get_current_job()
    try:
        paid = bank(job.id, order, cents)
    except ConnectionError:
        return Retry(max=5, interval=[1, 2, 4, 8, 16])  # only this error: `retry=` of enqueue is for every exception
    job.meta["paid"] = cents
    job.save_meta()
    return paid


def send(order: str, to: str) -> None:
    paid = get_current_job().dependency.return_value()
    mail(to, f"{order}: {paid}")


def report() -> None:
    charges = len(list(OUTBOX.glob("charge-*")))
    mail("boss", f"{charges} charges")


def place(queue: Queue, order: str, cents: int, to: str) -> Any:
    charged = queue.enqueue(charge, order, cents, job_timeout=30, result_ttl=3600)
    queue.enqueue(send, order, to, depends_on=charged, retry=Retry(max=5))
    return charged


register(report, queue_name="shop", cron="30 2 * * *")  # in the time zone of the machine


def main() -> None:
    queue = Queue("shop", connection=Redis())
    place(queue, "A", 1999, "ada")
    place(queue, "B", 500, "bob")
    place(queue, "C", 1_000_000, "cy")
