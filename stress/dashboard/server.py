"""A dashboard in a process of its own: ``python -m stress.dashboard.server URL NAMESPACE``. Its first line is the port; at
its end it prints the requests that its store was asked for, as JSON."""

from __future__ import annotations

import json
import sys
from collections import Counter
from collections.abc import Sequence
from typing import Any

import uvicorn

import s3queue
from s3queue.config import Config
from s3queue.dashboard.access import Access, Viewer, local_hosts
from s3queue.dashboard.actions import ACTIONS
from s3queue.dashboard.app import Dashboard
from s3queue.dashboard.serving import Prefixed, listen, run
from s3queue.store import Capabilities, ObjectStore


class Counted:
    """A store that counts its requests."""

    def __init__(self, store: ObjectStore) -> None:
        self._store = store
        self.asked: Counter[str] = Counter()

    @property
    def capabilities(self) -> Capabilities:
        return self._store.capabilities

    @property
    def url(self) -> str:
        return self._store.url

    def get(self, key: str, *, unless: str | None = None) -> Any:
        self.asked["get"] += 1
        return self._store.get(key, unless=unless)

    def put(self, key: str, body: bytes, *, if_version: str | None) -> Any:
        self.asked["put"] += 1
        return self._store.put(key, body, if_version=if_version)

    def delete(self, keys: Sequence[str]) -> None:
        self.asked["delete"] += 1
        self._store.delete(keys)

    def list(self, prefix: str, *, after: str = "", limit: int = 1000) -> Any:
        self.asked["list"] += 1
        return self._store.list(prefix, after=after, limit=limit)

    def close(self) -> None:
        self._store.close()


def main(url: str, namespace: str) -> None:
    store = Counted(s3queue.open_store(url))
    access = Access(ACTIONS, anybody=Viewer("local"), hosts=local_hosts())
    app = Dashboard(store, access, config=Config(namespace=namespace))
    listener = listen("127.0.0.1", 0)
    print(listener.getsockname()[1], flush=True)
    run(uvicorn.Config(Prefixed(app, ""), log_level="warning", access_log=False, ws="none"), app, listener)
    print(json.dumps(store.asked), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
