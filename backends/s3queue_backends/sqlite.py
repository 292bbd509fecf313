"""The embedded store: one SQLite file in WAL mode, for many processes of one machine.

Not for network file systems: WAL needs shared memory (https://www.sqlite.org/wal.html).
"""

from __future__ import annotations

import ctypes
import json
import os
import sqlite3
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any
from weakref import WeakSet

from s3queue.errors import ConfigError, StoreDenied, StoreError, StoreUnavailable, StoreUnsupported
from s3queue.store import Capabilities, Conflict, Found, Listed, Missing, Stored, Unchanged
from s3queue_backends import _sqlite_errors, _urls

#: SQLite's own limit on a row, 1,000,000,000 bytes unless compiled otherwise, less room for the key.
MAX_BODY_BYTES = 999_000_000
#: Versions that one connection hands out before it takes another block: they fit 63 bits for 2^31 blocks.
_BLOCK = 1 << 32
#: Seconds between a reading connection's checks that its file still exists. Before a write it always checks.
_LOOK_S = 1.0

_CAPABILITIES = Capabilities("sqlite", max_body_bytes=MAX_BODY_BYTES, requests_cost=False)
_MISSING, _UNCHANGED, _CONFLICT = Missing(), Unchanged(), Conflict()

_SCHEMA = """
BEGIN IMMEDIATE;
CREATE TABLE IF NOT EXISTS objects (key TEXT PRIMARY KEY, body BLOB NOT NULL, version INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS blocks (taken INTEGER NOT NULL);
INSERT INTO blocks SELECT 0 WHERE NOT EXISTS (SELECT 1 FROM blocks);
COMMIT;
"""


class _Connection(sqlite3.Connection):
    """One thread's connection, and the versions it may still hand out.

    Attributes:
        turn: held during each statement.
        file: device and inode; ``seen_at``: when its path was last seen to lead there, on the monotonic clock.
    """

    next_version = last_version = 0
    turn: Any
    file = (0, 0)
    seen_at = 0.0

    def __del__(self) -> None:
        with suppress(sqlite3.ProgrammingError):  # never opened
            self.close()


class _Hold:
    """Keeps the connection of a thread, and closes it when the thread ends.

    The connection itself is part of a reference cycle with its cache of statements, and would stay open until the
    garbage collector runs. A forked child gives up the connections of threads that it does not have, and closes
    nothing.
    """

    def __init__(self, connection: _Connection) -> None:
        self.connection, self._pid = connection, os.getpid()

    def __del__(self, getpid: Callable[[], int] = os.getpid) -> None:
        if self._pid == getpid():
            with self.connection.turn, suppress(sqlite3.Error):
                self.connection.close()


#: Every open connection of this process.
_connections: WeakSet[_Connection] = WeakSet()


#: Held while a connection is opened.
_opening = threading.RLock()
#: What `_stand_still` holds.
_held: list[Any] = []


def _stand_still() -> None:
    """Wait until no other thread is within a statement, before a fork.

    The child would inherit the unfinished statement: SQLite's record of the locks of the process would name it for ever,
    and the file could not be opened in the child.
    """
    _opening.acquire()
    for connection in list(_connections):
        connection.turn.acquire()
        _held.append(connection.turn)


def _go_on() -> None:
    while _held:
        _held.pop().release()
    _opening.release()


def _abandon_inherited() -> None:
    """Never close the connections that a forked child inherits.

    Closing one in the child could checkpoint and remove the log that the parent still writes
    (https://www.sqlite.org/howtocorrupt.html, section 2.6).
    """
    global _opening
    for connection in list(_connections):
        ctypes.pythonapi.Py_IncRef(ctypes.py_object(connection))
    _connections.clear()
    _held.clear()
    _opening = threading.RLock()


os.register_at_fork(before=_stand_still, after_in_parent=_go_on, after_in_child=_abandon_inherited)


class SqliteStore:
    """A bucket in a file. An `s3queue.ObjectStore`.

    Every put is one statement and one transaction. A version is a number that no other write in this file ever has, not
    even one before a delete.

    Args:
        path: of the file, made absolute now. The first put creates it, in a folder that exists; until then the store is
            empty. If the file is removed or replaced while it is in use, each further use raises `StoreUnsupported`
            until the store is closed: its content is gone, and version numbers begin again.
        durable: whether a put is on the disk before it is answered. If not, a power cut (not the crash of a process)
            may undo the last puts, which can run a message twice.
        busy_timeout_s: seconds to wait for another writer before `StoreUnavailable`.

    Raises:
        ConfigError: there is no path.
        StoreDenied: at a request: the folder does not exist, the file is no database, or this user may not write it.
    """

    def __init__(self, path: str | os.PathLike[str], *, durable: bool = True, busy_timeout_s: float = 10.0) -> None:
        name = os.fspath(path)
        if not name or name == ":memory:":
            raise ConfigError("a SqliteStore needs a file", "for a store in memory there is memory://")
        self.path = os.path.abspath(name)
        self.durable, self.busy_timeout_s = durable, busy_timeout_s
        self._connect_on_use()

    @classmethod
    def from_url(cls, url: str) -> SqliteStore:
        """``sqlite:///relative/path`` or ``sqlite:////absolute/path``, with ``?durable=false&busy_timeout_s=10``."""
        place = _urls.read(url, {"durable": _urls.boolean, "busy_timeout_s": _urls.seconds})
        if place.host:
            raise ConfigError(
                "a sqlite URL has three slashes before a relative path and four before an absolute one",
                "perhaps sqlite:///" + f"{place.host}/{place.path}".rstrip("/"),
            )
        return cls(place.path, **place.settings)

    @property
    def capabilities(self) -> Capabilities:
        return _CAPABILITIES

    @property
    def url(self) -> str:
        return _urls.write("sqlite", "", self.path, {"durable": None if self.durable else False})

    def __repr__(self) -> str:
        return f"SqliteStore({self.path!r})"

    def get(self, key: str, *, unless: str | None = None) -> Found | Unchanged | Missing:
        connection = self._reader()
        if connection is None:
            return _MISSING
        try:
            with connection.turn:
                row = connection.execute("SELECT version, body FROM objects WHERE key = ?", (key,)).fetchone()
        except sqlite3.Error as error:
            raise self._translated(error, "get", key) from error
        if row is None:
            return _MISSING
        version = str(row[0])
        return _UNCHANGED if version == unless else Found(row[1], version)

    def put(self, key: str, body: bytes, *, if_version: str | None) -> Stored | Conflict:
        connection = self._connection()
        self._check_file(connection)
        try:
            # One writer of this process at a time: SQLite's waiters poll, and a poller may starve.
            with self._writing, connection.turn:
                version = connection.next_version
                if version == connection.last_version:
                    version = _take_block(connection)
                connection.next_version = version + 1
                if if_version is None:
                    cursor = connection.execute(
                        "INSERT INTO objects (key, body, version) VALUES (?, ?, ?) ON CONFLICT DO NOTHING",
                        (key, body, version),
                    )
                else:
                    cursor = connection.execute(
                        "UPDATE objects SET body = ?, version = ? WHERE key = ? AND version = ?",
                        (body, version, key, int(if_version) if if_version.isdecimal() else -1),
                    )
        except sqlite3.Error as error:
            raise self._translated(error, "put", key) from error
        except OverflowError:
            raise StoreDenied("put", key, f"{len(body)} bytes are more than SQLite stores in one value") from None
        return Stored(str(version)) if cursor.rowcount == 1 else _CONFLICT

    def delete(self, keys: Sequence[str]) -> None:
        connection = self._reader()
        if connection is None:
            return
        try:
            with connection.turn:
                connection.execute(
                    "DELETE FROM objects WHERE key IN (SELECT value FROM json_each(?))", (json.dumps(list(keys)),)
                )
        except sqlite3.Error as error:
            raise self._translated(error, "delete", keys[0] if keys else "") from error

    def list(self, prefix: str, *, after: str = "", limit: int = 1000) -> Sequence[Listed]:
        connection = self._reader()
        if connection is None:
            return []
        start, above = (after, ">") if after >= prefix else (prefix, ">=")
        end = _successor(prefix)
        below = "AND key < ?" if end else ""
        try:
            with connection.turn:
                rows = connection.execute(
                    "SELECT key, CAST(version AS TEXT), length(body) FROM objects "
                    f"WHERE key {above} ? {below} ORDER BY key LIMIT ?",
                    (start, *([end] if end else []), min(limit, 1000)),
                )
                return [Listed._make(row) for row in rows]
        except sqlite3.Error as error:
            raise self._translated(error, "list", prefix) from error

    def close(self) -> None:
        """Close every thread's connection in this process. A thread that still uses one gets `StoreUnavailable`."""
        connections = list(self._open)
        self._connect_on_use()
        for connection in connections:
            with connection.turn:
                connection.close()

    def _connect_on_use(self) -> None:
        self._pid = os.getpid()
        self._mine = threading.local()
        self._writing = threading.RLock()
        self._open: WeakSet[_Connection] = WeakSet()

    def _reader(self) -> _Connection | None:
        """A connection for reads; None if there is no file yet."""
        hold: _Hold | None = getattr(self._mine, "hold", None)
        connection = hold.connection if hold is not None else None
        if connection is None and not os.path.exists(self.path):
            if not os.path.isdir(os.path.dirname(self.path)):
                raise _sqlite_errors.no_folder(self.path)
            if self._pid == os.getpid() and self._open:
                self._check_file(next(iter(self._open)))
            return None
        if connection is None or self._pid != os.getpid():
            connection = self._connection()
        now = time.monotonic()
        if now - connection.seen_at > _LOOK_S:
            self._check_file(connection)
            connection.seen_at = now
        return connection

    def _check_file(self, connection: _Connection) -> None:
        try:
            seen = os.stat(self.path)
            there = (seen.st_dev, seen.st_ino)
        except OSError:
            there = (0, 0)
        if there != connection.file:
            raise StoreUnsupported(
                "one file",
                f"{self.path} was {'removed' if there == (0, 0) else 'replaced'} while it was in use, and what this "
                "process stored in it is lost: stop every program that uses it, then start again",
            )

    def _connection(self) -> _Connection:
        if self._pid != os.getpid():
            self._connect_on_use()
        hold: _Hold | None = getattr(self._mine, "hold", None)
        if hold is None:
            hold = self._mine.hold = _Hold(self._connect())
        return hold.connection

    def _connect(self) -> _Connection:
        deadline = time.monotonic() + self.busy_timeout_s
        while True:
            try:
                with _opening:
                    connection = self._open_file()
                    self._open.add(connection)
                    _connections.add(connection)
                return connection
            except sqlite3.Error as error:
                # The switch to WAL does not wait for the busy time-out when several processes make it at once.
                if _sqlite_errors.primary(error) != sqlite3.SQLITE_BUSY or time.monotonic() > deadline:
                    raise self._translated(error, "open", self.path) from error
            time.sleep(0.01)

    def _open_file(self) -> _Connection:
        for other in self._open:
            self._check_file(other)  # this thread must open the same file as the others
        connection: _Connection | None = None
        try:
            connection = sqlite3.connect(
                self.path,
                timeout=self.busy_timeout_s,
                isolation_level=None,
                check_same_thread=False,
                factory=_Connection,
            )
            connection.turn = threading.RLock()
            connection.execute(f"PRAGMA synchronous = {'FULL' if self.durable else 'NORMAL'}")
            if connection.execute("PRAGMA journal_mode").fetchone()[0] != "wal":
                connection.execute("PRAGMA journal_mode = WAL")
            if not connection.execute("SELECT 1 FROM sqlite_schema WHERE name = 'blocks'").fetchone():
                connection.executescript(_SCHEMA)
            seen = os.stat(self.path)
            connection.file = seen.st_dev, seen.st_ino
            return connection
        except (sqlite3.Error, OSError) as error:
            if connection is not None:
                connection.close()
            if isinstance(error, OSError):
                raise StoreUnavailable("open", self.path, f"the file has vanished: {error.strerror}") from error
            raise

    def _translated(self, error: sqlite3.Error, operation: str, key: str) -> StoreError:
        return _sqlite_errors.named(error, self.path) or _sqlite_errors.translated(error, operation, key)

    def __getstate__(self) -> dict[str, object]:
        return {"path": self.path, "durable": self.durable, "busy_timeout_s": self.busy_timeout_s}

    def __setstate__(self, state: dict[str, object]) -> None:
        self.__dict__.update(state)
        self._connect_on_use()


def _take_block(connection: _Connection) -> int:
    row = connection.execute("UPDATE blocks SET taken = taken + 1 RETURNING taken").fetchone()
    first = int(row[0]) * _BLOCK
    connection.last_version = first + _BLOCK
    return first


def _successor(prefix: str) -> str:
    """The smallest string above everything that starts with ``prefix``; empty: there is none."""
    while prefix:
        last = ord(prefix[-1])
        if last < 0x10FFFF:
            return prefix[:-1] + chr(0xE000 if last + 1 == 0xD800 else last + 1)
        prefix = prefix[:-1]
    return ""
