"""Events and measurements of the other processes of a host, for the processes that collect them.

The connection is a stream socket in the folder of the host; each record is preceded by its length. A listener that is
replaced listens again at the same path. Senders wait for a listener only for a moment: records that it does not take in
time, or that are sent while it is away, are lost.
"""

from __future__ import annotations

import contextlib
import os
import socket
import struct
import threading
import time
from pathlib import Path
from typing import Any

import msgspec

__all__ = ["Ear", "Listener", "open_ear"]

#: Seconds that a sender waits for a listener that has not taken earlier records.
_WAIT_S = 0.1
#: Seconds without a further try after a listener was away or too slow.
_AWAY_S = 1.0
#: Bytes between sender and listener.
_ROOM = 1 << 20
_LENGTH = struct.Struct("<I")

_encode = msgspec.msgpack.Encoder(enc_hook=str).encode
_decode = msgspec.msgpack.Decoder(dict[str, Any]).decode


class Ear:
    """The sender's side. Connects when the first record is sent, and again after a fork. For any thread.

    Args:
        path: of the listener's socket.
        kinds: of the events that it wants.
    """

    def __init__(self, path: str, kinds: frozenset[str] = frozenset()) -> None:
        self.path, self.kinds = path, kinds
        self._socket: socket.socket | None = None
        self._pid = 0
        self._away_until = 0.0
        self._lock = threading.Lock()

    def __reduce__(self) -> tuple[Any, ...]:
        return Ear, (self.path, self.kinds)

    def hear(self, record: dict[str, Any]) -> bool:
        """Send a record. False: it is lost, since the listener is away, or has not taken earlier ones."""
        body = _encode(record)
        if self._pid != os.getpid():  # its lock may have been held when this process was forked
            self._hang_up()  # our copy of it
            self._pid, self._lock, self._away_until = os.getpid(), threading.Lock(), 0.0
        with self._lock:
            if time.monotonic() < self._away_until:
                return False
            try:
                if self._socket is None:
                    self._socket = self._connect()
                self._socket.sendall(_LENGTH.pack(len(body)) + body)
                return True
            except OSError:
                self._hang_up()
                self._away_until = time.monotonic() + _AWAY_S
                return False

    def close(self) -> None:
        """Close the connection. Records that were sent still arrive."""
        self._hang_up()

    def _connect(self) -> socket.socket:
        connected = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            connected.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _ROOM)
            connected.settimeout(_WAIT_S)
            connected.connect(self.path)
        except BaseException:
            connected.close()
            raise
        return connected

    def _hang_up(self) -> None:
        if self._socket is not None:
            with contextlib.suppress(OSError):
                self._socket.close()
        self._socket = None


def open_ear(path: str) -> socket.socket:
    """A socket for a `Listener`, now or later: records that are sent meanwhile wait for it. Replaces an older socket
    there."""
    Path(path).unlink(missing_ok=True)
    door = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    door.bind(path)
    door.listen(128)
    return door


class Listener:
    """The listener's side.

    Args:
        door: from `open_ear`.
    """

    def __init__(self, door: socket.socket) -> None:
        self.path: str = door.getsockname()
        self._door = door
        self._door.setblocking(False)
        #: The received part of a record that is not complete yet, by connection.
        self._callers: dict[socket.socket, bytearray] = {}

    def watched(self) -> list[socket.socket]:
        """The sockets that become readable when there are records."""
        return [self._door, *self._callers]

    def heard(self) -> list[dict[str, Any]]:
        """The records that have come, those of each sender in order: at most some hundred kilobytes of each. Never
        waits."""
        with contextlib.suppress(OSError):
            while True:
                caller, _ = self._door.accept()
                caller.setblocking(False)
                self._callers[caller] = bytearray()
        records: list[dict[str, Any]] = []
        for caller in list(self._callers):
            try:
                data = caller.recv(262_144)
            except BlockingIOError:
                continue
            except OSError:
                data = b""
            if not data:
                caller.close()
                del self._callers[caller]
                continue
            self._callers[caller] += data
            records += _records(self._callers[caller])
        return records

    def close(self) -> None:
        """Close the socket and all connections."""
        for caller in (*self._callers, self._door):
            caller.close()
        self._callers.clear()
        Path(self.path).unlink(missing_ok=True)


def _records(rest: bytearray) -> list[dict[str, Any]]:
    """Take the complete records out of a buffer."""
    records: list[dict[str, Any]] = []
    at = 0
    while len(rest) - at >= _LENGTH.size:
        (length,) = _LENGTH.unpack_from(rest, at)
        end = at + _LENGTH.size + length
        if len(rest) < end:
            break
        with contextlib.suppress(msgspec.DecodeError):
            records.append(_decode(bytes(rest[at + _LENGTH.size : end])))
        at = end
    del rest[:at]
    return records
