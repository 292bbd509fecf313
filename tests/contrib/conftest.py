from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from s3queue.registry import registry
from s3queue.testing.plugin import task_queue
from s3queue.testing.plugin.desk import TaskQueue

__all__ = ["task_queue"]

BACKEND = "s3queue.contrib.django.S3QueueBackend"
MODULES = ["tests.contrib.shop"]


@pytest.fixture(scope="session")
def django_set_up(tmp_path_factory: pytest.TempPathFactory) -> None:
    django = pytest.importorskip("django", reason="the extra s3queue[django] is not installed")
    from django.conf import settings

    file = tmp_path_factory.mktemp("django") / "database.sqlite3"
    settings.configure(
        DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": str(file)}},
        INSTALLED_APPS=["s3queue.contrib.django"],
        LOGGING_CONFIG=None,
        TASKS={"default": {"BACKEND": BACKEND, "QUEUES": ["default", "mail"], "OPTIONS": {"modules": MODULES}}},
        TIME_ZONE="UTC",
        USE_TZ=True,
    )
    django.setup()


@pytest.fixture
def options(django_set_up: None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Callable[..., None]]:
    """Gives the backend other ``OPTIONS``. Only tasks of Django are known."""
    from django.test import override_settings

    monkeypatch.setattr(registry, "_tasks", {})
    monkeypatch.setattr(registry, "middleware", ())
    given: list[Any] = []

    def give(**changes: Any) -> None:
        tasks = {"BACKEND": BACKEND, "QUEUES": ["default", "mail"], "OPTIONS": {"modules": MODULES} | changes}
        given.append(override_settings(TASKS={"default": tasks}))
        given[-1].enable()

    yield give
    for one in reversed(given):
        one.disable()


@pytest.fixture
def queue(options: Callable[..., None], task_queue: TaskQueue) -> Iterator[TaskQueue]:
    """With the tasks of `tests.contrib.shop`."""
    from s3queue.contrib.django import discover

    discover()
    shop().done.clear()
    yield task_queue
    from django.db import connections

    connections.close_all()


def shop() -> Any:
    """Imported when Django is set up."""
    from tests.contrib import shop as module

    return module


def framework() -> Any:
    from s3queue.contrib.django import framework as module

    return module
