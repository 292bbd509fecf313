"""Children that cannot start, die young, or find a store that does not answer."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from multiprocess import connection
from s3queue_backends.sqlite import SqliteStore

from s3queue import QueueError, StoreDenied, StoreUnavailable, stats
from s3queue.config import Config, configure
from s3queue.errors import StoreError
from s3queue.runtime.supervisor import starting
from s3queue.runtime.supervisor.loop import Host
from s3queue.runtime.supervisor.patience import STILLBIRTHS, Patience
from s3queue.runtime.worker import main as worker_main
from s3queue.store import Conflict, Found, Listed, Missing, ObjectStore, Stored, Unchanged
from s3queue.supervisor import Summary, Supervisor
from tests.deadline import DEADLINE_S
from tests.processes.host import Line, drain
from tests.processes.jobs import QUEUE, brittle, hold, quick
from tests.processes.test_death import numbers

Fifo = Callable[[str], Line]


# ---- no room


class Room:
    """Fails some calls of a function, by their number, and makes the others."""

    def __init__(self, function: Callable[..., Any], code: int, failing: set[int]) -> None:
        self._function, self._code, self._failing = function, code, failing
        self.calls = 0

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        self.calls += 1
        if self.calls in self._failing:
            raise OSError(self._code, os.strerror(self._code))
        return self._function(*args, **kwargs)


@pytest.mark.parametrize("failing", [{1, 2}, {2, 3, 4}], ids=["agent", "worker"])
@pytest.mark.parametrize("what", ["fork", "Pipe"])
def test_child_that_the_system_has_no_room_for_is_started_later(
    store: ObjectStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, what: str, failing: set[int]
) -> None:
    runs = tmp_path / "runs"
    quick.enqueue_many([(str(runs), number) for number in range(20)])
    if what == "fork":
        room = Room(os.fork, errno.ENOMEM, failing)
        monkeypatch.setattr(os, "fork", room)
    else:
        room = Room(connection.Pipe, errno.EMFILE, failing)
        monkeypatch.setattr(connection, "Pipe", room)
    summary = drain(store, queues=[QUEUE], workers=1)
    assert room.calls >= max(failing) + 1
    assert Counter(numbers(runs)) == Counter(range(20))
    assert (summary.deaths, summary.drained) == (0, True)


def test_host_gives_up_only_after_a_while_in_which_nothing_can_start(
    store: ObjectStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    room = Room(os.fork, errno.ENOMEM, set(range(1000)))
    monkeypatch.setattr(os, "fork", room)
    # A clock by which each attempt takes two fifths of the time that it goes on for.
    monkeypatch.setattr(starting, "clock", lambda: room.calls * starting.ROOM_S * 0.4)
    with pytest.raises(QueueError, match=r"giving up: no process can be started: .*allocate"):
        drain(store, queues=[QUEUE], workers=1)
    assert room.calls == 3


# ---- dying young


@pytest.fixture
def stillborn(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[..., Path]:
    """Have some workers end before they are up; the file has a line for each."""
    really = worker_main.main

    def make(*which: int) -> Path:
        file = tmp_path / "stillborn"
        file.touch()

        def main(spec: Any) -> None:
            if spec.worker in which:
                with file.open("a") as lines:
                    lines.write(f"{spec.worker}\n")
                os._exit(3)
            really(spec)

        monkeypatch.setattr(worker_main, "main", main)
        return file

    return make


def test_worker_that_keeps_dying_at_start_ends_nobody_who_works(
    store: ObjectStore, fifo: Fifo, stillborn: Callable[..., Path]
) -> None:
    started, release = fifo("started"), fifo("release")
    file = stillborn(1)
    hold.enqueue(started.path, release.path)
    with running(store, workers=2, until_empty=True) as it:
        _, pid, _ = started.word()
        deadline = time.monotonic() + DEADLINE_S
        while len(file.read_text().splitlines()) <= STILLBIRTHS:
            assert time.monotonic() < deadline, "it is not tried again"
            time.sleep(0.05)
        assert Path(f"/proc/{pid}").exists()
        release.release()
        summary = it.summary()
    assert summary.drained
    assert stats(store, exact=True).queues[QUEUE].done == 1


def test_host_of_which_no_worker_can_start_gives_up(
    store: ObjectStore, tmp_path: Path, stillborn: Callable[..., Path]
) -> None:
    stillborn(0, 1)
    quick.enqueue(str(tmp_path / "runs"), 1)
    with pytest.raises(QueueError, match=r"giving up: worker \d .* exited with status 3, for the \d+th time"):
        drain(store, queues=[QUEUE], workers=2)


def test_worker_that_crashes_on_every_tenth_message_is_replaced_at_once(
    store: ObjectStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    waits: list[float] = []
    really = Patience.died

    def died(self: Patience, **how: Any) -> float:
        waits.append(really(self, **how))
        return waits[-1]

    monkeypatch.setattr(Patience, "died", died)
    runs = tmp_path / "runs"
    brittle.enqueue_many([(str(runs), number) for number in range(200)])
    summary = drain(store, queues=[QUEUE], workers=2)
    assert Counter(numbers(runs)) == Counter(range(200))
    assert summary.deaths == 20
    assert set(waits) == {0.0}


# ---- no answer


class Flaky(SqliteStore):
    """Does what a file says: ``away`` does not answer, ``hangs`` never comes back, ``denied`` refuses, and anything else is
    a store."""

    def __init__(self, path: Path) -> None:
        super().__init__(str(path / "store.db"))
        self.weather = path / "weather"
        self.turn("fair")

    def turn(self, weather: str) -> None:
        after = self.weather.with_suffix(".new")
        after.write_text(weather)
        after.rename(self.weather)

    def _look(self, operation: str, key: str) -> None:
        while (weather := self.weather.read_text()) == "hangs":
            time.sleep(0.01)
        match weather:
            case "away":
                raise StoreUnavailable(operation, key, "connection refused")
            case "denied":
                raise StoreDenied(operation, key, "access denied")

    def get(self, key: str, *, unless: str | None = None) -> Found | Unchanged | Missing:
        self._look("get", key)
        return super().get(key, unless=unless)

    def put(self, key: str, body: bytes, *, if_version: str | None) -> Stored | Conflict:
        self._look("put", key)
        return super().put(key, body, if_version=if_version)

    def list(self, prefix: str, *, after: str = "", limit: int = 1000) -> list[Listed]:
        self._look("list", prefix)
        return super().list(prefix, after=after, limit=limit)


@pytest.fixture
def flaky(tmp_path: Path) -> Iterator[Flaky]:
    it = Flaky(tmp_path)
    configure(store=it)
    yield it
    configure()
    it.close()


class running:
    """A supervisor in a thread of this process, whose state can be looked at."""

    def __init__(self, store: ObjectStore, *, until_empty: bool = False, **settings: Any) -> None:
        self._supervisor = Supervisor(store, [QUEUE], config=Config(), **settings)
        self._until_empty = until_empty
        self._ended: list[Summary | BaseException] = []
        self._thread = threading.Thread(target=self._run)

    def _run(self) -> None:
        try:
            self._ended.append(self._supervisor.run(until_empty=self._until_empty))
        except BaseException as fault:  # noqa: BLE001
            self._ended.append(fault)

    def __enter__(self) -> running:
        really = Host.__init__

        def init(host: Host, *args: Any) -> None:
            really(host, *args)
            self.host = host

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(Host, "__init__", init)
            self._thread.start()
            self.wait(lambda: hasattr(self, "host"))
        return self

    def __exit__(self, *_: object) -> None:
        if self._thread.is_alive():
            self.host._over = True
            self._supervisor.stop()
        self._thread.join(DEADLINE_S)

    def wait(self, condition: Callable[[], Any]) -> None:
        deadline = time.monotonic() + DEADLINE_S
        while not condition():
            assert not self._ended, f"it ended: {self._ended}"
            assert time.monotonic() < deadline, "nothing happens"
            time.sleep(0.01)

    def waiting_agent(self, but: int = 0) -> int:
        """The process of an agent, but not that one, that waits for the store."""
        self.wait(lambda: (it := self.host._agent) is not None and it.waiting and it.pid != but)
        agent = self.host._agent
        assert agent is not None
        return agent.pid

    def stop(self) -> None:
        self._supervisor.stop()

    def ended(self) -> Summary | BaseException:
        self._thread.join(DEADLINE_S)
        assert self._ended, "it does not end"
        return self._ended[0]

    def summary(self) -> Summary:
        ended = self.ended()
        assert isinstance(ended, Summary), ended
        return ended


def test_agents_that_die_during_an_outage_are_replaced_until_it_is_over(
    flaky: Flaky, tmp_path: Path, fifo: Fifo
) -> None:
    started, release, runs = fifo("started"), fifo("release"), tmp_path / "runs"
    hold.enqueue(started.path, release.path)
    with running(flaky, workers=1, until_empty=True, visibility_timeout=2.0, leader_lease=1.0) as it:
        started.word()
        flaky.turn("away")
        agent = it.host._agent
        assert agent is not None
        last = agent.pid
        for _ in range(STILLBIRTHS + 1):
            os.kill(last, 9)
            last = it.waiting_agent(but=last)
        flaky.turn("fair")
        release.release()
        quick.enqueue(str(runs), 1)
        assert started.word()[0] == "2"
        release.release()
        summary = it.summary()
    assert summary.deaths == STILLBIRTHS + 1
    assert summary.drained
    assert numbers(runs) == [1]


def test_waiting_for_the_store_is_a_sign_of_life(flaky: Flaky, tmp_path: Path) -> None:
    quick.enqueue(str(tmp_path / "runs"), 1)
    flaky.turn("away")
    with running(flaky, workers=1, until_empty=True, visibility_timeout=2.0, leader_lease=1.0) as it:
        pid = it.waiting_agent()
        beats = {it.host._journal.agent_beat}
        # Each beat is later than the one before; three of them take longer than the silence that is allowed.
        while max(beats) - min(beats) < 2 * 2.0:
            it.wait(lambda: it.host._journal.agent_beat not in beats)
            beats.add(it.host._journal.agent_beat)
        assert it.host._agent is not None
        assert it.host._agent.pid == pid
        flaky.turn("fair")
        summary = it.summary()
    assert (summary.deaths, summary.messages, summary.drained) == (0, 1, True)


def test_outage_at_the_first_start_is_waited_for(flaky: Flaky, tmp_path: Path) -> None:
    quick.enqueue(str(tmp_path / "runs"), 1)
    flaky.turn("away")
    with running(flaky, workers=1, until_empty=True) as it:
        it.waiting_agent()
        flaky.turn("fair")
        assert it.summary().messages == 1


def test_host_that_is_told_to_end_before_the_store_has_answered_says_so(flaky: Flaky) -> None:
    flaky.turn("away")
    with running(flaky, workers=1) as it:
        it.waiting_agent()
        it.stop()
        ended = it.ended()
    assert isinstance(ended, StoreUnavailable)
    assert "did not answer before the host was told to end" in str(ended)


def test_host_that_is_told_to_end_while_a_first_request_hangs_ends(
    flaky: Flaky, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("s3queue.runtime.supervisor.loop.LAST_WORDS_S", 0.2)
    flaky.turn("hangs")
    with running(flaky, workers=1, drain_timeout=3600.0) as it:
        it.wait(lambda: it.host._journal.agent_beat > 0.0)
        it.stop()
        ended = it.ended()
    assert isinstance(ended, StoreUnavailable)


def test_store_that_answers_that_it_refuses_ends_the_first_start(flaky: Flaky) -> None:
    flaky.turn("denied")
    with pytest.raises(StoreDenied, match="access denied") as raised:
        drain(flaky, queues=[QUEUE], workers=1)
    assert isinstance(raised.value, StoreError)
    assert raised.value.operation in ("get", "put", "list")


# ---- the program around us


GUARDLESS = """
import s3queue
s3queue.configure(store={url!r})
@s3queue.task(queue="q")
def f(): ...
s3queue.Supervisor(workers=2, start_method={method!r}).run(until_empty=True)
"""


@pytest.mark.parametrize("method", ["spawn", "forkserver"])
def test_main_module_without_a_guard_is_named_in_one_line(tmp_path: Path, method: str) -> None:
    script = tmp_path / "guardless.py"
    script.write_text(GUARDLESS.format(url=f"sqlite:///{tmp_path}/store.db", method=method))
    done = subprocess.run(
        [sys.executable, str(script)], capture_output=True, text=True, timeout=DEADLINE_S, check=False
    )
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1, done.stderr
    assert 'if __name__ == "__main__":' in done.stderr
    assert str(script) in done.stderr


def test_history_that_cannot_be_written_stops_nobody(store: ObjectStore, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    quick.enqueue_many([(str(tmp_path / "runs"), number) for number in range(10)])
    summary = drain(store, queues=[QUEUE], workers=1, history=str(tmp_path / "file" / "history"))
    assert (summary.messages, summary.deaths, summary.drained) == (10, 0, True)
