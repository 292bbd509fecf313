"""Each shop with the queue it comes from, in memory: what the guides call "before" is what those libraries do."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.deadline import DEADLINE_S
from tests.migrate.conftest import REPORTED, SOLD, left, library

Load = Callable[[str], Any]

#: Of these libraries and what they need; ours are errors all the same.
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")


def test_celery(before: Load, outbox: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    worker = library("celery.contrib.testing.worker")
    monkeypatch.setenv("BROKER", "memory://")
    monkeypatch.setenv("RESULTS", "cache+memory://")
    shop = before("celery")
    with worker.start_worker(shop.app, perform_ping_check=False, pool="solo", shutdown_timeout=60):
        shop.place("A", 1999, "ada").get(timeout=DEADLINE_S)
        shop.place("B", 500, "bob").get(timeout=DEADLINE_S)
        declined = shop.place("C", 1_000_000, "cy").parent
        with pytest.raises(shop.CardDeclined):
            declined.get(timeout=DEADLINE_S)
        assert left(outbox) == SOLD
        assert shop.app.send_task(shop.app.conf.beat_schedule["nightly"]["task"]).get(timeout=DEADLINE_S) == 2
    assert left(outbox) == REPORTED


def test_rq(before: Load, outbox: Path) -> None:
    rq, cron = library("rq"), library("rq.cron")
    connection = library("fakeredis").FakeStrictRedis()
    shop = before("rq")
    queue = rq.Queue("shop", connection=connection)
    shop.place(queue, "A", 1999, "ada")
    shop.place(queue, "B", 500, "bob")
    declined = shop.place(queue, "C", 1_000_000, "cy")
    worker = rq.SimpleWorker([queue], connection=connection)
    worker.work(burst=True)
    assert queue.failed_job_registry.get_job_ids() == [declined.id]

    retried = queue.scheduled_job_registry
    (waiting,) = retried.get_job_ids()  # order B, which the scheduler of a worker would enqueue when its second is over
    retried.remove(waiting)
    queue.enqueue_job(queue.fetch_job(waiting))
    worker.work(burst=True)
    assert left(outbox) == SOLD

    nightly = cron._job_data_registry[-1]
    cron.CronJob(**nightly).enqueue(connection)
    worker.work(burst=True)
    assert left(outbox) == REPORTED


def test_dramatiq(before: Load, outbox: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    dramatiq = library("dramatiq")
    monkeypatch.setenv("BROKER", "stub")
    shop = before("dramatiq")
    broker = dramatiq.get_broker()
    worker = dramatiq.Worker(broker, worker_timeout=50, worker_threads=1)
    worker.start()
    try:
        shop.place("A", 1999, "ada")
        shop.place("B", 500, "bob")
        shop.place("C", 1_000_000, "cy")
        broker.join("shop", fail_fast=False)
        assert left(outbox) == SOLD
        assert [letter.args[0] for letter in broker.dead_letters] == ["C"]
        assert (outbox / "audit").read_text().splitlines() == ["B ConnectionError", "C CardDeclined"]
        shop.report.send()
        broker.join("shop", fail_fast=False)
    finally:
        worker.stop()
    assert left(outbox) == REPORTED


def test_sqs(before: Load, outbox: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    moto, boto3 = library("moto"), library("boto3")
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "none")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-central-1")
    shop = before("sqs")
    with moto.mock_aws():
        sqs = boto3.client("sqs")
        url = sqs.create_queue(QueueName="shop.fifo", Attributes={"FifoQueue": "true", "VisibilityTimeout": "0"})[
            "QueueUrl"
        ]
        monkeypatch.setenv("QUEUE_URL", url)
        shop.place("A", 1999, "ada")
        shop.place("A", 1999, "ada")  # not sent: the same deduplication id
        shop.place("B", 500, "bob")
        shop.place("C", 1_000_000, "cy")
        failed = [set(_poll(sqs, url, shop.handler)) for _ in range(3)]  # maxReceiveCount
        assert failed == [{"B", "C"}, {"C"}, {"C"}]
    assert left(outbox) == SOLD
    shop.nightly({}, None)
    assert left(outbox) == REPORTED


def _poll(sqs: Any, url: str, handler: Callable[..., Any]) -> list[str]:
    """What the event source mapping of Lambda does once. Returns the orders that failed."""
    found = sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10).get("Messages", [])
    event = {"Records": [{"messageId": one["MessageId"], "body": one["Body"]} for one in found]}
    failed = {one["itemIdentifier"] for one in handler(event, None)["batchItemFailures"]}
    for one in found:
        if one["MessageId"] not in failed:
            sqs.delete_message(QueueUrl=url, ReceiptHandle=one["ReceiptHandle"])
    return [json.loads(one["Body"])["order"] for one in found if one["MessageId"] in failed]
