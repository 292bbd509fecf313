"""The reference store: a dict behind a lock, which promises no more than the weakest real store.

A version is a hash of the body, like an S3 ETag: equal bodies have equal versions. A queue that relied on more than
that would fail here.
"""

from __future__ import annotations

import os
import signal
import threading
import uuid
from bisect import bisect_left, bisect_right, insort
from collections.abc import Sequence
from hashlib import md5
from typing import Any
from urllib.parse import quote, unquote
from weakref import WeakValueDictionary

import msgspec

from s3queue.errors import ConfigError, OutcomeUnknown, StoreUnavailable, StoreUnsupported
from s3queue.store import Capabilities, Conflict, Found, Listed, Missing, Stored, Unchanged
from s3queue_backends import _urls

_CAPABILITIES = Capabilities("memory", requests_cost=False)
_MISSING, _UNCHANGED, _CONFLICT = Missing(), Unchanged(), Conflict()
_rows = msgspec.msgpack.Decoder(list[Listed])


class _Contents:
    """Objects by key, and their keys in order.

    Python compares strings by code point, which is the order of their UTF-8 bytes.
    """

    def __init__(self, objects: dict[str, Found] | None = None) -> None:
        self.objects = objects or {}
        # One row per object, ready for listings, which the coordinator asks for far more often than rows change.
        self._rows = {key: Listed(key, found.version, len(found.body)) for key, found in self.objects.items()}
        self._keys = sorted(self.objects)
        self._lock = threading.Lock()

    def get(self, key: str, unless: str | None) -> Found | Unchanged | Missing:
        found = self.objects.get(key)
        if found is None:
            return _MISSING
        return _UNCHANGED if found.version == unless else found

    def put(self, key: str, body: bytes, if_version: str | None) -> Stored | Conflict:
        version = md5(body, usedforsecurity=False).hexdigest()
        with self._lock:
            there = self.objects.get(key)
            if (there.version if there else None) != if_version:
                return _CONFLICT
            if there is None:
                insort(self._keys, key)
            self.objects[key] = Found(body, version)
            self._rows[key] = Listed(key, version, len(body))
        return Stored(version)

    def delete(self, keys: Sequence[str]) -> None:
        with self._lock:
            for key in keys:
                if self.objects.pop(key, None) is not None:
                    del self._rows[key], self._keys[bisect_left(self._keys, key)]

    def list(self, prefix: str, after: str, limit: int) -> Sequence[Listed]:
        with self._lock:
            start = bisect_right(self._keys, after) if after >= prefix else bisect_left(self._keys, prefix)
            page = self._keys[start : start + limit]
            if page and not page[-1].startswith(prefix):
                del page[bisect_left(page, True, key=lambda key: not key.startswith(prefix)) :]
            rows = self._rows
            return [rows[key] for key in page]

    def packed_list(self, prefix: str, after: str, limit: int) -> bytes:
        """A listing as one value for the connection, where a thousand pickled tuples would take 20 ms."""
        return msgspec.msgpack.encode(self.list(prefix, after, limit))

    def dump(self) -> dict[str, Found]:
        with self._lock:
            return dict(self.objects)


# In the server process --------------------------------------------------------------------------------------------

_served: _Contents


def _serve(objects: dict[str, Found]) -> None:
    global _served
    _served = _Contents(objects)
    # Ctrl-C and a group-wide SIGTERM reach this process too, while workers still drain into it. It ends when its owner
    # says so, or with its owner.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    threading.Thread(target=_end_with_owner, daemon=True).start()


def _end_with_owner() -> None:
    """End this process when the owner, and everything that it forked, are gone: then the pipe behind this sentinel
    closes."""
    from multiprocess import process

    owner = process.parent_process()
    assert owner is not None
    owner.join()
    os._exit(0)


def _served_contents() -> _Contents:
    return _served


def _manager_class() -> Any:
    """Imported when needed: dill, behind `multiprocess`, is slow to import and a simulator never shares."""
    from multiprocess.managers import BaseManager

    class Manager(BaseManager):  # type: ignore[misc]
        pass

    Manager.register("contents", _served_contents, exposed=("get", "put", "delete", "packed_list", "dump"))
    return Manager


# In every process that uses it ------------------------------------------------------------------------------------


class _Remote:
    """The contents in a manager process. One connection per process and thread, made on first use."""

    def __init__(self, address: Any, authkey: bytes) -> None:
        self._address, self._authkey = address, authkey
        self._pid, self._proxy = 0, None

    def __reduce__(self) -> tuple[type[_Remote], tuple[Any, bytes]]:
        return type(self), (self._address, self._authkey)

    def get(self, key: str, unless: str | None) -> Found | Unchanged | Missing:
        return self._call("get", key, unless)  # type: ignore[no-any-return]

    def put(self, key: str, body: bytes, if_version: str | None) -> Stored | Conflict:
        return self._call("put", key, body, if_version)  # type: ignore[no-any-return]

    def delete(self, keys: Sequence[str]) -> None:
        self._call("delete", keys)

    def list(self, prefix: str, after: str, limit: int) -> Sequence[Listed]:
        return _rows.decode(self._call("packed_list", prefix, after, limit))

    def dump(self) -> dict[str, Found]:
        return self._call("dump", "")  # type: ignore[no-any-return]

    def close(self) -> None:
        self._proxy = None

    def _call(self, operation: str, key: Any, *rest: object) -> Any:
        name, shown = key if isinstance(key, str) else "", operation.removeprefix("packed_")
        proxy = self._proxy if self._pid == os.getpid() else None
        try:
            proxy = proxy or self._connect()
        except (OSError, EOFError) as lost:
            raise StoreUnavailable(shown, name, f"its manager process is gone ({type(lost).__name__})") from lost
        args = rest if operation == "dump" else (key, *rest)
        try:
            return proxy._callmethod(operation, args)
        except (ConnectionRefusedError, FileNotFoundError) as refused:
            self._proxy = None
            raise StoreUnavailable(shown, name, "its manager process is gone") from refused
        except (OSError, EOFError) as lost:
            self._proxy = None
            failure = OutcomeUnknown if operation == "put" else StoreUnavailable
            raise failure(shown, name, "the connection to its manager process broke") from lost

    def _connect(self) -> Any:
        from multiprocess.managers import BaseProxy

        if self._pid not in (0, os.getpid()):
            # A plain os.fork() leaves the parent's connections in this table, and two processes would share them.
            BaseProxy._address_to_local.pop(self._address, None)
        manager = _manager_class()(self._address, self._authkey)
        manager.connect()
        self._pid, self._proxy = os.getpid(), manager.contents()
        return self._proxy


class _Home:
    """The contents of one name, for every store object of that name in this process."""

    def __init__(self) -> None:
        self.pid = os.getpid()
        self.here: _Contents | None = _Contents()
        self.elsewhere: _Remote | None = None
        self.manager: Any = None
        self.lock = threading.Lock()


_homes: WeakValueDictionary[str, _Home] = WeakValueDictionary()


class MemoryStore:
    """A store in the memory of this process. For tests and experiments. An `s3queue.ObjectStore`.

    Stores of one name share their contents within this process. `share` moves the contents to a manager process, where
    children can use them. Before that, pickling the store and using it after a fork are refused: both would silently
    use a copy.

    Args:
        name: of the contents; None: contents of its own.

    Raises:
        StoreUnsupported: at a request in a forked child, unless the store is shared.
    """

    def __init__(self, name: str = "") -> None:
        self.name = name or uuid.uuid4().hex
        home = _homes.get(self.name)
        if home is None:
            home = _homes[self.name] = _Home()
        self._home = home

    @classmethod
    def from_url(cls, url: str) -> MemoryStore:
        """``memory://`` (contents of its own) or ``memory://name``."""
        place = _urls.read(url, {})
        return cls(unquote(f"{place.host}/{quote(place.path)}".strip("/")))

    @property
    def capabilities(self) -> Capabilities:
        return _CAPABILITIES

    @property
    def url(self) -> str:
        return _urls.write("memory", quote(self.name))

    def __repr__(self) -> str:
        return f"MemoryStore({self.name!r})"

    def get(self, key: str, *, unless: str | None = None) -> Found | Unchanged | Missing:
        return self._contents().get(key, unless)

    def put(self, key: str, body: bytes, *, if_version: str | None) -> Stored | Conflict:
        return self._contents().put(key, bytes(body), if_version)

    def delete(self, keys: Sequence[str]) -> None:
        self._contents().delete(keys)

    def list(self, prefix: str, *, after: str = "", limit: int = 1000) -> Sequence[Listed]:
        return self._contents().list(prefix, after, min(limit, 1000))

    def share(self) -> None:
        """Move the contents to a manager process, until `close` moves them back.

        From then on this object, its copies in forked children and its pickles all use that process, which ends with
        this one.
        """
        from multiprocess import get_context

        home = self._home
        with home.lock:
            if home.elsewhere is not None:
                return
            contents = self._contents()
            manager = _manager_class()(authkey=os.urandom(32), ctx=get_context("fork"))
            manager.start(_serve, (contents.dump(),))
            home.manager, home.elsewhere, home.here = manager, _Remote(manager.address, bytes(manager._authkey)), None

    def close(self) -> None:
        """In the process that called `share`: take the contents back, and end the manager process. In others:
        disconnect."""
        home = self._home
        with home.lock:
            if home.elsewhere is None:
                return
            if home.manager is None or home.pid != os.getpid():
                home.elsewhere.close()
                return
            try:
                home.here = _Contents(home.elsewhere.dump())
                home.elsewhere.close()
                home.elsewhere = None
            except StoreUnavailable:
                pass  # the manager was killed; every further use says so
            home.manager.shutdown()
            home.manager = None

    def _contents(self) -> _Contents | _Remote:
        home = self._home
        if home.elsewhere is not None:
            return home.elsewhere
        if home.pid != os.getpid() or home.here is None:
            raise StoreUnsupported("use in another process", "call share() on a MemoryStore before the fork")
        return home.here

    def __getstate__(self) -> dict[str, object]:
        if self._home.elsewhere is None:
            raise ConfigError("a MemoryStore lives in one process", "call share() before handing it to another")
        return {"name": self.name, "remote": self._home.elsewhere}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.name = state["name"]
        home = _homes.get(self.name)
        if home is None or home.elsewhere is None:
            home = _Home()
            home.here, home.elsewhere = None, state["remote"]
            _homes[self.name] = home
        self._home = home
