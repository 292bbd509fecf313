"""What happened, told twice: to people through `logging`, and to auditing programs as lines of JSON.

Loggers are called ``s3queue.{role}``; nothing is configured here. With a history directory each process appends to a
file of its own, one write per event, so that what was written before a SIGKILL is there.
"""

from __future__ import annotations

import logging
import os
import time
from pathlib import Path
from typing import Any

import msgspec

__all__ = ["Events"]

#: What a kind of event is worth to people; a kind that is not listed is INFO.
LEVELS = {
    "enqueued": logging.DEBUG,
    "run": logging.DEBUG,
    "settled": logging.DEBUG,
    "failed": logging.INFO,
    "died": logging.WARNING,
    "fenced": logging.WARNING,
    "gave_up": logging.ERROR,
}

#: The same warning at most once in this time, in seconds: a store that is down must not fill a disk.
QUIET_S = 30.0

_encode = msgspec.json.Encoder(enc_hook=str).encode


class Events:
    """The event sink of one role of one process. May be made before a fork and used after it, on both sides.

    Args:
        role: ``supervisor``, ``agent``, ``worker``, ``producer``.
        directory: where to keep a history; None for none. Made if it is missing.

    Kinds that auditing programs read: ``enqueued`` {ids}, ``run`` {message, attempt, ticket, pid}, ``settled`` {ticket,
    source, start, stop, outcome}.
    """

    def __init__(self, role: str, directory: str | None = None) -> None:
        self.role = role
        self.directory = directory
        self._logger = logging.getLogger(f"s3queue.{role}")
        self._fd = -1
        self._pid = 0
        self._said: dict[str, tuple[float, int]] = {}

    def wants(self, kind: str) -> bool:
        """Whether anybody would hear it. For those who would pay for the telling, once per message."""
        return self.directory is not None or self._logger.isEnabledFor(LEVELS.get(kind, logging.INFO))

    def emit(self, kind: str, **fields: Any) -> None:
        level = LEVELS.get(kind, logging.INFO)
        if self._logger.isEnabledFor(level):
            told = " ".join(f"{name}={value}" for name, value in fields.items())
            self._logger.log(level, "%s %s", kind, told, extra={"s3queue": {"kind": kind, **fields}})
        if self.directory is not None:
            line = _encode({"at": time.time(), "role": self.role, "pid": os.getpid(), "kind": kind, **fields})
            os.write(self._file(self.directory), line + b"\n")

    def warn(self, key: str, text: str, *, level: int = logging.WARNING) -> None:
        """Log ``text``, unless a warning under the same key was logged in the last 30 s; then it is only counted, and
        the next one says how many there were."""
        now = time.monotonic()
        last, suppressed = self._said.get(key, (float("-inf"), 0))
        if now - last < QUIET_S:
            self._said[key] = last, suppressed + 1
            return
        self._said[key] = now, 0
        self._logger.log(level, "%s", f"{text} (and {suppressed} more like it)" if suppressed else text)

    def _file(self, directory: str) -> int:
        pid = os.getpid()
        if self._pid != pid:  # the first event of this process; a descriptor from before a fork is another's
            Path(directory).mkdir(parents=True, exist_ok=True)
            path = Path(directory) / f"{self.role}-{pid}.jsonl"
            self._fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o644)
            self._pid = pid
        return self._fd

    def close(self) -> None:
        if self._pid == os.getpid():
            os.close(self._fd)
        self._pid = 0
