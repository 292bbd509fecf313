"""What the options of the backend, and the policies of Django's tasks, may be."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import s3queue
from s3queue.testing.plugin.desk import TaskQueue
from tests.contrib.conftest import framework, shop


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"visibility_timeot": 5}, "visibility_timeout"),
        ({"workers": 0}, "workers"),
        ({"result_ttl": -1}, "result_ttl"),
        ({"enqueue_on_commit": "replica"}, "replica"),
    ],
)
def test_checks_say_what_is_wrong_with_the_options(options: Any, wrong: dict[str, Any], says: str) -> None:
    s3queue.configure(store="memory://")
    options(**wrong)
    (error,) = framework().task_backends["default"].check()
    assert error.id == "s3queue.E001"
    assert says in f"{error.msg} {error.hint}"


def test_a_store_that_nothing_names_is_a_warning_which_stops_no_command(
    options: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("S3QUEUE_STORE_URL", raising=False)
    s3queue.configure()
    options()
    (warning,) = framework().task_backends["default"].check()
    assert (warning.id, warning.is_serious()) == ("s3queue.W001", False)
    options(store="memory://")
    assert framework().task_backends["default"].check() == []


def test_backends_of_all_threads_share_what_they_have_opened(queue: TaskQueue, options: Any) -> None:
    import threading

    from s3queue.contrib.django.framework import task_backends

    options(store="memory://", namespace="shared")
    seen: list[Any] = []
    threads = [threading.Thread(target=lambda: seen.append(task_backends["default"])) for _ in range(2)]
    for thread in threads:
        thread.start()
        thread.join()
    one, other = seen
    assert one is not other, "Django makes one for each"
    assert one.place.store is other.place.store
    assert one.place.queue("mail") is other.place.queue("mail")
    assert one.place.config.namespace == "shared"


def test_a_policy_that_django_has_another_way_for_is_refused(queue: TaskQueue) -> None:
    from s3queue.contrib.django.discovery import _declare
    from s3queue.contrib.django.framework import task_backends

    shop().add.func._s3queue_policy = {"cron": "0 6 * * *"}
    try:
        with pytest.raises(s3queue.ConfigError, match="cron"):
            _declare(shop().add, "default", task_backends["default"])
    finally:
        del shop().add.func._s3queue_policy


def test_every_task_is_known_on_every_queue_and_only_once(queue: TaskQueue) -> None:
    from s3queue.contrib.django import discover
    from s3queue.registry import registry

    names = {task.name for task in registry.tasks("mail")}
    assert "tests.contrib.shop.add" in names
    assert names == {task.name for task in registry.tasks("default")}
    assert discover() == []
    assert len(registry.middleware) == 1
