"""`s3queue stats` on a mistyped path of a SQLite file made that file, and said that the queue is empty for ever after."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from s3queue.operate.inspection import stats
from s3queue.store import open_store
from tests.deadline import DEADLINE_S


@pytest.mark.parametrize("command", [("stats",), ("stats", "--json")])
def test_stats_of_a_file_that_is_not_there_makes_none(tmp_path: Path, command: tuple[str, ...]) -> None:
    url = f"sqlite:///{tmp_path / 'mistyped.db'}"
    program = [sys.executable, "-c", "from s3queue.cli import main; main()", *command, "--store", url]
    done = subprocess.run(program, capture_output=True, text=True, timeout=DEADLINE_S, check=False)
    assert done.returncode == 0, done.stderr
    assert list(tmp_path.iterdir()) == []


def test_stats_below_a_folder_that_is_not_there_says_so(tmp_path: Path) -> None:
    store = open_store(f"sqlite:///{tmp_path / 'no such folder' / 'queue.db'}")
    with pytest.raises(Exception, match=r"does not exist \(create it, or correct the path\)"):
        stats(store, "s3queue", exact=True)
    assert list(tmp_path.iterdir()) == []
