"""The settings of a small shop. Not for production: the key is known, and DEBUG is on."""

import os
from pathlib import Path

import django

BASE_DIR = Path(__file__).resolve().parent.parent
DATA_DIR = Path(os.environ.get("SHOP_DATA", BASE_DIR))

SECRET_KEY = "known to everybody"
DEBUG = True
ALLOWED_HOSTS = ["*"]
ROOT_URLCONF = "project.urls"
USE_TZ = True
TIME_ZONE = "UTC"  # Django sets it for the process: without it, logs and `stats` show Chicago

INSTALLED_APPS = [
    "shop",
    "s3queue.contrib.django",
    *(["django_tasks"] if django.VERSION < (6, 0) else []),  # the same framework, before it was part of Django
]
DATABASES = {
    "default": {"ENGINE": "django.db.backends.sqlite3", "NAME": DATA_DIR / "shop.sqlite3", "OPTIONS": {"timeout": 20}}
}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

# The store is not named here: S3QUEUE_STORE_URL says where messages are, and tests use one in memory.
TASKS = {
    "default": {
        "BACKEND": "s3queue.contrib.django.S3QueueBackend",
        "QUEUES": ["default", "mail"],
        "OPTIONS": {"result_ttl": 3600, "enqueue_on_commit": True, "workers": 2},
    }
}
