"""Processes that a task forks: they end where the task's code ends, and never act as workers."""

from __future__ import annotations

import contextlib
import os
import sys
import traceback
from typing import NoReturn

#: True in a process that a task has forked.
_strange = [False]
_adopted = False


def adopt() -> list[bool]:
    """Declare this process a worker. Processes that it forks are not, and find True in the list."""
    global _adopted
    _strange[0] = False
    if not _adopted:
        os.register_at_fork(after_in_child=_disown)
        _adopted = True
    return _strange


def _disown() -> None:
    _strange[0] = True


def part(raised: BaseException | None) -> NoReturn:
    """End a process that is not the worker, with the status that Python would give it."""
    status: object = 0
    with contextlib.suppress(BaseException):
        match raised:
            case None:
                pass
            case SystemExit():
                status = raised.code if isinstance(raised.code, int) else int(raised.code is not None)
                if raised.code is not None and not isinstance(raised.code, int):
                    print(raised.code, file=sys.stderr)
            case _:
                status = 1
                traceback.print_exception(raised)
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(BaseException):
            stream.flush()
    os._exit(status & 0xFF if isinstance(status, int) else 1)
