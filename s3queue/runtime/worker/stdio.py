"""Output of tasks that cannot be written: ``s3queue run jobs | head -1``, a closed terminal, a log on a full disk."""

from __future__ import annotations

import contextlib
import errno
import io
import os
import sys
from typing import Any

#: Nothing was written, and a later write may succeed: the disk or the quota is full, or the file is as long as it may be.
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


class _Tap(io.FileIO):
    """A descriptor that becomes /dev/null when its reader is gone, and drops output for which a full disk has no room."""

    def write(self, data: Any, /) -> int:
        try:
            return super().write(data)
        except OSError as fault:
            if fault.errno not in _FULL:
                # For whatever writes there after this, programs that tasks start included.
                null = os.open(os.devnull, os.O_WRONLY)
                os.dup2(null, self.fileno())
                os.close(null)
            return memoryview(data).nbytes


def survive_broken_output() -> None:
    """From here on printing raises nothing, whatever happens to the pipe, terminal or file behind it."""
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        with contextlib.suppress(OSError, ValueError, AttributeError):
            if type(stream) is not io.TextIOWrapper:
                continue
            with contextlib.suppress(OSError):
                stream.flush()
            tap = _Tap(stream.fileno(), "w", closefd=False)
            again = io.TextIOWrapper(
                io.BufferedWriter(tap),
                encoding=stream.encoding,
                errors=stream.errors,
                line_buffering=stream.line_buffering,
                write_through=stream.write_through,
            )
            setattr(sys, name, again)
