"""The clock that all processes of a machine share."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial

__all__ = ["clock"]

#: Seconds that also pass while the machine is suspended, and that all processes of it share: a paused host must
#: notice that time has passed. Where there is no such clock (macOS: its monotonic clock stops in sleep) a monotonic
#: one has to do.
clock: Callable[[], float] = (
    partial(time.clock_gettime, time.CLOCK_BOOTTIME) if hasattr(time, "CLOCK_BOOTTIME") else time.monotonic
)
