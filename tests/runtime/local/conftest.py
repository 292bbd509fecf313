from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from multiprocess import util


@pytest.fixture(autouse=True)
def base(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A temporary directory of our own, short enough for the path of a socket."""
    util.get_temp_dir()  # where a fork server that outlives this test has its socket
    directory = Path(tempfile.mkdtemp(prefix="s3q", dir="/tmp"))
    monkeypatch.setattr(tempfile, "tempdir", str(directory))
    yield directory / f"s3queue-{os.getuid()}"
    shutil.rmtree(directory)
