"""``manage.py s3queue``: the command line of s3queue, on the store and with the settings of a backend in ``TASKS``."""

from __future__ import annotations

import sys
from argparse import REMAINDER, ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError

import s3queue
from s3queue.contrib.django.backend import S3QueueBackend
from s3queue.contrib.django.framework import DEFAULT_TASK_BACKEND_ALIAS, task_backends


class Command(BaseCommand):
    help = "Run s3queue: 'run' serves the tasks of this project, 'stats', 'top', 'dead' and the others as s3queue does."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "--backend",
            default=DEFAULT_TASK_BACKEND_ALIAS,
            metavar="ALIAS",
            help="Which one of TASKS. [default: default]",
        )
        parser.add_argument("command", nargs=REMAINDER, help="As of s3queue: run --workers 4, stats, dead ls, …")

    def handle(self, *args: Any, **options: Any) -> None:
        from s3queue.cli import main

        backend = task_backends[options["backend"]]
        if not isinstance(backend, S3QueueBackend):
            raise CommandError(f"TASKS[{options['backend']!r}] is a {type(backend).__name__}; give --backend ALIAS")
        s3queue.configure(store=backend.place.store, **backend.settings)
        command: list[str] = options["command"]
        if "--reload" in command:
            from s3queue.cli.reloading import reload

            sys.exit(reload([one for one in sys.argv[1:] if one != "--reload"], Path.cwd(), sys.argv[:1]))
        if command[:1] == ["run"]:
            command = ["run", "s3queue.contrib.django.serving", *_queues(command, backend), *command[1:]]
        main(command)


def _queues(command: list[str], backend: S3QueueBackend) -> list[str]:
    """The queues of this backend, unless the caller names some: other queues may be in another store."""
    if any(one == "--queue" or one.startswith("--queue=") for one in command):
        return []
    return [word for queue in sorted(backend.queues) for word in ("--queue", queue)]
