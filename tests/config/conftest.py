from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from s3queue import config


@pytest.fixture(autouse=True)
def clean_process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """An empty working directory, no variables of ours, nothing configured; and the same afterwards."""
    monkeypatch.chdir(tmp_path)
    for name in list(os.environ):
        if name.startswith("S3QUEUE_"):
            monkeypatch.delenv(name)
    config.configure()
    yield
    config.configure()
