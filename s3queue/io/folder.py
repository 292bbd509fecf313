"""The folder that the processes of one user share on this machine, and the name of that machine.

::

    {tempdir}/s3queue-{uid}/                     mode 0700, ours or not used
        wake-{hash of store and namespace}/      one datagram socket per agent
        run-{pid}-{random}/                      one per supervisor: the file `life`, the socket `agent.sock`

Everything in it is a short cut: a wake-up that is lost costs the wait for the next poll, and a process that cannot be
seen counts as alive until the timeouts of the protocol decide.
"""

from __future__ import annotations

import os
import socket
import stat
import sys
import tempfile
import time
from functools import cache
from pathlib import Path

from s3queue.errors import ConfigError

__all__ = ["base", "base_path", "is_ours", "machine", "temporary"]

#: Bytes of the base path at most: the path of a unix socket has 104 on BSD and macOS, 108 on Linux, and ours adds up to
#: 60.
_MAX_BASE = 44


def base_path(parent: str, uid: int) -> Path:
    """The path of this user's directory in this temporary directory."""
    if len(os.fsencode(parent)) > _MAX_BASE:
        parent = "/tmp"
    return Path(parent) / f"s3queue-{uid}"


def is_ours(there: os.stat_result) -> bool:
    """Whether only this user can write to the base directory."""
    return stat.S_ISDIR(there.st_mode) and there.st_uid == os.getuid() and not there.st_mode & 0o077


def temporary() -> str:
    """The temporary directory.

    Raises:
        ConfigError: there is none that can be written.
    """
    try:
        return tempfile.gettempdir()
    except OSError as fault:
        raise ConfigError(
            "no temporary directory can be written", "set TMPDIR to a directory that you may write, not full"
        ) from fault


def base() -> Path:
    """Our directory in the temporary directory, made if need be.

    Raises:
        ConfigError: something of another user stands there, or nothing can be written.
    """
    found = base_path(temporary(), os.getuid())
    try:
        found.mkdir(mode=0o700, exist_ok=True)
        there = found.lstat()
    except OSError as fault:
        raise ConfigError(
            f"cannot use {found}: {fault.strerror}", "set TMPDIR to a directory that you may write"
        ) from fault
    if not is_ours(there):
        raise ConfigError(f"{found} is not a directory of this user alone", "remove it, or set TMPDIR")
    return found


@cache
def machine() -> str:
    """Names the running kernel and this process space; empty where that cannot be told.

    Equal on two hosts only if a look at processes and temporary files of one means something on the other. On Linux:
    boot id and pid namespace, so two containers of one machine differ.
    """
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
        return f"{boot}/{os.stat('/proc/self/ns/pid').st_ino}"
    except OSError:
        pass
    if sys.platform == "darwin":
        # Wall clock minus time since boot, coarse enough not to move when the wall clock is adjusted a little.
        return f"{socket.gethostname()}/{round((time.time() - time.monotonic()) / 600)}"
    return ""
