"""Django, its database in a temporary file, and the queue in memory. With pytest-django you need none of this."""

import os
import tempfile

import django
import pytest

os.environ["DJANGO_SETTINGS_MODULE"] = "project.settings"
os.environ["SHOP_DATA"] = tempfile.mkdtemp()
django.setup()


@pytest.fixture(scope="session")
def database():
    from django.core.management import call_command

    call_command("migrate", verbosity=0)


@pytest.fixture
def queue(database, task_queue):
    """The queue of a test, with the tasks of the project. The database is empty."""
    from django.core.management import call_command

    from s3queue.contrib.django import discover

    discover()
    call_command("flush", interactive=False, verbosity=0)
    return task_queue


@pytest.fixture
def settings_check(monkeypatch):
    """What ``manage.py check`` says of other ``OPTIONS``."""
    from django.core.checks import run_checks
    from django.test import override_settings

    monkeypatch.setenv("S3QUEUE_STORE_URL", "memory://")

    def check(options):
        backend = "s3queue.contrib.django.S3QueueBackend"
        with override_settings(TASKS={"default": {"BACKEND": backend, "QUEUES": [], "OPTIONS": options}}):
            return "\n".join(f"{found.msg} {found.hint}" for found in run_checks() if found.id == "s3queue.E001")

    return check
