from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from s3queue.cli import _run, cli
from s3queue.registry import registry


@pytest.fixture(autouse=True)
def clean_process(unconfigured: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Each test begins without settings and tasks, in a working directory from which modules are imported."""
    monkeypatch.setattr(registry, "_tasks", {})
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    before = set(sys.modules)
    yield
    for name in set(sys.modules) - before:
        if getattr(sys.modules[name], "__file__", None) and str(tmp_path) in str(sys.modules[name].__file__):
            del sys.modules[name]


Invoke = Callable[..., int]


def answer(capsys: pytest.CaptureFixture[str]) -> Any:
    """What a command has printed with ``--json``."""
    return json.loads(capsys.readouterr().out)


@pytest.fixture
def s3queue() -> Invoke:
    """Run a command in this process; returns its exit status."""
    return lambda *args: _run(cli, [str(arg) for arg in args])


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path}/jobs.db"


@pytest.fixture
def jobs(tmp_path: Path) -> str:
    """A module with tasks, in the working directory."""
    (tmp_path / "jobs.py").write_text(
        "import s3queue\n"
        "from pathlib import Path\n"
        "@s3queue.task('mail')\n"
        "def send(user: int, subject: str = 'hello') -> None:\n"
        "    with Path('sent.txt').open('a') as file:\n"
        "        file.write(f'{user} {subject}\\n')\n"
        "@s3queue.task('mail', name='renamed')\n"
        "def other() -> None: ...\n"
        "@s3queue.handler('raw')\n"
        "def take(payload: object) -> None: ...\n"
    )
    return "jobs"
