"""The stores of a run: behind a proxy for each party, where there is a network to disturb, and left as they were."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

from s3queue.core.ops import list_all
from s3queue.io.drive import Driver
from s3queue.store import ObjectStore
from s3queue.testing.faultproxy import FaultProxy

#: What a client waits for an answer through a proxy, in seconds; late answers take longer.
_PATIENCE_S = 1.0
#: How often a request meets a fault on a network that is otherwise in order.
_RATE = 0.03


def endpoint(url: str) -> str | None:
    """Where the server of a store is, if it speaks plain HTTP."""
    parts = urlsplit(url)
    query = dict(parse_qsl(parts.query))
    if parts.scheme == "minio":
        return f"http://{parts.netloc}" if query.get("secure") == "false" else None
    server = query.get("endpoint", "")
    return server if server.startswith("http://") else None


@contextmanager
def proxied(url: str, seed: str) -> Iterator[tuple[str, FaultProxy]]:
    """The URL of the same store behind a proxy, and the proxy."""
    server = endpoint(url)
    assert server is not None
    with FaultProxy(server, seed=seed, rate=_RATE, delay_s=2 * _PATIENCE_S) as proxy:
        parts = urlsplit(url)
        query = dict(parse_qsl(parts.query)) | {
            "read_timeout_s": str(_PATIENCE_S),
            "connect_timeout_s": str(_PATIENCE_S),
        }
        if parts.scheme == "minio":
            parts = parts._replace(netloc=urlsplit(proxy.address).netloc)
        else:
            query["endpoint"] = proxy.address
        yield urlunsplit(parts._replace(query=urlencode(query, safe=":/"))), proxy


def clean_up(store: ObjectStore, namespace: str) -> None:
    """Leave nothing in a store whose owner may keep other things there."""
    driver = Driver(store)
    keys = [item.key for item in driver.run(list_all(f"{namespace}/"))]
    for start in range(0, len(keys), 1000):
        store.delete(keys[start : start + 1000])
