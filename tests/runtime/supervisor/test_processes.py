from __future__ import annotations

import gc
import os
import signal
from typing import Any

import pytest
from multiprocess import connection

from s3queue.runtime.supervisor.causes import UNKNOWN
from s3queue.runtime.supervisor.processes import process_class
from tests.deadline import DEADLINE_S


def _end(status: int) -> None:
    os._exit(status)


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_end_of_a_process_is_known(method: str) -> None:
    process = process_class(method)(target=_end, args=(7,))
    process.start()
    process.join()
    assert process.exitcode == 7
    process.close()


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_end_of_a_process_that_another_has_waited_for_is_known(method: str) -> None:
    process = process_class(method)(target=_end, args=(7,))
    process.start()
    os.waitpid(process.pid, 0)
    assert connection.wait([process.sentinel], DEADLINE_S)
    assert process.exitcode == UNKNOWN
    process.join()
    process.close()


def test_fork_that_fails_leaves_no_descriptor_open(monkeypatch: pytest.MonkeyPatch) -> None:
    def no_room() -> int:
        raise OSError(12, "Cannot allocate memory")

    gc.collect()  # what other tests have left closes now, not between the looks
    before = set(os.listdir("/proc/self/fd"))
    monkeypatch.setattr(os, "fork", no_room)
    process: Any = process_class("fork")(target=signal.pause)
    with pytest.raises(OSError, match="allocate"):
        process.start()
    assert set(os.listdir("/proc/self/fd")) <= before
