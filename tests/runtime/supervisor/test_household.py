from __future__ import annotations

import pytest
from s3queue_backends.memory import MemoryStore

from s3queue import task
from s3queue.config import Config
from s3queue.observe.subscribing import Subscribers
from s3queue.registry import Registry, registry
from s3queue.runtime.supervisor.household import Household, new_session
from s3queue.runtime.supervisor.wishes import Wishes


class Secretive(MemoryStore):
    url = "s3://me:hunter2@bucket/?secret_key=hunter2"


def test_what_runs_is_said_without_secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "_tasks", {})
    tasks, wishes = Registry(), Wishes()
    for queue, name in (("a", "one"), ("a", "two"), ("b", "one")):
        tasks.add(task(queue=queue, name=name)(_nothing))
    what = Household(Secretive(), Config(namespace="ours"), ("a", "b"), 3, 2, tasks, wishes, Subscribers()).described()
    assert "hunter2" not in str(what)
    assert what["store"].startswith("s3://")
    assert (what["namespace"], what["queues"], what["tasks"]) == ("ours", "a,b", 3)
    assert (what["workers"], what["concurrency"], what["pacing"]) == (3, 2, "none")
    wishes.close()


def _nothing() -> None: ...


def test_no_two_sessions_have_one_name() -> None:
    assert new_session() != new_session()
