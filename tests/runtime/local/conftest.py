from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from multiprocess import util


@pytest.fixture(autouse=True)
def base(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A temporary directory of our own, short enough for the path of a socket."""
    tmp_path_factory.getbasetemp()  # made with its first use, and not in what is removed below
    util.get_temp_dir()  # where a fork server that outlives this test has its socket
    directory = Path(tempfile.mkdtemp(prefix="s3q", dir="/tmp"))
    monkeypatch.setattr(tempfile, "tempdir", str(directory))
    yield directory / f"s3queue-{os.getuid()}"
    shutil.rmtree(directory)
