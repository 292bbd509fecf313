"""Policies against the keys that are really touched: a store that allows what the policy allows, and nothing else."""

from __future__ import annotations

import json
from collections.abc import Sequence
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import pytest
from s3queue_backends.memory import MemoryStore
from s3queue_backends.sqlite import SqliteStore

import s3queue
from s3queue import ConfigError, Queue, StoreDenied, stats
from s3queue.core import keys
from s3queue.core.keys import Layout, patterns
from s3queue.operate.bucket_policies import Role, bucket_of, policy
from s3queue.registry import Registry
from s3queue.store import ObjectStore
from tests.cli.conftest import Invoke
from tests.processes.host import drain
from tests.processes.jobs import QUEUE, quick


class Guarded:
    """A bucket under a policy, judged as S3 does."""

    def __init__(self, store: ObjectStore, role: Role, queue: str | None = None, prefix: str = "") -> None:
        self._store, self._prefix = store, prefix
        self._statements = policy(role, "b", prefix, "s3queue", queue)["Statement"]
        self.asked: set[tuple[str, str]] = set()

    @property
    def capabilities(self) -> Any:
        return self._store.capabilities

    @property
    def url(self) -> str:
        return self._store.url

    def get(self, key: str, *, unless: str | None = None) -> Any:
        self._check("s3:GetObject", key)
        return self._store.get(key, unless=unless)

    def put(self, key: str, body: bytes, *, if_version: str | None) -> Any:
        self._check("s3:PutObject", key)
        return self._store.put(key, body, if_version=if_version)

    def delete(self, keys: Sequence[str]) -> None:
        for key in keys:
            self._check("s3:DeleteObject", key)
        self._store.delete(keys)

    def list(self, prefix: str, *, after: str = "", limit: int = 1000) -> Any:
        self._check("s3:ListBucket", prefix)
        return self._store.list(prefix, after=after, limit=limit)

    def close(self) -> None: ...

    def _check(self, action: str, key: str) -> None:
        self.asked.add((action, key))
        if not any(action in it["Action"] and self._fits(it, self._prefix + key) for it in self._statements):
            raise StoreDenied(action, key)

    @staticmethod
    def _fits(statement: dict[str, Any], key: str) -> bool:
        condition = statement.get("Condition")
        if condition is not None:
            return any(fnmatchcase(key, it) for it in condition["StringLikeIfExists"]["s3:prefix"])
        return any(fnmatchcase(f"arn:aws:s3:::b/{key}", it) for it in statement["Resource"])


@pytest.fixture
def store(tmp_path: Path) -> SqliteStore:
    return SqliteStore(str(tmp_path / "store.db"))


def test_producer_may_enqueue_in_every_way_to_its_queue_and_to_no_other() -> None:
    inside = MemoryStore()
    store = Guarded(inside, "producer", "mail-out", "deep/")
    queue = Queue("mail-out", store)
    message = queue.enqueue(1)
    queue.enqueue(2, delay=60, group="a-b/c")
    queue.enqueue_many([3, 4], priority=9, key="tenant-1")
    assert queue.enqueue(5, dedup_id="order-7") == queue.enqueue(5, dedup_id="order-7")
    queue.enqueue(6, unique=True)
    assert s3queue.message(message, store).status() in ("ready", "unknown")
    for other in ("mail", "out", "mail-out-2"):
        with pytest.raises(StoreDenied):
            Queue(other, store).enqueue(1)
    layout = Layout()
    with pytest.raises(StoreDenied):
        store.delete([layout.board])
    with pytest.raises(StoreDenied):
        store.put(layout.control, b"{}", if_version=None)
    assert {action for action, _ in store.asked} >= {"s3:PutObject", "s3:GetObject"}


def test_producer_may_not_have_a_message_withdrawn_and_is_told_so(caplog: pytest.LogCaptureFixture) -> None:
    queue = Queue("mail", Guarded(MemoryStore(), "producer", "mail"))
    first = queue.enqueue(1, debounce=60, dedup_id="a")
    assert queue.enqueue(2, debounce=60, dedup_id="a") != first
    assert "may run as well as the one that replaces it" in caplog.text


def test_worker_may_do_what_a_host_does(store: SqliteStore, tmp_path: Path) -> None:
    for number in range(3):
        quick.options(store=store).enqueue(str(tmp_path / "runs"), number)
    guarded, tasks = Guarded(store, "worker"), Registry()
    tasks.add(quick)
    summary = drain(guarded, queues=[QUEUE], workers=1, tasks=tasks)
    assert summary.drained
    assert stats(store).queues[QUEUE].done == 3
    with pytest.raises(StoreDenied):
        guarded.get("other/p00/board")


def test_viewer_may_look_at_everything_of_its_queue_and_change_nothing() -> None:
    inside = MemoryStore()
    Queue("mail", inside).enqueue({"n": 1})
    Queue("mail", inside).enqueue({"n": 2}, delay=60)
    Queue("post", inside).enqueue({"n": 3})
    store = Guarded(inside, "viewer", "mail")
    assert stats(store, exact=True).queues["mail"].ready == 1
    assert len(list(Queue("mail", store).messages())) == 2
    assert list(Queue("mail", store).dead_letters()) == []
    with pytest.raises(StoreDenied):
        list(Queue("post", store).messages())
    with pytest.raises(StoreDenied):
        Queue("mail", store).enqueue(4)
    with pytest.raises(StoreDenied):
        Queue("mail", store).pause(wait=False)


def test_operator_may_pause_and_cancel() -> None:
    inside = MemoryStore()
    message = Queue("mail", inside).enqueue(1)
    store = Guarded(inside, "operator")
    Queue("mail", store).pause(wait=False)
    with pytest.raises(TimeoutError):  # nobody leads
        s3queue.message(message, store).cancel(timeout=0.0)
    with pytest.raises(StoreDenied):
        Queue("mail", store).enqueue(2)


def test_every_kind_of_key_is_in_a_policy_or_known_to_be_for_hosts_alone() -> None:
    written = {line.split("/")[1] for line in (keys.__doc__ or "").splitlines() if line.startswith("    {root}/")}
    named = {pattern.split("/")[1] for kind in patterns("s3queue").values() for pattern in kind}
    assert {one.replace("{part}", "p??") for one in written} - named == {"retired", "lost"}


def test_policy_is_printed_for_the_bucket_of_the_store(s3queue: Invoke, capsys: pytest.CaptureFixture[str]) -> None:
    status = s3queue(
        "policy", "--role", "producer", "--queue", "mail", "--store", "s3://jobs/prod?endpoint=http://127.0.0.1:1",
        "--principal", "arn:aws:iam::1:role/web",
    )  # fmt: skip
    assert status == 0
    told = json.loads(capsys.readouterr().out)
    assert all(it["Principal"] == {"AWS": "arn:aws:iam::1:role/web"} for it in told["Statement"])
    resources = [resource for it in told["Statement"] for resource in it["Resource"]]
    assert "arn:aws:s3:::jobs/prod/s3queue/p??/in/mail/*" in resources
    assert "arn:aws:s3:::jobs" in resources


@pytest.mark.parametrize(
    ("url", "place"),
    [
        ("s3://jobs", ("jobs", "")),
        ("s3://jobs/a/b/", ("jobs", "a/b/")),
        ("minio://127.0.0.1:9000/jobs/a?secure=false", ("jobs", "a/")),
        ("obstore+s3://jobs/a", ("jobs", "a/")),
    ],
)
def test_bucket_and_prefix_are_those_of_the_url(url: str, place: tuple[str, str]) -> None:
    assert bucket_of(url) == place


@pytest.mark.parametrize("url", ["sqlite:///x.db", "gs://b/p", "minio://host/"])
def test_store_without_such_policies_is_refused(url: str) -> None:
    with pytest.raises(ConfigError):
        bucket_of(url)
