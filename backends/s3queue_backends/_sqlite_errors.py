"""The meaning of SQLite's errors."""

from __future__ import annotations

import errno
import os
import sqlite3

from s3queue.errors import OutcomeUnknown, StoreDenied, StoreError, StoreUnavailable
from s3queue_backends._errors import MORE_FILES, OUT_OF_FILES

#: Meaning of each primary result code (https://www.sqlite.org/rescode.html). Any other is `StoreUnavailable`.
ERRORS: dict[int, type[StoreError]] = {
    sqlite3.SQLITE_BUSY: StoreUnavailable,
    sqlite3.SQLITE_LOCKED: StoreUnavailable,
    sqlite3.SQLITE_PROTOCOL: StoreUnavailable,
    sqlite3.SQLITE_NOMEM: StoreUnavailable,
    sqlite3.SQLITE_INTERRUPT: StoreUnavailable,
    # The frames that did not fit lack a valid checksum, so recovery ignores them: not applied.
    sqlite3.SQLITE_FULL: StoreUnavailable,
    # For a put, see _IO_BEFORE_COMMIT.
    sqlite3.SQLITE_IOERR: StoreUnavailable,
    sqlite3.SQLITE_PERM: StoreDenied,
    sqlite3.SQLITE_READONLY: StoreDenied,
    sqlite3.SQLITE_CANTOPEN: StoreDenied,
    sqlite3.SQLITE_NOTADB: StoreDenied,
    sqlite3.SQLITE_CORRUPT: StoreDenied,
    sqlite3.SQLITE_AUTH: StoreDenied,
    sqlite3.SQLITE_TOOBIG: StoreDenied,
    sqlite3.SQLITE_ERROR: StoreDenied,
}

#: I/O errors that a put meets before it writes. After any other the commit frame may be in the log, and recovery
#: after a crash may find it there.
_IO_BEFORE_COMMIT = {
    sqlite3.SQLITE_IOERR_READ,
    sqlite3.SQLITE_IOERR_SHORT_READ,
    sqlite3.SQLITE_IOERR_LOCK,
    sqlite3.SQLITE_IOERR_RDLOCK,
    sqlite3.SQLITE_IOERR_SHMOPEN,
    sqlite3.SQLITE_IOERR_SHMSIZE,
    sqlite3.SQLITE_IOERR_SHMLOCK,
    sqlite3.SQLITE_IOERR_SHMMAP,
    sqlite3.SQLITE_IOERR_NOMEM,
    sqlite3.SQLITE_IOERR_ACCESS,
    sqlite3.SQLITE_IOERR_FSTAT,
}


def _code(error: sqlite3.Error) -> int:
    code: int | None = getattr(error, "sqlite_errorcode", None)
    return sqlite3.SQLITE_ERROR if code is None else code


def primary(error: sqlite3.Error) -> int:
    """The primary result code of an error."""
    return _code(error) & 0xFF


def translated(error: sqlite3.Error, operation: str, key: str) -> StoreError:
    """The exception for an error of SQLite."""
    code = _code(error)
    kind = ERRORS.get((code & 0xFF), StoreUnavailable)
    if isinstance(error, sqlite3.ProgrammingError):  # closed by close() in another thread
        kind = StoreUnavailable
    if operation == "put" and (code & 0xFF) == sqlite3.SQLITE_IOERR and code not in _IO_BEFORE_COMMIT:
        kind = OutcomeUnknown
    name = getattr(error, "sqlite_errorname", "")
    return kind(operation, key, f"{error} ({name})" if name else str(error))


def no_folder(path: str) -> StoreDenied:
    """The error for a file whose folder does not exist."""
    return StoreDenied(
        "open", path, f"the folder {os.path.dirname(path)} does not exist", "create it, or correct the path"
    )


def named(error: sqlite3.Error, path: str) -> StoreError | None:
    """An exception with the cause of "unable to open database file"; None: the cause cannot be found."""
    if primary(error) == sqlite3.SQLITE_NOTADB:
        return StoreDenied("open", path, "this is not a SQLite database", "name another file")
    if primary(error) not in (sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_PERM):
        return None
    folder = os.path.dirname(path)
    try:
        os.close(os.open(folder, os.O_RDONLY))
    except OSError as why:
        if why.errno in (errno.EMFILE, errno.ENFILE):
            return StoreUnavailable("open", path, OUT_OF_FILES, MORE_FILES)
        if why.errno in (errno.ENOENT, errno.ENOTDIR):
            return no_folder(path)
    if os.path.isdir(path):
        return StoreDenied("open", path, "this is a folder, not a file", "name a file in it")
    if not os.access(folder, os.W_OK | os.X_OK) or (os.path.exists(path) and not os.access(path, os.W_OK)):
        return StoreDenied("open", path, "this user may not write there", "check the permissions of file and folder")
    return None
