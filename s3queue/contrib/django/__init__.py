"""Django's Tasks framework on a bucket: a backend for ``django.tasks``, and ``manage.py s3queue``.

::

    INSTALLED_APPS = [..., "s3queue.contrib.django"]
    TASKS = {
        "default": {
            "BACKEND": "s3queue.contrib.django.S3QueueBackend",
            "QUEUES": ["default", "mail"],
            "OPTIONS": {"store": "s3://jobs/production"},
        }
    }

Needs Django 6.0, or Django 5.2 and the package ``django-tasks``, which is the same framework for releases before 6.0.
"""

from __future__ import annotations

from s3queue.contrib.django.backend import S3QueueBackend
from s3queue.contrib.django.discovery import discover, policy
from s3queue.contrib.django.running import MessageContext

__all__ = ["MessageContext", "S3QueueBackend", "discover", "policy"]
