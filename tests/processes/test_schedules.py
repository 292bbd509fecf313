"""Schedules tick while hosts come and go."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from s3queue.core.keys import Layout
from s3queue.operate.schedules import Schedules
from s3queue.queue import Queue
from s3queue.store import ObjectStore
from tests.deadline import DEADLINE_S
from tests.processes.host import IMPATIENT, Line, board, host
from tests.processes.jobs import timed

Fifo = Callable[[str], Line]


def test_tick_is_enqueued_once_whoever_leads(store: ObjectStore, fifo: Fifo) -> None:
    started = fifo("started")
    of = Schedules(store)
    of.set("beat", timed, args=(started.path,), every=1, catch_up="all")
    ran: list[tuple[int, str]] = []

    def hear() -> None:
        tick, session = started.word()
        ran.append((int(float(tick)), session))

    def hear_three_of_this_host() -> None:
        """Others may have said more before they were killed."""
        others, heard = {session for _, session in ran}, len(ran)
        while sum(session not in others for _, session in ran[heard:]) < 3:
            hear()

    for _ in range(2):
        with host(store, workers=1, concurrency=1, **IMPATIENT) as it:
            hear_three_of_this_host()
            it.kill_tree()
    with host(store, workers=1, concurrency=1, **IMPATIENT) as it:
        hear_three_of_this_host()
        of.remove("beat")
        it.signal(signal.SIGTERM)
        it.summary()
    first, last = ran[0][0], board(store).schedules["beat"].last_ms // 1000
    missing = set(range(first, last + 1)) - {tick for tick, _ in ran}
    # One that a killed host had claimed comes when that is known to be dead, and maybe behind those that came after it.
    with host(store, until_empty=True, workers=1, concurrency=1, **IMPATIENT) as it:
        while missing:
            hear()
            missing.discard(ran[-1][0])
        it.summary()
    assert {tick for tick, _ in ran} == set(range(first, last + 1)), "every second, and none is left out"
    assert len(set(ran)) == len(ran), "what a killed host had not stored runs again, elsewhere; nothing else does"


def test_schedule_runs_now_while_it_is_paused_and_its_next_tick_is_known(store: ObjectStore, fifo: Fifo) -> None:
    started = fifo("started")
    of = Schedules(store)
    of.set("daily", timed, args=(started.path,), cron="30 2 * * *", tz="Europe/Berlin")
    of.pause("daily")
    with host(store, workers=1, concurrency=1, **IMPATIENT) as it:
        assert of.run("daily") == "ready"
        assert started.word()[0] != "0.0"
        assert of.run("nightly") == "absent"
        of.resume("daily")
        it.signal(signal.SIGTERM)
        it.summary()
    one = of.get("daily")
    assert one is not None
    assert one.next is not None
    assert (one.paused, one.next.minute, one.next.second) == (False, 30, 0)
    assert Queue(timed.queue, store).stats().done == 1


def test_code_declares_a_schedule_and_takes_it_back(store: ObjectStore, fifo: Fifo, tmp_path: Path) -> None:
    started = fifo("started")
    module = tmp_path / "declaring.py"
    of = Schedules(store)

    def release(decorator: str) -> None:
        module.write_text(
            "import os, s3queue\n"
            f"@s3queue.task('own', {decorator})\n"
            "def tick(who: str = 'x') -> None:\n"
            f"    fd = os.open({started.path!r}, os.O_WRONLY); os.write(fd, b'ticked\\n'); os.close(fd)\n"
            "@s3queue.task('own')\n"
            "def other() -> None: ...\n"
        )

    def serve() -> subprocess.Popen[bytes]:
        root = Path(__file__).parents[2]
        command = "from s3queue.cli import main; main()"
        args = ["run", "declaring", "--store", store.url, "--workers", "1"]
        path = os.pathsep.join([str(root), str(root / "backends")])
        return subprocess.Popen(
            [sys.executable, "-c", command, *args],
            cwd=tmp_path,
            env=os.environ | {"PYTHONPATH": path, "S3QUEUE_LEADER_LEASE": "1", "PYTHONDONTWRITEBYTECODE": "1"},
        )

    for decorator, tells in (("every=1", 1), ("every=3600", 3600), ("every=1", 1)):
        release(decorator)
        process = serve()
        try:
            if tells == 1:
                assert started.word() == ["ticked"]
            _wait(lambda tells=tells: [one.every for one in of.all() if one.last] == [tells])
        finally:
            process.terminate()
            process.wait(DEADLINE_S)
    (one,) = of.all()
    assert (one.name, one.queue, one.task, one.declared) == ("own.tick", "own", "tick", True)
    release("max_attempts=1")
    process = serve()
    try:
        _wait(lambda: of.all() == [])
        _wait(lambda: len(list(store.list(f"{Layout().root}/schedules/"))) <= 1)
    finally:
        process.terminate()
        process.wait(DEADLINE_S)


def _wait(holds: Callable[[], bool]) -> None:
    import time

    deadline = time.monotonic() + DEADLINE_S
    while not holds():
        assert time.monotonic() < deadline, "it does not come to hold"
        time.sleep(0.05)
