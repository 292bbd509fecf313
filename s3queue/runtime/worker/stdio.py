"""Output of tasks that nobody reads any more: ``s3queue run jobs | head -1``."""

from __future__ import annotations

import contextlib
import io
import os
import stat
import sys
from typing import Any


class _Tap(io.FileIO):
    """A descriptor that goes on as /dev/null when its reader is gone."""

    def write(self, data: Any, /) -> int:
        try:
            return super().write(data)
        except BrokenPipeError:
            # For whatever writes there after this, programs that tasks start included.
            null = os.open(os.devnull, os.O_WRONLY)
            os.dup2(null, self.fileno())
            os.close(null)
            return memoryview(data).nbytes


def survive_broken_pipes() -> None:
    """From here on a print to a pipe that is broken raises nothing. Streams that are no pipe stay as they are."""
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        with contextlib.suppress(OSError, ValueError, AttributeError):
            mode = os.fstat(stream.fileno()).st_mode
            if type(stream) is not io.TextIOWrapper or not (stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode)):
                continue
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
