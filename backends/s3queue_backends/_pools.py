"""Connection pools, for the backends whose SDK uses urllib3."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

from urllib3.exceptions import ConnectTimeoutError, NameResolutionError, NewConnectionError

from s3queue_backends._s3 import IDLE_S

#: Errors after which nothing can have reached the server: there was no connection, to it or to a proxy. Any other may
#: come after sending; `SSLError` and `ProxyError` are raised for faults at any time.
NEVER_CONNECTED = (NewConnectionError, NameResolutionError, ConnectTimeoutError)


def never_idle(classes: Mapping[str, type]) -> dict[str, type]:
    """urllib3's connection pools, by scheme, that do not reuse connections after `IDLE_S`."""
    return {scheme: type(f"NeverIdle{kind.__name__}", (_NeverIdle, kind), {}) for scheme, kind in classes.items()}


class _NeverIdle:
    """A mixin before a `urllib3.HTTPConnectionPool`."""

    pool: Any  # queue.LifoQueue, or None once it is closed
    _looked_at = 0.0

    def _put_conn(self, conn: Any) -> None:
        now = time.monotonic()
        if conn is not None:
            conn.idle_since = now
        super()._put_conn(conn)  # type: ignore[misc]
        if now - self._looked_at > IDLE_S:
            self._looked_at = now
            self._close_idle(now)

    def _close_idle(self, now: float) -> None:
        """Close connections that will not be reused, so that many requests at once leave no files open."""
        pool = self.pool
        if pool is not None:
            with pool.mutex:
                for conn in pool.queue:
                    if conn is not None and now - getattr(conn, "idle_since", now) > IDLE_S:
                        conn.close()

    def _get_conn(self, timeout: float | None = None) -> Any:
        conn = super()._get_conn(timeout)  # type: ignore[misc]
        if time.monotonic() - getattr(conn, "idle_since", time.monotonic()) > IDLE_S:
            conn.close()  # it opens a new one when it is asked
        return conn
