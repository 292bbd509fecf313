"""The module that ``manage.py s3queue run`` serves. Importing it sets up Django and finds the tasks of the project."""

from __future__ import annotations

from django.db import connections

from s3queue.contrib.django.discovery import discover

__all__: list[str] = []

discover()
# Workers are forked from here, and two processes must not share the connection to a database.
connections.close_all()
