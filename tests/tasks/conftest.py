from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from s3queue_backends.memory import MemoryStore

from s3queue import config
from s3queue.registry import registry


@pytest.fixture(autouse=True)
def clean_process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """An empty working directory, nothing configured, no tasks; and what there was, afterwards."""
    monkeypatch.chdir(tmp_path)
    for name in list(os.environ):
        if name.startswith("S3QUEUE_"):
            monkeypatch.delenv(name)
    monkeypatch.setattr(registry, "_tasks", {})
    config.configure()
    yield
    config.configure()


@pytest.fixture
def store() -> MemoryStore:
    """The configured store of this process."""
    store = MemoryStore()
    config.configure(store=store)
    return store
