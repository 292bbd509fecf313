"""One object that cannot be read, or that kills whoever reads it, among messages that are well."""

from __future__ import annotations

import os
import signal
import threading
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from s3queue_backends.sqlite import SqliteStore

from s3queue import Queue, configure, stats
from s3queue.core.keys import Layout, parse_message_id
from s3queue.errors import StoreDenied
from tests.processes.host import drain
from tests.processes.jobs import QUEUE, quick

HEALTHY = 19


class Sick(SqliteStore):
    """Some objects cannot be read by a worker, until so many lines are in a file."""

    def __init__(self, folder: Path, *, kills: bool) -> None:
        super().__init__(str(folder / "sick.db"))
        self.runs = folder / "runs"
        self.sick: frozenset[str] = frozenset()
        self._kills = kills

    def get(self, key: str, *, unless: str | None = None) -> Any:
        if key in self.sick and threading.current_thread().name.startswith("s3queue-read"):
            if self._kills:
                os.kill(os.getpid(), signal.SIGKILL)
            if len(self.ran()) < HEALTHY:
                raise StoreDenied("get", key, "403")
        return super().get(key, unless=unless)

    def ran(self) -> list[int]:
        return [int(line.split()[0]) for line in self.runs.read_text().splitlines()] if self.runs.exists() else []


@pytest.fixture(params=[False, True], ids=["refused", "kills"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Sick]:
    it = Sick(tmp_path, kills=request.param)
    configure(store=it)
    yield it
    configure()
    it.close()


def send(store: Sick, bad: int) -> None:
    """The bad ones first; each message in an object of its own."""
    ids = [quick.enqueue(str(store.runs), 100 + number) for number in range(bad)]
    store.sick = frozenset(Layout().source(parse_message_id(one).path) for one in ids)
    for number in range(HEALTHY):
        quick.enqueue(str(store.runs), number)


@pytest.mark.parametrize("store", [False], indirect=True)
@pytest.mark.parametrize(("bad", "workers", "concurrency"), [(1, 2, 1), (2, 2, 1), (5, 1, 1), (4, 1, 4)])
def test_sources_that_cannot_be_read_keep_no_other_message_from_running_and_lose_no_attempt(
    store: Sick, bad: int, workers: int, concurrency: int
) -> None:
    send(store, bad)
    drain(store, queues=[QUEUE], workers=workers, concurrency=concurrency, max_attempts=1)
    ran = store.ran()
    assert sorted(ran[:HEALTHY]) == list(range(HEALTHY))
    assert sorted(ran[HEALTHY:]) == [100 + number for number in range(bad)]
    assert list(Queue(QUEUE, store).dead_letters()) == []


@pytest.mark.parametrize("store", [True], indirect=True)
def test_source_that_kills_whoever_reads_it_is_dead_after_its_attempts_and_its_neighbours_run(store: Sick) -> None:
    send(store, 1)
    summary = drain(store, queues=[QUEUE], workers=2, max_attempts=2)
    assert Counter(store.ran()) == Counter(range(HEALTHY))
    assert summary.deaths >= 2
    (letter,) = Queue(QUEUE, store).dead_letters()
    assert [failure.cause for failure in letter.failures][-2:] == ["killed", "killed"]
    assert stats(store, exact=True).queues[QUEUE].done == HEALTHY


@pytest.mark.parametrize("store", [True], indirect=True)
def test_source_above_the_largest_message_is_read_by_nobody_and_left_where_it_is(
    store: Sick, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It was stored with another setting, or by another program."""
    big = quick.enqueue("x" * 5_000_000, 1)
    key = Layout().source(parse_message_id(big).path)
    send(store, 0)
    get = Sick.get

    def ends_who_reads_it(self: Sick, asked: str, *, unless: str | None = None) -> Any:
        if asked == key:
            os._exit(99)
        return get(self, asked, unless=unless)

    monkeypatch.setattr(Sick, "get", ends_who_reads_it)
    summary = drain(store, queues=[QUEUE], workers=2, max_message_bytes=1000)
    assert summary.deaths == 0
    assert sorted(store.ran()) == list(range(HEALTHY))
    assert [one.key for one in store.list(key)] == [key]
    configure(store=store, max_message_bytes=1000)
    assert stats(store, exact=True).unreadable == [key]
