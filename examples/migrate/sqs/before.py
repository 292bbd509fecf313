"""A shop with SQS and Lambda.

A FIFO queue with a redrive policy (maxReceiveCount 3) and an event source mapping with ReportBatchItemFailures call
`handler`; an EventBridge schedule calls `nightly`. `place` enqueues.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import boto3

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


def post(kind: str, order: str, **fields: Any) -> None:
    boto3.client("sqs").send_message(
        QueueUrl=os.environ["QUEUE_URL"],
        MessageBody=json.dumps({"kind": kind, "order": order} | fields),
        MessageGroupId=order,
        MessageDeduplicationId=f"{kind}-{order}",  # counts for five minutes
    )


def place(order: str, cents: int, to: str) -> None:
    post("charge", order, cents=cents, to=to)


def handler(event: dict[str, Any], context: Any) -> dict[str, Any]:
    failures = []
    for record in event["Records"]:
        try:
            take(record["messageId"], json.loads(record["body"]))
        except Exception as error:  # noqa: BLE001
            print(record["messageId"], repr(error))
            failures.append({"itemIdentifier": record["messageId"]})
    return {"batchItemFailures": failures}


def take(key: str, body: dict[str, Any]) -> None:
    order, to = body["order"], body["to"]
    if body["kind"] == "charge":
        post("send", order, to=to, paid=bank(key, order, body["cents"]))
    else:
        mail(to, f"{order}: {body['paid']}")


def nightly(event: dict[str, Any], context: Any) -> None:
    charges = len(list(OUTBOX.glob("charge-*")))
    mail("boss", f"{charges} charges")


if __name__ == "__main__":
    place("A", 1999, "ada")
    place("B", 500, "bob")
    place("C", 1_000_000, "cy")
