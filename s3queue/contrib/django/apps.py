from __future__ import annotations

from django.apps import AppConfig


class S3QueueConfig(AppConfig):
    """Brings ``manage.py s3queue``."""

    name = "s3queue.contrib.django"
    label = "s3queue"
    verbose_name = "s3queue"
