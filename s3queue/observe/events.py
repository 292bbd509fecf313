"""Emits events: to `logging` for people, as lines of JSON for auditing programs, and as records of `s3queue.events` to
subscribers.

Loggers are called ``s3queue.{role}``; nothing is configured here. With a history directory each process appends to a
file of its own, one write per event, so that events before a SIGKILL are kept.

A failure here never affects the caller: a full disk, a directory that cannot be written, a log handler that raises, or
a value that cannot be printed loses that line only. No method raises.
"""

from __future__ import annotations

import contextlib
import logging
import os
import time
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from s3queue.observe.subscribing import here

if TYPE_CHECKING:
    from s3queue.observe.ears import Ear
    from s3queue.observe.subscribing import Subscribers

__all__ = ["LEVELS", "Events"]

#: Log level by kind of event; other kinds are INFO.
LEVELS = {
    "enqueued": logging.DEBUG,
    "claimed": logging.DEBUG,
    "started": logging.DEBUG,
    "succeeded": logging.DEBUG,
    "failed": logging.DEBUG,
    "settled": logging.DEBUG,
    "moved": logging.DEBUG,
    "tickets_assigned": logging.DEBUG,
    "worker_started": logging.DEBUG,
    "worker_left": logging.DEBUG,
    "host_joined": logging.DEBUG,
    "host_left": logging.DEBUG,
    "reaped": logging.DEBUG,
    "retrying": logging.WARNING,
    "recovered": logging.WARNING,
    "dead": logging.ERROR,
    "agent_died": logging.WARNING,
    "worker_died": logging.WARNING,
    "fenced": logging.WARNING,
    "breaker_opened": logging.WARNING,
    "login_refused": logging.WARNING,
    "store_unavailable": logging.WARNING,
    "gave_up": logging.ERROR,
}

#: Seconds between two equal warnings, so that a store that is down does not fill a disk.
QUIET_S = 30.0

#: Items of a list in a log record: a purge names a hundred thousand messages. The history and subscribers get all.
LISTED = 10

#: Warnings remembered before expired ones are forgotten.
_MOST_SAID = 1000

#: Fields that are attributes of the log record, and their names there: ``message`` is taken.
_ATTRIBUTES = {"task": "task", "message": "message_id", "attempt": "attempt", "queue": "queue"}

_encode = msgspec.json.Encoder(enc_hook=str).encode


class Events:
    """The events of one role in one process. May be made before a fork and used after it, on both sides.

    Args:
        role: ``supervisor``, ``agent``, ``worker``, ``producer``, ``dashboard``.
        directory: for the history; None: no history. Created if it is missing.
        ears: other processes that listen.
        subscribers: in addition to those of this process.

    `s3queue.events` has the kinds and their fields.
    """

    def __init__(
        self,
        role: str,
        directory: str | None = None,
        ears: Iterable[Ear] = (),
        subscribers: Subscribers | None = None,
    ) -> None:
        self.role = role
        self._ears = tuple(ears)
        self._subscribers = (here,) if subscribers is None else (here, subscribers)
        self.directory = directory
        self._logger = logging.getLogger(f"s3queue.{role}")
        self._fd = -1
        self._pid = 0
        #: Whether the last line in the file is incomplete, because the disk was full.
        self._torn = False
        self._said: dict[str, tuple[float, int]] = {}

    def wants(self, kind: str) -> bool:
        """Whether this kind goes anywhere. For callers that would otherwise compute its fields for each message."""
        if self.directory is not None or self._logger.isEnabledFor(LEVELS.get(kind, logging.INFO)):
            return True
        for some in self._subscribers:
            if some.has(kind):
                return True
        return bool(self._ears) and any(kind in ear.kinds for ear in self._ears)

    def emit(self, kind: str, **fields: Any) -> None:
        """Record one event. Never raises.

        A log record's attributes ``task``, ``message_id``, ``attempt`` and ``queue`` are the fields of those names, and its
        ``s3queue`` holds them all, with at most `LISTED` items of each list.
        """
        level = LEVELS.get(kind, logging.INFO)
        if self._logger.isEnabledFor(level):
            with contextlib.suppress(Exception, SystemExit):
                extra = {told: fields[name] for name, told in _ATTRIBUTES.items() if name in fields}
                logged = _bounded(fields)
                extra["s3queue"] = {"kind": kind, **logged}
                self._logger.log(level, "%s", _sentence(kind, logged), extra=extra)
        if self.directory is not None:
            try:
                line = _encode({"at": time.time(), "role": self.role, "pid": os.getpid(), "kind": kind, **fields})
                self._append(self.directory, line + b"\n")
            except Exception as fault:  # noqa: BLE001 - it must not affect the caller
                self.warn("history", f"cannot write the history in {self.directory}: {fault}")
        for ear in self._ears:
            if kind in ear.kinds:
                told = False
                with contextlib.suppress(Exception):
                    told = ear.hear({"kind": kind, "at": time.time(), "role": self.role, "pid": os.getpid(), **fields})
                if not told:
                    self.warn(
                        f"ear {ear.path}",
                        f"an event {kind} was lost: the process that collects events is away or too slow",
                    )
        for some in self._subscribers:
            if some.has(kind):
                self._tell(some, kind, fields)

    def _tell(self, some: Subscribers, kind: str, fields: dict[str, Any]) -> None:
        from s3queue.events import KINDS

        try:
            some.tell(KINDS[kind](at=time.time(), role=self.role, pid=os.getpid(), **fields), self.warn)
        except Exception as fault:  # noqa: BLE001 - it must not affect the caller
            self.warn(f"subscriber {kind}", f"cannot tell the subscribers of {kind}: {fault!r}")

    def warn(self, key: str, text: str, *, level: int = logging.WARNING) -> None:
        """Log a text, unless a warning with the same key was logged in the last 30 s; then it is only counted, and the
        next one tells the number. Never raises.

        Args:
            level: of `logging`.
        """
        now = time.monotonic()
        last, suppressed = self._said.get(key, (float("-inf"), 0))
        if now - last < QUIET_S:
            self._said[key] = last, suppressed + 1
            return
        if len(self._said) > _MOST_SAID:
            self._said = {said: when for said, when in self._said.items() if now - when[0] < QUIET_S}
        self._said[key] = now, 0
        with contextlib.suppress(Exception, SystemExit):
            self._logger.log(level, "%s", f"{text} (and {suppressed} more like it)" if suppressed else text)

    def _append(self, directory: str, line: bytes) -> None:
        if self._torn:
            line = b"\n" + line
        written = os.write(self._file(directory), line)
        self._torn = 0 < written < len(line)
        if written < len(line):
            raise OSError(f"{written} of {len(line)} bytes were written")

    def _file(self, directory: str) -> int:
        pid = os.getpid()
        if self._pid != pid:  # the first event of this process; a descriptor from before a fork is another's
            Path(directory).mkdir(parents=True, exist_ok=True)
            path = Path(directory) / f"{self.role}-{pid}.jsonl"
            self._fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o644)
            self._pid, self._torn = pid, False
        return self._fd

    def close(self) -> None:
        """End the history. Subscribers get 2 s for the last events."""
        for some in self._subscribers:
            some.finish(self.warn)
        for ear in self._ears:
            ear.close()
        if self._pid == os.getpid():
            with contextlib.suppress(OSError):
                os.close(self._fd)
        self._pid = 0


def _bounded(fields: dict[str, Any]) -> dict[str, Any]:
    """With the first items of a long list, and a field ``{name}_more`` that counts the others."""
    if not any(isinstance(value, list | tuple) and len(value) > LISTED for value in fields.values()):
        return fields
    bounded: dict[str, Any] = {}
    for name, value in fields.items():
        bounded[name] = value
        if isinstance(value, list | tuple) and len(value) > LISTED:
            bounded[name], bounded[f"{name}_more"] = value[:LISTED], len(value) - LISTED
    return bounded


def _shown(name: str, value: Any) -> str:
    """``name=value`` in a log line: lists with commas, the end of a pause as a time, and text with blanks in quotes."""
    if name == "until_ms":
        at = datetime.fromtimestamp(value / 1000, UTC).isoformat(timespec="seconds") if value else "it is resumed"
        name, value = "until", at
    shown = ",".join(map(str, value)) if isinstance(value, list | tuple) else str(value)
    return f'{name}="{shown}"' if " " in shown else f"{name}={shown}"


def _sentence(kind: str, fields: dict[str, Any]) -> str:
    """``kind name=value …``, and a text of several lines below it."""
    text = str(fields.get("text", ""))
    told = " ".join(_shown(name, value) for name, value in fields.items() if name != "text")
    if not text:
        return f"{kind} {told}"
    return f"{kind} {told}\n{text.rstrip()}" if "\n" in text.strip() else f"{kind} {told}: {text.strip()}"
