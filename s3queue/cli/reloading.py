"""``s3queue run --reload``: a child process serves, and is replaced when a file changes. For development."""

from __future__ import annotations

import importlib.util
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Sequence
from pathlib import Path
from types import FrameType

import click

from s3queue.errors import ConfigError

__all__ = ["reload"]

#: Milliseconds between two looks at the process that serves, while no file changes.
_TICK_MS = 500
_START = "import sys; from s3queue.cli import main; main(sys.argv[1:])"


def reload(args: Sequence[str], folder: Path, program: Sequence[str] = ("-c", _START)) -> int:
    """Serve with these arguments of ``s3queue`` until SIGINT or SIGTERM; again whenever a Python file below the folder
    changes. Messages that run are finished first, within ``drain_timeout``. A process that ends by itself, as one that
    cannot import a module does, is started again with the next change.

    Args:
        program: what Python is given before the arguments.

    Returns:
        The exit status of the last process.

    Raises:
        ConfigError: watchfiles is not installed.
    """
    if importlib.util.find_spec("watchfiles") is None:
        raise ConfigError("--reload needs watchfiles", "pip install 's3queue[reload]'")
    from watchfiles import PythonFilter, watch

    over = threading.Event()
    child: subprocess.Popen[bytes] | None = None
    told: list[subprocess.Popen[bytes]] = []

    def end(number: int, frame: FrameType | None) -> None:
        # A terminal sends it to the child as well, which takes both within a second as one.
        over.set()
        if child is not None and child.poll() is None:
            told.append(child)
            child.send_signal(number)

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, end)
    changes = watch(
        folder,
        watch_filter=PythonFilter(),
        stop_event=over,
        raise_interrupt=False,
        yield_on_timeout=True,
        rust_timeout=_TICK_MS,
    )
    next(changes, None)  # it looks from here on: no change after the start of a process is missed
    child = _start([*program, *args])
    for changed in changes:
        if changed:
            names = ", ".join(sorted({Path(path).name for _, path in changed}))
            click.echo(f"s3queue: {names} changed; starting again", err=True)
            _stop(child)
            if over.is_set():
                break
            child = _start([*program, *args])
    if child not in told and child.poll() is None:
        child.terminate()  # the signal came while this one was being started
    return child.wait()


def _start(args: Sequence[str]) -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, *args], env=os.environ)


def _stop(child: subprocess.Popen[bytes]) -> None:
    """Ask the process to drain."""
    if child.poll() is None:
        child.terminate()
    child.wait()
