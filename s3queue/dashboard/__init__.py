"""A dashboard for people: screens of one namespace, live, and the actions of the command line.

`dashboard` makes an ASGI application, to mount in another or to serve with ``s3queue dashboard``. It needs the extra
``s3queue[dashboard]``. Nothing else in this library imports it.
"""

from __future__ import annotations

from s3queue.dashboard.access import Viewer
from s3queue.dashboard.actions import ACTIONS
from s3queue.dashboard.app import dashboard

__all__ = ["ACTIONS", "Viewer", "dashboard"]
