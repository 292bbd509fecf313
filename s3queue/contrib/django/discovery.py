"""Finds the tasks of a project, and registers them for workers."""

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

#: Attribute in which `policy` keeps its options.
_ATTRIBUTE = "_s3queue_policy"


def policy(**options: Any) -> Callable[[F], F]:
    """Set how attempts of a task are made and retried. Below Django's decorator::

        @task(queue_name="mail")
        @policy(max_attempts=5, time_limit=60, give_up_on=SMTPRecipientsRefused)
        def send(user_id): ...

    Args:
        options: of `s3queue.task`: ``max_attempts``, ``backoff``, ``time_limit``, ``soft_time_limit``, ``retry_on``,
            ``give_up_on``, ``result_ttl``, ``on_failure``, ``middleware``, ``max_running`` and so on. Workers read
            them, so the release that runs a message decides. `discover` checks them.
    """

    def keep(function: F) -> F:
        setattr(function, _ATTRIBUTE, options)
        return function

    return keep


def discover() -> list[QueueTask[..., Any]]:
    """Import the modules with tasks, and register the tasks for the workers of this process: each task on each queue of
    each `S3QueueBackend`, since ``using`` may send it there. A further call adds new tasks.

    Modules: ``tasks`` of every installed app, and those in the option ``modules``. Tasks of other modules are found if
    they have been imported.

    Returns:
        The tasks that were added.

    Raises:
        ConfigError: an option of `policy` is unknown or out of range.
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
    """Every imported task: the object at its own import path, as Django itself finds it again."""
    for name, module in list(sys.modules.items()):
        for attribute, value in list(getattr(module, "__dict__", {}).items()):
            # By its type: isinstance would set up lazy objects of other libraries.
            if issubclass(type(value), Task) and value.module_path == f"{name}.{attribute}":
                yield value


def _declare(task: Task, queue: str, backend: S3QueueBackend) -> QueueTask[..., Any]:
    options = {"result_ttl": backend.result_ttl, **getattr(task.func, _ATTRIBUTE, {})}
    if options.get("on_failure") == "drop":
        options["result_ttl"] = None
    unknown = {"batch", "wait", "unique", "ack", "cron", "every", "tz", "catch_up", "name", "queue"} & options.keys()
    if unknown:
        raise ConfigError(
            f"policy of {task.module_path}: unknown {', '.join(sorted(unknown))}", "a Django task does not take it"
        )
    return declare(queue, task.module_path, **options)(runner(task))
