"""A store of this machine that answers as late as a remote one, and counts as billed.

For real runs that show the effect of pacing on a remote store, without a bucket. The latencies are those of
`stress.scale.models`, drawn for each request.
"""

from __future__ import annotations

import random
import time
from collections.abc import Sequence

from s3queue.store import Capabilities, Conflict, Found, Listed, Missing, ObjectStore, Stored, Unchanged, open_store
from stress.scale.models import MODELS, Model


class Remote:
    """Any store, with the latencies of a model."""

    def __init__(self, store: ObjectStore, model: Model) -> None:
        self._store, self._model = store, model

    @property
    def capabilities(self) -> Capabilities:
        return self._store.capabilities._replace(min_rewrite_s=self._model.min_rewrite_s, requests_cost=True)

    @property
    def url(self) -> str:
        return self._store.url

    def _wait(self, kind: str) -> None:
        time.sleep(self._model.latency_s(kind, 0, random.gauss(0.0, 1.0)))

    def get(self, key: str, *, unless: str | None = None) -> Found | Unchanged | Missing:
        self._wait("get")
        return self._store.get(key, unless=unless)

    def put(self, key: str, body: bytes, *, if_version: str | None) -> Stored | Conflict:
        self._wait("put")
        return self._store.put(key, body, if_version=if_version)

    def delete(self, keys: Sequence[str]) -> None:
        self._wait("delete")
        self._store.delete(keys)

    def list(self, prefix: str, *, after: str = "", limit: int = 1000) -> Sequence[Listed]:
        self._wait("list")
        return self._store.list(prefix, after=after, limit=limit)

    def close(self) -> None:
        self._store.close()


def open_remote(url: str, model: str = "") -> ObjectStore:
    """The store, with the latencies of a model if one is named."""
    store = open_store(url)
    return Remote(store, MODELS[model]) if model else store
