"""A wall clock that another process sets, for a process and all that it forks."""

from __future__ import annotations

import mmap
import os
import struct
import time
from pathlib import Path

_NS = struct.Struct("<q")


class Clock:
    """How far a party's wall clock is off, in a file that both sides map.

    It goes wrong for Python code that asks `time`; the SDKs, which sign requests with the time of `datetime`, stay right:
    a service refuses clocks that are minutes off, and what is to be tested is what the queue makes of them.
    """

    def __init__(self, path: Path) -> None:
        with open(path, "a+b") as file:
            if os.fstat(file.fileno()).st_size < _NS.size:
                file.write(_NS.pack(0))
                file.flush()
            self._map = mmap.mmap(file.fileno(), _NS.size)

    @property
    def skew_s(self) -> float:
        return float(_NS.unpack_from(self._map)[0]) / 1e9

    def set(self, skew_s: float) -> None:
        _NS.pack_into(self._map, 0, int(skew_s * 1e9))

    def install(self) -> None:
        """Make it the wall clock of this process, and of those that it forks from now on."""
        right, unpack, where = time.time_ns, _NS.unpack_from, self._map

        def time_ns() -> int:
            skew: int = unpack(where)[0]
            return right() + skew

        def time_s() -> float:
            return time_ns() / 1e9

        time.time_ns = time_ns
        time.time = time_s
