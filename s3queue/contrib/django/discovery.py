"""Finds the tasks of a project, and makes them known to workers."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

from django.apps import apps
from django.utils.module_loading import autodiscover_modules

from s3queue.contrib.django.backend import S3QueueBackend
from s3queue.contrib.django.framework import Task, task_backends
from s3queue.contrib.django.running import runner
from s3queue.decorators import task as declare
from s3queue.errors import ConfigError
from s3queue.middleware.ready import DjangoConnections
from s3queue.registry import registry
from s3queue.tasks import Task as QueueTask

__all__ = ["discover", "policy"]

F = TypeVar("F", bound=Callable[..., Any])

#: Where `policy` keeps what it was given.
_ATTRIBUTE = "_s3queue_policy"


def policy(**options: Any) -> Callable[[F], F]:
    """Say how a task is tried, below Django's decorator::

        @task(queue_name="mail")
        @policy(max_attempts=5, time_limit=60, give_up_on=SMTPRecipientsRefused)
        def send(user_id): ...

    Args:
        options: of `s3queue.task`: ``max_attempts``, ``backoff``, ``time_limit``, ``soft_time_limit``, ``retry_on``,
            ``give_up_on``, ``result_ttl``, ``on_failure``, ``middleware``, ``max_running`` and so on. They are read by
            workers, so another release may say something else.
    """

    def keep(function: F) -> F:
        setattr(function, _ATTRIBUTE, options)
        return function

    return keep


def discover() -> list[QueueTask[..., Any]]:
    """Import the modules with tasks, and have workers of this process serve them: each task on each queue of each backend
    that is an `S3QueueBackend`, since ``using`` may send it there. Calling it again adds what is new.

    Modules: ``tasks`` of every installed app, and those that the option ``modules`` names. Tasks of other modules are found
    if something has imported them.

    Returns:
        What was added.

    Raises:
        ConfigError: `policy` was given something that cannot be meant.
    """
    if not apps.ready:
        import django

        django.setup()
    autodiscover_modules("tasks")
    backends = [one for one in task_backends.all() if isinstance(one, S3QueueBackend)]
    for backend in backends:
        for module in backend.modules:
            importlib.import_module(module)
    if not any(isinstance(one, DjangoConnections) for one in registry.middleware):
        registry.middleware = (DjangoConnections(), *registry.middleware)
    found = list(_found())
    added = []
    for backend in backends:
        for queue in sorted(backend.queues or {task.queue_name for task in found}):
            added += [_declare(task, queue, backend) for task in found if not registry.find(queue, task.module_path)]
    return added


def _found() -> Iterator[Task]:
    """Every task that has been imported: what its own path leads to, as Django itself finds it again."""
    for name, module in list(sys.modules.items()):
        for attribute, value in list(getattr(module, "__dict__", {}).items()):
            # By its type: isinstance would have lazy objects of others set themselves up.
            if issubclass(type(value), Task) and value.module_path == f"{name}.{attribute}":
                yield value


def _declare(task: Task, queue: str, backend: S3QueueBackend) -> QueueTask[..., Any]:
    options = {"result_ttl": backend.result_ttl, **getattr(task.func, _ATTRIBUTE, {})}
    if options.get("on_failure") == "drop":
        options["result_ttl"] = None
    unknown = {"batch", "wait", "unique", "ack", "cron", "every", "tz", "catch_up", "name", "queue"} & options.keys()
    if unknown:
        raise ConfigError(f"policy of {task.module_path}: {', '.join(sorted(unknown))}", "not of tasks of Django")
    return declare(queue, task.module_path, **options)(runner(task))
