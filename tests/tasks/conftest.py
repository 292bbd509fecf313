from __future__ import annotations

import pytest
from s3queue_backends.memory import MemoryStore

from s3queue import config
from s3queue.registry import registry


@pytest.fixture(autouse=True)
def clean_process(unconfigured: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each test begins without settings and tasks."""
    monkeypatch.setattr(registry, "_tasks", {})


@pytest.fixture
def store() -> MemoryStore:
    """The configured store of this process."""
    store = MemoryStore()
    config.configure(store=store)
    return store
