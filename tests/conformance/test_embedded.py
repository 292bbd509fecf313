"""Every check on the stores that need no server."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from s3queue_backends import MemoryStore, SqliteStore

from s3queue.store import ObjectStore
from s3queue.testing import conformance


@pytest.fixture(params=["memory", "memory-shared", "sqlite", "sqlite-not-durable"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[ObjectStore]:
    store: ObjectStore
    match request.param:
        case "memory":
            store = MemoryStore()
        case "memory-shared":
            store = MemoryStore()
            store.share()
        case "sqlite":
            store = SqliteStore(tmp_path / "bucket.db")
        case _:
            store = SqliteStore(tmp_path / "bucket.db", durable=False)
    yield store
    store.close()


@pytest.mark.parametrize("check", [*conformance.CHECKS, *conformance.STRICTER], ids=lambda check: check.__name__)
def test_conforms(store: ObjectStore, check: conformance.Check) -> None:
    conformance.run(check, store)
