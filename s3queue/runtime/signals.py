"""How the processes of one machine notice each other: a clock, wake-ups, and who is still alive.

Everything here is a short cut. A wake-up that is lost costs the wait for the next poll; a sign of life that cannot be
read counts as alive, and the timeouts of the protocol decide. Nothing here needs more than a temporary directory that
the processes of one user share::

    {tempdir}/s3queue-{uid}/                     mode 0700, ours or not used
        wake-{hash of store and namespace}/      one datagram socket per agent
        run-{pid}-{random}/                      one per supervisor: the file `life`, the socket `agent.sock`
"""

from __future__ import annotations

import contextlib
import ctypes
import fcntl
import os
import secrets
import shutil
import signal
import socket
import stat
import sys
import tempfile
import time
from collections.abc import Callable
from functools import cache, lru_cache, partial
from hashlib import sha256
from pathlib import Path
from typing import Any

from multiprocess import reduction

from s3queue.core.records import Place
from s3queue.errors import ConfigError

__all__ = ["Life", "WakeSocket", "clock", "die_with_parent", "gone", "machine", "place", "wake"]

#: Seconds that also pass while the machine is suspended, and that all processes of it share: a paused host must
#: notice that time has passed. Where there is no such clock (macOS: its monotonic clock stops in sleep) a monotonic
#: one has to do.
clock: Callable[[], float] = (
    partial(time.clock_gettime, time.CLOCK_BOOTTIME) if hasattr(time, "CLOCK_BOOTTIME") else time.monotonic
)

#: Path of a unix socket, in bytes: 104 on BSD and macOS, 108 on Linux. What we append takes up to 60.
_MAX_BASE = 44

#: How long the directory of a tree that died is kept, in seconds: for longer than anybody waits to learn that it is
#: dead.
_KEEP_S = 86_400.0


# ---- where -----------------------------------------------------------------------------------------------------


def _base_path(parent: str, uid: int) -> Path:
    """Of this user's directory in this temporary one."""
    if len(os.fsencode(parent)) > _MAX_BASE:
        parent = "/tmp"
    return Path(parent) / f"s3queue-{uid}"


def _is_ours(there: os.stat_result) -> bool:
    """Whether nobody else can have put anything into the base directory."""
    return stat.S_ISDIR(there.st_mode) and there.st_uid == os.getuid() and not there.st_mode & 0o077


def _base() -> Path:
    """Our directory in the temporary directory, made if need be.

    Raises:
        ConfigError: something of another user stands there, or cannot be written.
    """
    base = _base_path(tempfile.gettempdir(), os.getuid())
    try:
        base.mkdir(mode=0o700, exist_ok=True)
        there = base.lstat()
    except OSError as fault:
        raise ConfigError(
            f"cannot use {base}: {fault.strerror}", "set TMPDIR to a directory that you may write"
        ) from fault
    if not _is_ours(there):
        raise ConfigError(f"{base} is not a directory of this user alone", "remove it, or set TMPDIR")
    return base


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


# ---- wake-ups --------------------------------------------------------------------------------------------------


def _wake_name(url: str, namespace: str) -> str:
    return f"wake-{sha256(f'{url} {namespace}'.encode()).hexdigest()[:16]}"


@lru_cache(maxsize=64)
def _wake_paths(url: str, namespace: str, parent: str, uid: int) -> tuple[str, str]:
    """The base directory and that of the wake-ups, as they are called; not whether they are there."""
    base = _base_path(parent, uid)
    return str(base), str(base / _wake_name(url, namespace))


def wake(url: str, namespace: str, *, but: WakeSocket | None = None) -> None:
    """Tell every agent on this machine that serves this namespace that there is something new. Never fails, never
    waits.

    Args:
        but: one that need not be told: the caller's own.

    Costs some 20 µs, and 5 µs where there is no agent. The directory is read each time: its timestamp is too coarse to
    cache by, and would hide an agent that came in the same tick. Whose the base is, is looked at each time, too: in one
    of somebody else's we would remove what nobody listens at.
    """
    base, directory = _wake_paths(url, namespace, tempfile.gettempdir(), os.getuid())
    try:
        if not _is_ours(os.lstat(base)):
            return
        names = os.listdir(directory)
    except OSError:
        return
    if but is not None and but.name in names:
        names.remove(but.name)
    if not names:
        return
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
        sender.setblocking(False)
        for name in names:
            path = f"{directory}/{name}"
            try:
                sender.sendto(b"w", path)
            except ConnectionRefusedError:  # its agent is dead; names are never used twice
                with contextlib.suppress(OSError):
                    os.unlink(path)
            except OSError:  # full: it has wake-ups to read already. Gone: so be it.
                pass


class WakeSocket:
    """Where one agent is woken. For use in an event loop: readable when somebody called `wake`."""

    def __init__(self, url: str, namespace: str, session: str) -> None:
        directory = _base() / _wake_name(url, namespace)
        self.name = sha256(session.encode()).hexdigest()[:12]
        self._path = directory / self.name
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.setblocking(False)
        bound = False
        while not bound:
            directory.mkdir(mode=0o700, exist_ok=True)
            with contextlib.suppress(FileNotFoundError):  # a supervisor that starts has just removed it as long unused
                self._socket.bind(str(self._path))
                bound = True

    def fileno(self) -> int:
        return self._socket.fileno()

    def drain(self) -> bool:
        """Forget the wake-ups so far; whether there were any. Look for work only after this, or one is missed."""
        woken = False
        with contextlib.suppress(BlockingIOError):
            while self._socket.recv(16):
                woken = True
        return woken

    def close(self) -> None:
        with contextlib.suppress(OSError):
            self._path.unlink()
        self._socket.close()


# ---- life ------------------------------------------------------------------------------------------------------


class Life:
    """A lock that is free only when a whole supervisor tree is dead.

    The lock belongs to the open file, not to a process: the supervisor takes it, every child inherits the open file and
    keeps it for its whole life. A process that a task forks and leaves behind keeps it, too; then nobody sees that
    the tree is dead, and the timeouts decide.

    Attributes:
        rundir: directory of this supervisor, for its children's socket.
    """

    def __init__(self, rundir: Path, fd: int) -> None:
        self.rundir = rundir
        self.fd = fd

    @classmethod
    def create(cls) -> Life:
        base = _base()
        _sweep(base)
        rundir = base / f"run-{os.getpid()}-{secrets.token_hex(3)}"
        rundir.mkdir(mode=0o700)
        fd = os.open(rundir / "life", os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        fcntl.flock(fd, fcntl.LOCK_EX)
        return cls(rundir, fd)

    def place(self) -> Place:
        return place(self.rundir)

    def __reduce__(self) -> tuple[Any, ...]:
        # Only while a child process is being started: the descriptor goes along.
        return _inherit, (str(self.rundir), reduction.DupFd(self.fd))

    def close(self, *, remove: bool) -> None:
        """Let go. With ``remove`` nothing of it stays; without, others can see that the tree is dead."""
        if remove:
            shutil.rmtree(self.rundir, ignore_errors=True)
        os.close(self.fd)


def _inherit(rundir: str, duplicate: Any) -> Life:
    return Life(Path(rundir), duplicate.detach())


def place(rundir: Path | str) -> Place:
    return Place(machine(), str(Path(rundir) / "life"), f"{socket.gethostname()}:{os.getpid()}")


def gone(where: Place) -> bool:
    """Whether every process of that host is certainly dead. False wherever that cannot be known from here."""
    return bool(where.machine and where.machine == machine() and where.life) and _is_free(where.life)


def _is_free(path: str | Path) -> bool:
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        # Shared, so that two who look at the same time do not take each other for the living.
        fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError:
        return False
    finally:
        os.close(fd)
    return True


def _sweep(base: Path) -> None:
    """Remove what trees that died long ago have left."""
    oldest = time.time() - _KEEP_S
    for directory in base.glob("wake-*"):
        with contextlib.suppress(OSError):
            if directory.stat().st_mtime < oldest:
                directory.rmdir()  # only if it is empty
    for rundir in base.glob("run-*"):
        with contextlib.suppress(OSError):
            if rundir.stat().st_mtime < oldest and _is_free(rundir / "life"):
                shutil.rmtree(rundir, ignore_errors=True)


def die_with_parent() -> None:
    """Have the kernel kill this process when the thread that started it ends. Linux only; elsewhere nothing happens,
    and the end of the pipe to the supervisor has to tell."""
    if sys.platform == "linux":
        pr_set_pdeathsig = 1  # linux/prctl.h
        ctypes.CDLL(None).prctl(pr_set_pdeathsig, signal.SIGKILL, 0, 0, 0)
