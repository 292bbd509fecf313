"""Stores with real conditional writes. The one in memory gives equal bodies equal versions, as S3 does."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from s3queue_backends.memory import MemoryStore
from s3queue_backends.sqlite import SqliteStore

from s3queue.store import ObjectStore, open_store
from s3queue.testing.servers import Server


@pytest.fixture(params=["memory", "sqlite"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[ObjectStore]:
    made: ObjectStore = (
        MemoryStore() if request.param == "memory" else SqliteStore(tmp_path / "queue.db", durable=False)
    )
    yield made
    made.close()


@pytest.fixture(params=["s3", "minio", "obstore+s3"])
def server_store(request: pytest.FixtureRequest, seaweedfs_server: Server) -> Iterator[ObjectStore]:
    """A real S3 server, through each SDK."""
    made = open_store(seaweedfs_server.url(request.param, f"regressions-{request.param.replace('+', '-')}"))
    yield made
    made.close()
