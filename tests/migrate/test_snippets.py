"""The scripts of the guides do what the guides say of them."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

import s3queue
from s3queue import Queue
from s3queue.testing.plugin.desk import TaskQueue
from tests.migrate.conftest import library

GUIDES = Path(__file__).parents[2] / "docs" / "migrate"
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")


def snippet(guide: str, first: str) -> str:
    """The Python of a guide that begins with this."""
    blocks = re.findall(
        r"^ *```python\n(.*?)^ *```", (GUIDES / f"{guide}.md").read_text("utf-8"), re.DOTALL | re.MULTILINE
    )
    (found,) = (block for block in blocks if block.lstrip().startswith(first))
    margin = len(found) - len(found.lstrip())
    return "\n".join(line[margin:] for line in found.splitlines())


@s3queue.task("migrate-rq")
def charge(order: str, cents: int) -> None: ...


def failing(order: str, cents: int) -> None:
    raise OSError(order)


def test_failed_jobs_of_rq_are_sent_again_once_though_the_script_runs_twice(task_queue: TaskQueue) -> None:
    rq = library("rq")
    redis = library("fakeredis").FakeStrictRedis()
    queue = rq.Queue("shop", connection=redis)
    for order in ("A", "B"):
        queue.enqueue(failing, order, cents=5)
    rq.SimpleWorker([queue], connection=redis).work(burst=True)
    assert len(queue.failed_job_registry) == 2

    code = snippet("rq", "queue = ").replace("jobs.charge", f"{__name__}.failing")
    for _ in range(2):
        exec(code, {"rq": rq, "redis": redis, "charge": charge})
    sent = [message.payload for message in task_queue.enqueued(charge)]
    assert sorted(sent, key=str) == [{"order": "A", "cents": 5}, {"order": "B", "cents": 5}]


def test_a_dead_letter_queue_of_sqs_is_moved(task_queue: TaskQueue, monkeypatch: pytest.MonkeyPatch) -> None:
    moto, boto3 = library("moto"), library("boto3")
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "none")
    with moto.mock_aws():
        sqs = boto3.client("sqs", region_name="eu-central-1")
        dead = sqs.create_queue(QueueName="dead")["QueueUrl"]
        for n in range(12):
            sqs.send_message(QueueUrl=dead, MessageBody=json.dumps({"n": n}))
        exec(snippet("sqs", "while found"), {"sqs": sqs, "dead": dead, "Queue": Queue, "json": json})
        left = sqs.get_queue_attributes(QueueUrl=dead, AttributeNames=["ApproximateNumberOfMessages"])["Attributes"]
        assert left == {"ApproximateNumberOfMessages": "0"}
    assert sorted(message.payload["n"] for message in Queue("orders").messages()) == list(range(12))


def test_one_function_is_a_task_of_both_queues(task_queue: TaskQueue) -> None:
    celery = library("celery")
    names: dict[str, Any] = {"app": celery.Celery("both", broker="memory://"), "s3queue": s3queue}
    exec(snippet("index", "def charge"), names)
    names["new_charge"].enqueue("A", 5)
    task_queue.assert_enqueued(names["new_charge"], "A", 5)
    assert names["old_charge"].name == "shop.charge"
