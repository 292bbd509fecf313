from __future__ import annotations

import pytest

from s3queue.store import ObjectStore


@pytest.fixture
def store(disk: ObjectStore) -> ObjectStore:
    return disk
