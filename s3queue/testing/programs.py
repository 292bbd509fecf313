"""Programs that run beside this one: finds, starts and ends them, and waits for them."""

from __future__ import annotations

import os
import random
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

#: Seconds that a server may take until it answers; generous, since it only bounds a hang.
_PATIENCE_S = 240.0


class Unavailable(Exception):
    """The program or server is not available on this machine."""


def find_program(name: str, how: str) -> str:
    """The path of a program: beside this Python, or on the ``PATH``. Raises `Unavailable`, with ``how`` to get it."""
    beside = Path(sys.executable).parent / name
    found = str(beside) if beside.exists() else shutil.which(name)
    if not found:
        raise Unavailable(f"no program {name}; {how}")
    return found


@contextmanager
def running(arguments: Sequence[str], log: Path, env: Mapping[str, str]) -> Iterator[subprocess.Popen[bytes]]:
    """Run a child process in the block. It has a session of its own, so that Ctrl-C reaches only this process."""
    if guard := shutil.which("setpriv"):
        arguments = [guard, "--pdeathsig", "KILL", *arguments]
    with log.open("ab") as output:
        process = subprocess.Popen(
            arguments,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
            env={**os.environ, **env},
        )
    try:
        yield process
    finally:
        end(process, 15)


@contextmanager
def python(module: str, *arguments: str, env: Mapping[str, str]) -> Iterator[subprocess.Popen[str]]:
    """Run ``python -m module`` in the block, with its output in a pipe; killed a minute after the end of the block."""
    command = [sys.executable, "-m", module, *arguments]
    with subprocess.Popen(command, env={**os.environ, **env}, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield process
        finally:
            end(process, 60)


def end(process: subprocess.Popen[Any], patience_s: float) -> None:
    """End the process, unless it has ended: by SIGTERM, or by SIGKILL after ``patience_s`` seconds."""
    process.terminate()
    try:
        process.wait(patience_s)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


@contextmanager
def free_ports(count: int) -> Iterator[list[int]]:
    """Ports that are free, and so are those 10,000 above, where SeaweedFS listens for gRPC.

    Args:
        count: number of ports.
    """
    with ExitStack() as held:
        found: list[int] = []
        while len(found) < count:
            port = random.randrange(15_000, 22_000)
            try:
                for number in (port, port + 10_000):
                    taken = held.enter_context(socket.socket())
                    taken.bind(("127.0.0.1", number))
                    # Only now, so that nobody had it before us. Servers set this as well, and may then listen beside us.
                    taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            except OSError:
                continue
            found.append(port)
        if sys.platform != "linux":
            held.close()
        yield found


def wait_for(
    name: str, ready: Callable[[], bool], process: subprocess.Popen[bytes] | None, log: Path | None = None
) -> None:
    """Return when a program is ready.

    Raises:
        RuntimeError: it has ended, or did not answer in time; with the end of its log.
    """
    deadline = time.monotonic() + _PATIENCE_S
    while True:
        with suppress(OSError):
            if ready():
                return
        if process is not None and process.poll() is not None:
            why = f"ended with {process.returncode}"
        elif time.monotonic() > deadline:
            why = f"did not answer in {_PATIENCE_S:.0f} s"
        else:
            time.sleep(0.1)
            continue
        tail = log.read_text(errors="replace")[-2000:] if log else ""
        raise RuntimeError(f"{name} {why}\n{tail}")
