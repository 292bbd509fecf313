from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from s3queue_backends.sqlite import SqliteStore

from s3queue.store import ObjectStore
from tests.runtime.desk import Pipe


@pytest.fixture
def store(tmp_path: Path) -> Iterator[ObjectStore]:
    it = SqliteStore(str(tmp_path / "store.db"))
    yield it
    it.close()


@pytest.fixture
def pipe(tmp_path: Path) -> Iterator[Callable[[str], Pipe]]:
    pipes: list[Pipe] = []

    def make(name: str) -> Pipe:
        pipes.append(Pipe(tmp_path / name))
        return pipes[-1]

    yield make
    for it in pipes:
        it.close()
