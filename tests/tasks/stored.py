"""What was stored, and stores that lose requests."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
from s3queue_backends.memory import MemoryStore

from s3queue import StoreUnavailable
from s3queue.core.keys import Layout
from s3queue.core.records import decode_batch, decode_message
from s3queue.errors import OutcomeUnknown
from s3queue.store import Conflict, Found, Listed, Missing, Stored, Unchanged

LAYOUT = Layout()


class Troubled:
    """A store whose puts of batches go wrong as told: each entry is done to one put, then it works."""

    def __init__(self, *troubles: str) -> None:
        self.troubles = list(troubles)
        self.inner = MemoryStore()
        self.sent: list[tuple[str, bytes]] = []
        self.capabilities = self.inner.capabilities
        self.url = self.inner.url

    def put(self, key: str, body: bytes, *, if_version: str | None) -> Stored | Conflict:
        if not key.startswith(LAYOUT.home):
            return self.inner.put(key, body, if_version=if_version)
        self.sent.append((key, body))
        return self.put_as_told(key, body, if_version)

    def put_as_told(self, key: str, body: bytes, if_version: str | None) -> Stored | Conflict:
        trouble = self.troubles.pop(0) if self.troubles else ""
        if trouble == "unavailable":
            raise StoreUnavailable("put", key)
        if trouble == "lost":
            raise OutcomeUnknown("put", key)
        outcome = self.inner.put(key, body, if_version=if_version)
        if trouble == "landed":
            raise OutcomeUnknown("put", key)
        return outcome

    def get(self, key: str, *, unless: str | None = None) -> Found | Unchanged | Missing:
        return self.inner.get(key, unless=unless)

    def delete(self, keys: Sequence[str]) -> None:
        self.inner.delete(keys)

    def list(self, prefix: str, *, after: str = "", limit: int = 1000) -> Sequence[Listed]:
        return self.inner.list(prefix, after=after, limit=limit)

    def close(self) -> None:
        self.inner.close()


def batches(store: Any) -> list[tuple[str, list[Any]]]:
    """Path and payloads of every batch, in the order of the listing."""
    found: list[tuple[str, list[Any]]] = []
    for item in store.list(LAYOUT.inbox):
        got = store.get(item.key)
        assert isinstance(got, Found)
        messages = [decode_message(item.key, raw) for raw in decode_batch(item.key, got.body).messages]
        found.append((LAYOUT.path(item.key), [msgspec.msgpack.decode(message.payload) for message in messages]))
    return found


def calls_in(store: MemoryStore) -> list[tuple[str, Any]]:
    """Task and payload of every message in the store, in order."""
    found: list[tuple[str, Any]] = []
    for item in store.list("s3queue/p00/"):
        got = store.get(item.key)
        assert isinstance(got, Found)
        for raw in decode_batch(item.key, got.body).messages:
            message = decode_message(item.key, raw)
            found.append((message.task, msgspec.msgpack.decode(message.payload)))
    return found


def stored(store: Any) -> list[Any]:
    """Payloads of all messages, in the order of the listing."""
    return [payload for _, payloads in batches(store) for payload in payloads]
