"""Redis for the peers, on a free loopback port, as fast as it goes: nothing is written to disk."""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path


@contextlib.contextmanager
def redis(folder: Path) -> Iterator[str]:
    """The URL of a server that lives as long as the block.

    Installed from Debian where it is missing and this is root.

    Raises:
        LookupError: there is none, and none can be installed.
    """
    program = shutil.which("redis-server") or _install()
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    arguments = ["--bind", "127.0.0.1", "--port", str(port), "--save", "", "--appendonly", "no", "--dir", str(folder)]
    with (folder / "redis.log").open("ab") as log:
        server = subprocess.Popen([program, *arguments], stdout=log, stderr=log)
    try:
        _wait(port, server)
        yield f"redis://127.0.0.1:{port}/0"
    finally:
        server.terminate()
        server.wait(15)


def _install() -> str:
    if os.geteuid() != 0 or shutil.which("apt-get") is None:
        raise LookupError("no redis-server; apt-get install redis-server")
    subprocess.run(["apt-get", "install", "-y", "-qq", "--no-install-recommends", "redis-server"], check=True)
    found = shutil.which("redis-server")
    if found is None:
        raise LookupError("no redis-server, though it was installed")
    return found


def _wait(port: int, server: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + 20
    while True:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1) as connection:
            connection.sendall(b"PING\r\n")
            if connection.recv(16).startswith(b"+PONG"):
                return
        if server.poll() is not None or time.monotonic() > deadline:
            raise LookupError("redis-server does not start")
        time.sleep(0.05)


def forget(url: str) -> None:
    """FLUSHALL."""
    with socket.create_connection(
        ("127.0.0.1", int(url.rpartition(":")[2].partition("/")[0])), timeout=10
    ) as connection:
        connection.sendall(b"FLUSHALL\r\n")
        connection.recv(16)
