"""A session at a terminal: commands are shown and run, and their output is shown."""

from __future__ import annotations

import os
import re
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from s3queue.errors import QueueError

_S3QUEUE = (sys.executable, "-c", "import sys; from s3queue.cli import main; sys.exit(main())")


class Wrong(QueueError):
    """The night did not go as it has to."""


class Session:
    """
    Args:
        say: shows one line.
        environ: of every command.
    """

    def __init__(self, say: Callable[[str], None], environ: dict[str, str], folder: Path) -> None:
        self._say, self._environ, self._folder = say, {**os.environ, **environ}, folder

    def tell(self, what: str) -> None:
        """Show a comment of the operator."""
        self._say(f"\n# {what}")

    def run(self, command: str, *, lines: int = 12, status: int = 0, quiet: bool = False) -> str:
        """Run ``s3queue`` with these words, and show what it says, up to so many lines.

        Raises:
            Wrong: it ended with another status.
        """
        words = shlex.split(command)
        done = subprocess.run(
            [*_S3QUEUE, *words], env=self._environ, capture_output=True, text=True, timeout=600, check=False
        )
        if not quiet:
            self._say(f"$ s3queue {command}")
            said = [line for line in (done.stderr + done.stdout).splitlines() if line.strip()]
            for line in said[:lines]:
                self._say(line)
            if len(said) > lines:
                self._say("…")
        if done.returncode != status:
            raise Wrong(f"s3queue {command} ended with status {done.returncode}: {done.stderr[-2000:]}")
        return done.stdout

    def kill(self, command: str, when: Callable[[], bool]) -> None:
        """Run ``s3queue`` with these words, and kill it once that is so."""
        self._say(f"$ s3queue {command}")
        process = subprocess.Popen(
            [*_S3QUEUE, *shlex.split(command)],
            env=self._environ,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            self.wait(lambda: when() or process.poll() is not None, "the command does nothing")
            if process.poll() is not None:
                raise Wrong(f"s3queue {command} ended by itself, with status {process.returncode}")
        finally:
            process.send_signal(signal.SIGKILL)
            process.wait()
        self._say("Killed")

    def host(self, module: str, *words: str) -> subprocess.Popen[bytes]:
        """Start a host, which logs to a file."""
        log = (self._folder / "host.log").open("ab")
        with log:
            return subprocess.Popen(
                [*_S3QUEUE, "run", module, *words], env=self._environ, stdout=log, stderr=log, start_new_session=True
            )

    @staticmethod
    def wait(holds: Callable[[], bool], why: str, timeout_s: float = 600.0) -> None:
        """
        Raises:
            Wrong: it did not come to hold.
        """
        until = time.monotonic() + timeout_s
        while not holds():
            if time.monotonic() > until:
                raise Wrong(f"after {timeout_s:g} s {why}")
            time.sleep(0.1)


#: What differs from night to night, and what stands for it on the page in the docs.
_DIFFERS = (
    (re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d"), "2030-01-31 02:10:44"),
    (re.compile(r"p00~in~(\w+)~5~\d+-[0-9a-f]+-"), r"p00~in~\1~5~1895798000000-000abc-"),
    (re.compile(r"p00~later~\d+-(\w+)~5~\d+-[0-9a-f]+-"), r"p00~later~1895820000000-\1~5~1895798000000-000abd-"),
    (re.compile(r"^\S+://\S+, namespace"), "sqlite:////srv/jobs.db, namespace"),
    (re.compile(r"^host \S+:\d+:"), "host web-1:4711:"),
    (re.compile(r"\(process \d+\)"), "(process 4712)"),
)


def shown(text: str) -> str:
    """A line without details that differ from night to night."""
    for differs, same in _DIFFERS:
        text = differs.sub(same, text)
    return text
