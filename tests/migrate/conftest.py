"""The examples of the guides, each imported under the names ``before`` and ``after`` that its folder gives it."""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from s3queue.testing.plugin import task_queue

__all__ = ["task_queue"]

EXAMPLES = Path(__file__).parents[2] / "examples" / "migrate"


def library(name: str) -> Any:
    """A library of the dependency group ``migrate``. Where it is missing the test is skipped, and fails in CI."""
    try:
        return importlib.import_module(name)
    except ImportError as missing:
        reason = f"{missing}; pip install the dependency group 'migrate'"
        if os.environ.get("CI"):
            pytest.fail(reason)
        pytest.skip(reason)


@pytest.fixture
def outbox(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where a shop leaves its charges and mails. The bank is down for the first attempt of order B."""
    folder = tmp_path / "outbox"
    folder.mkdir()
    (folder / "down-B").touch()
    monkeypatch.setenv("OUTBOX", str(folder))
    return folder


@pytest.fixture
def before(outbox: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str], Any]]:
    """Imports ``before.py`` of a folder, as its own workers do: by this name."""

    def load(folder: str) -> Any:
        monkeypatch.syspath_prepend(str(EXAMPLES / folder))
        return importlib.import_module("before")

    sys.modules.pop("before", None)
    yield load
    sys.modules.pop("before", None)


def left(outbox: Path) -> dict[str, str]:
    """What a shop has left, without the audit."""
    return {path.name: path.read_text() for path in sorted(outbox.iterdir()) if path.name != "audit"}


#: What each shop leaves of the orders A, B and C.
SOLD = {"charge-A": "1999", "charge-B": "500", "mail-ada": "A: paid 1999", "mail-bob": "B: paid 500"}
#: And after the nightly report.
REPORTED = SOLD | {"mail-boss": "2 charges"}
