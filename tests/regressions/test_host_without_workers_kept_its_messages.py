"""A host whose worker was gone, and not replaced for a while, kept what it had claimed, while another one idled."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

from s3queue.core.records import Message
from s3queue.store import ObjectStore
from tests.deadline import DEADLINE_S
from tests.processes.host import Line, host, send
from tests.processes.jobs import hold_first, nap


def test_host_without_a_worker_gives_back_what_it_holds(disk: ObjectStore, tmp_path: Path) -> None:
    runs, started, never = tmp_path / "runs", Line(tmp_path / "started"), Line(tmp_path / "never")
    # Some first: a host that knows how long they take claims many, and deals one at a time.
    nap.enqueue_many([(str(runs), number) for number in range(5)])
    messages = [Message("hold_first", hold_first.encode((started.path, never.path), {}))]
    messages += [Message("nap", nap.encode((str(runs), number), {})) for number in range(5, 15)]
    send(disk, messages)
    with host(disk, workers=1, visibility_timeout=60.0) as one:
        _, pid, _ = started.word()
        with host(disk, workers=1, visibility_timeout=60.0):
            os.kill(one.pid, signal.SIGSTOP)  # nobody replaces its worker
            os.kill(int(pid), signal.SIGKILL)
            deadline = time.monotonic() + DEADLINE_S
            while len(runs.read_text().splitlines()) < 15:
                assert time.monotonic() < deadline, "they wait for a host without a worker"
            os.kill(one.pid, signal.SIGCONT)
            assert started.word()[0] == "2"
    started.close()
    never.close()
