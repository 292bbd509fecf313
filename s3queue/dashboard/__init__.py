"""A dashboard for people: live pages of one namespace, with the actions of the command line.

`dashboard` makes an ASGI application, to mount in another one or to serve with ``s3queue dashboard``. It needs the
extra ``s3queue[dashboard]``. Nothing else in this library imports this package.
"""

from __future__ import annotations

from s3queue.dashboard.access import Viewer
from s3queue.dashboard.actions import ACTIONS
from s3queue.dashboard.app import dashboard

__all__ = ["ACTIONS", "Viewer", "dashboard"]
