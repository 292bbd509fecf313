"""A shop with Dramatiq.

Run it: ``dramatiq before``, and ``python before.py`` for three orders. Dramatiq has no schedules: cron, or
APScheduler, sends the report.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import dramatiq
from dramatiq.brokers.redis import RedisBroker
from dramatiq.brokers.stub import StubBroker
from dramatiq.middleware import CurrentMessage

if os.environ.get("BROKER") == "stub":  # for tests
    dramatiq.set_broker(StubBroker())
else:
    dramatiq.set_broker(RedisBroker(url=os.environ.get("BROKER", "redis://localhost")))
dramatiq.get_broker().add_middleware(CurrentMessage())

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


class Audit(dramatiq.Middleware):
    def after_process_message(self, broker: Any, message: Any, *, result: Any = None, exception: Any = None) -> None:
        if exception is not None:
            with (OUTBOX / "audit").open("a") as audit:
                audit.write(f"{message.args[0]} {type(exception).__name__}\n")


dramatiq.get_broker().add_middleware(Audit())


@dramatiq.actor(
    queue_name="shop", max_retries=5, min_backoff=1_000, max_backoff=60_000, throws=CardDeclined, time_limit=30_000
)
def charge(order: str, cents: int) -> str:
    return bank(CurrentMessage.get_current_message().message_id, order, cents)


@dramatiq.actor(queue_name="shop", max_retries=5)
def send(order: str, to: str, paid: str) -> None:
    mail(to, f"{order}: {paid}")


@dramatiq.actor(queue_name="shop")
def report() -> None:
    charges = len(list(OUTBOX.glob("charge-*")))
    mail("boss", f"{charges} charges")


def place(order: str, cents: int, to: str) -> Any:
    return (charge.message(order, cents) | send.message(order, to)).run()


if __name__ == "__main__":
    place("A", 1999, "ada")
    place("B", 500, "bob")
    place("C", 1_000_000, "cy")
