"""Proof of life on this machine: a lock that is free only when all processes of a supervisor are dead."""

from __future__ import annotations

import contextlib
import ctypes
import fcntl
import os
import re
import secrets
import shutil
import signal
import socket
import stat
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from multiprocess import process, reduction

from s3queue.core.records import Place
from s3queue.errors import ConfigError
from s3queue.io.folder import base as base_folder
from s3queue.io.folder import base_path, is_ours, machine

__all__ = ["Life", "die_with_parent", "gone", "place"]

#: Seconds for which the directory of dead processes is kept: longer than any agent needs to learn of their death.
_KEEP_S = 86_400.0
#: Name of a run directory, and all that a record may say of it: a path in a forged record must not be opened.
_NAME = re.compile(r"run-[0-9]{1,10}-[0-9a-f]{6}")


class Life:
    """A lock that is free only when a supervisor and all its children are dead.

    The lock belongs to the open file, not to a process: the supervisor takes it, every child inherits the open file and
    keeps it for its whole life. A process that a task forks and leaves behind keeps it, too; then the death of the
    tree is not seen here, and time-outs decide.

    Cleaners of temporary files are kept away: the base directory is locked, which systemd-tmpfiles respects, and `touch`
    makes everything look young to those that go by age.

    Attributes:
        rundir: directory of this supervisor, for its children's socket.
    """

    def __init__(self, rundir: Path, fd: int, base_fd: int = -1) -> None:
        self.rundir = rundir
        self.fd = fd
        self._base_fd = base_fd

    @classmethod
    def create(cls) -> Life:
        """The proof of life of a new supervisor. Raises: ConfigError: the temporary directory cannot be used."""
        base = base_folder()
        try:
            return cls._create(base)
        except OSError as fault:
            hint = "set TMPDIR to a directory that you may write, not full"
            raise ConfigError(f"cannot use {base}: {fault.strerror or fault}", hint) from fault

    @classmethod
    def _create(cls, base: Path) -> Life:
        _sweep(base)
        rundir = base / f"run-{os.getpid()}-{secrets.token_hex(3)}"
        rundir.mkdir(mode=0o700)
        fd = os.open(rundir / "life", os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        fcntl.flock(fd, fcntl.LOCK_EX)
        base_fd = os.open(base, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        with contextlib.suppress(OSError):  # some file systems lock no directories
            fcntl.flock(base_fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
        return cls(rundir, fd, base_fd)

    def touch(self) -> None:
        """Make our files look new."""
        base = self.rundir.parent
        ours = [base, self.rundir, *self.rundir.glob("*"), *base.glob("wake-*"), *base.glob("wake-*/*")]
        if made := process.current_process()._config.get("tempdir"):  # where a fork server has its socket
            ours += [Path(made), *Path(made).glob("*")]
        for path in ours:
            with contextlib.suppress(OSError):
                os.utime(path, follow_symlinks=False)

    def place(self) -> Place:
        return place(self.rundir)

    def __reduce__(self) -> tuple[Any, ...]:
        # Only while a child process is being started: the descriptor goes along.
        return _inherit, (str(self.rundir), reduction.DupFd(self.fd))

    def close(self, *, remove: bool) -> None:
        """Release the lock. With ``remove`` the directory is removed; without, others can see that the processes are
        dead."""
        if remove:
            shutil.rmtree(self.rundir, ignore_errors=True)
        os.close(self.fd)
        if self._base_fd >= 0:
            os.close(self._base_fd)


def _inherit(rundir: str, duplicate: Any) -> Life:
    return Life(Path(rundir), duplicate.detach())


def place(rundir: Path | str) -> Place:
    """The place of the host with this run directory. Only its random name goes into records."""
    return Place(machine(), Path(rundir).name, f"{socket.gethostname()}:{os.getpid()}")


def gone(where: Place) -> bool:
    """Whether every process of that host is certainly dead. False if that cannot be known from here: another machine,
    another temporary directory, or no valid name in the record. Never waits."""
    if not where.machine or where.machine != machine() or not _NAME.fullmatch(where.life):
        return False
    try:
        base = base_path(tempfile.gettempdir(), os.getuid())
        return is_ours(base.lstat()) and _is_free(base / where.life)
    except OSError:
        return False


def _is_free(rundir: Path) -> bool:
    """Whether no process holds the lock in this run directory."""
    try:
        fd = os.open(rundir / "life", os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError:
        return False
    try:
        if not stat.S_ISREG(os.fstat(fd).st_mode):
            return False
        # Shared, so that two who look at the same time do not take each other for the living.
        fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError:
        return False
    finally:
        os.close(fd)
    return True


def _sweep(base: Path) -> None:
    """Remove run directories of supervisors that died long ago."""
    oldest = time.time() - _KEEP_S
    for directory in base.glob("wake-*"):
        with contextlib.suppress(OSError):
            if directory.stat().st_mtime < oldest:
                directory.rmdir()  # only if it is empty
    for rundir in base.glob("run-*"):
        with contextlib.suppress(OSError):
            if rundir.stat().st_mtime < oldest and _is_free(rundir):
                shutil.rmtree(rundir, ignore_errors=True)


def die_with_parent() -> None:
    """Have the kernel kill this process when the thread that started it ends. Linux only; elsewhere nothing happens,
    and the end of the pipe to the supervisor has to tell."""
    if sys.platform == "linux":
        pr_set_pdeathsig = 1  # linux/prctl.h
        ctypes.CDLL(None).prctl(pr_set_pdeathsig, signal.SIGKILL, 0, 0, 0)
