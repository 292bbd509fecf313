"""What tests with real processes stand on."""

from __future__ import annotations

import logging
import os
import shutil
import signal
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from multiprocess import util
from s3queue_backends.sqlite import SqliteStore

from s3queue.config import configure
from s3queue.registry import registry
from s3queue.store import ObjectStore
from tests.processes.host import Line


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[ObjectStore]:
    """A store in a file, which all processes share. The one that is configured."""
    it = SqliteStore(str(tmp_path / "store.db"))
    configure(store=it)
    yield it
    configure()
    it.close()


@pytest.fixture
def base_folder(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A temporary directory of our own, short enough for the path of a socket."""
    tmp_path_factory.getbasetemp()  # made with its first use, and not in what is removed below
    util.get_temp_dir()  # where a fork server that outlives this test has its socket
    directory = Path(tempfile.mkdtemp(prefix="s3q", dir="/tmp"))
    monkeypatch.setattr(tempfile, "tempdir", str(directory))
    yield directory / f"s3queue-{os.getuid()}"
    shutil.rmtree(directory)


@pytest.fixture
def unconfigured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """An empty working directory, no variables of ours, nothing configured; and nothing configured afterwards."""
    monkeypatch.chdir(tmp_path)
    for name in list(os.environ):
        if name.startswith("S3QUEUE_"):
            monkeypatch.delenv(name)
    configure()
    yield
    configure()


@pytest.fixture
def fifo(tmp_path: Path) -> Iterator[Callable[[str], Line]]:
    fifos: list[Line] = []

    def make(name: str) -> Line:
        fifos.append(Line(tmp_path / name))
        return fifos[-1]

    yield make
    for it in fifos:
        it.close()


@pytest.fixture(autouse=True)
def _tasks_of_this_test_end_with_it() -> Iterator[None]:
    """A task that a test declares in a function is in the registry of its process, and later tests start workers there."""
    middleware = registry.middleware
    yield
    registry.middleware = middleware
    for key, task in list(registry._tasks.items()):
        of = task.function
        if "<" in getattr(of, "__qualname__", "<") or getattr(of, "__module__", None) not in sys.modules:
            del registry._tasks[key]


@pytest.fixture(autouse=True)
def _signals_as_they_were() -> Iterator[None]:
    """A command that serves leaves SIGINT and SIGTERM ignored, since its process ends then. In a process of tests every
    program that a later test starts would be born deaf to them."""
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    yield
    for number, handler in before.items():
        if signal.getsignal(number) is not handler:
            signal.signal(number, handler)


@pytest.fixture(autouse=True)
def _logging_as_it_was() -> Iterator[None]:
    """Libraries that a test starts may switch logging off, for the process and for all tests after it."""
    was = logging.root.manager.disable
    logging.disable(logging.NOTSET)
    if logging.root.level > logging.WARNING:
        logging.root.setLevel(logging.WARNING)
    for name in list(logging.root.manager.loggerDict):
        if name.partition(".")[0] in ("s3queue", "mine"):
            logger = logging.getLogger(name)
            logger.disabled, logger.propagate = False, True
            logger.setLevel(logging.NOTSET)
    yield
    logging.disable(was)
