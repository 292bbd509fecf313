"""Dead messages run again, or are removed, while a host serves their queue."""

from __future__ import annotations

import multiprocessing
import signal
import time
from collections.abc import Callable
from pathlib import Path

import pytest

import s3queue
from s3queue.errors import ConfigError
from s3queue.operate.letters import DeadLetter
from s3queue.operate.redriving import Decided
from s3queue.queue import Queue
from s3queue.store import ObjectStore
from tests.deadline import DEADLINE_S
from tests.processes.host import IMPATIENT, drain, host
from tests.processes.jobs import moody


def test_dead_messages_are_edited_redriven_and_purged(store: ObjectStore, tmp_path: Path) -> None:
    runs = str(tmp_path / "runs")
    ids = [str(moody.enqueue(runs, "bad")) for _ in range(5)]
    drain(store, workers=1, **IMPATIENT)
    queue = Queue(moody.queue, store)
    assert (queue.stats().dead, len(list(queue.dead_letters()))) == (5, 5)
    assert queue.redrive(dry_run=True) == Decided(found=5)

    def cheer(letter: DeadLetter) -> object:
        return letter.payload | {"mood": "good"}

    told: list[Decided] = []
    with host(store, workers=1, **IMPATIENT) as it:
        assert queue.redrive(ids[:2], edit=cheer, progress=told.append) == Decided(found=2, done=2)
        assert queue.redrive(ids[:2]) == Decided(found=2, refused=2), "they live, or are done"
        assert queue.redrive(ids[2]) == Decided(found=1, done=1)
        assert queue.purge_letters(ids[3]) == Decided(found=1, done=1)
        # What was redriven is ready then; a host that drains may leave it to others.
        _until(lambda: _statuses(store, ids) == ["done", "done", "dead", "unknown", "dead"])
        it.signal(signal.SIGTERM)
        it.summary()
    assert told == [Decided(found=2, done=2)]
    assert _statuses(store, ids) == ["done", "done", "dead", "unknown", "dead"]
    assert queue.stats().dead == queue.stats(exact=True).dead == 2
    again = queue.dead_letter(ids[2])
    assert again is not None
    assert (again.life, [one.life for one in again.lives], again.lives[0].error) == (2, [1], "ValueError: not today")
    assert Path(runs).read_text().split().count("good") == 2


def test_letters_of_a_cause_that_there_is_not_are_refused(store: ObjectStore) -> None:
    queue = Queue(moody.queue, store)
    with pytest.raises(ConfigError, match="do you mean 'error'"):
        queue.dead_letters(cause="errr")
    with pytest.raises(ConfigError, match="another queue"):
        queue.redrive(Queue("other", store).enqueue(1))


def test_rate_holds_requests_back(store: ObjectStore, tmp_path: Path) -> None:
    for _ in range(3):
        moody.enqueue(str(tmp_path / "runs"), "bad")
    drain(store, workers=1, **IMPATIENT)
    queue, told = Queue(moody.queue, store), list[Decided]()
    with host(store, workers=1, **IMPATIENT):
        assert queue.redrive(rate=100.0, progress=told.append).done == 3
        assert queue.redrive(rate=2.0, progress=told.append).done <= 3
    assert len(told) >= 2


def test_large_payload_is_beside_its_letter_and_runs_again(store: ObjectStore, tmp_path: Path) -> None:
    runs, large = str(tmp_path / "runs"), "x" * 100_000
    one, other = (str(moody.enqueue(runs, f"bad {large}")) for _ in range(2))
    drain(store, workers=1, **IMPATIENT)
    queue = Queue(moody.queue, store)
    sizes = {item.key: item.size for item in store.list("s3queue/")}
    letters = [size for key, size in sizes.items() if key.startswith("s3queue/dead/")]
    payloads = [size for key, size in sizes.items() if key.startswith("s3queue/payloads/")]
    assert len(letters) == len(payloads) == 2
    assert sum(letters) + sum(payloads) < 2 * 4 / 3 * len(large)
    (listed, _) = queue.dead_letters()
    assert (listed.body, listed.payload_bytes == payloads[0]) == (b"", True)
    with pytest.raises(s3queue.errors.CorruptRecord, match="reads it"):
        _ = listed.payload
    letter = queue.dead_letter(one)
    assert letter is not None
    assert letter.payload["mood"] == f"bad {large}"
    with host(store, workers=1, **IMPATIENT) as it:
        assert queue.redrive(one).done == 1
        assert queue.redrive(other, edit=lambda dead: dead.payload | {"mood": f"good {large}"}).done == 1
        _until(lambda: _statuses(store, [one, other]) == ["dead", "done"])
        it.signal(signal.SIGTERM)
        it.summary()
    assert _statuses(store, [one, other]) == ["dead", "done"]
    with host(store, workers=1, **IMPATIENT) as it:
        assert queue.purge_letters().done == 1
        it.signal(signal.SIGTERM)
        it.summary()
    assert [item.key for item in store.list("s3queue/payloads/") if one in item.key] == []


def _statuses(store: ObjectStore, ids: list[str]) -> list[str]:
    return [s3queue.message(one, store).status() for one in ids]


def _until(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + DEADLINE_S
    while not holds():
        assert time.monotonic() < deadline, "it does not come"
        time.sleep(0.05)


def _cheer(letter: DeadLetter) -> object:
    return letter.payload | {"mood": "good"}


def _redrive_slowly(url: str) -> None:
    Queue(moody.queue, s3queue.open_store(url)).redrive(rate=2.0, edit=_cheer)


def test_redrive_that_is_killed_is_done_again_and_runs_nothing_twice(store: ObjectStore, tmp_path: Path) -> None:
    runs = tmp_path / "runs"
    for _ in range(12):
        moody.enqueue(str(runs), "bad")
    drain(store, workers=1, **IMPATIENT)
    queue = Queue(moody.queue, store)
    assert runs.read_text().split() == ["bad"] * 12
    with host(store, workers=1, **IMPATIENT) as it:
        operator = multiprocessing.get_context("fork").Process(target=_redrive_slowly, args=(store.url,))
        operator.start()
        _until(lambda: "good" in runs.read_text())
        operator.kill()
        operator.join()
        again = queue.redrive(edit=_cheer)
        assert again.done + again.refused == again.found <= 12
        it.signal(signal.SIGTERM)
        it.summary()
    drain(store, workers=1, **IMPATIENT)
    assert list(queue.dead_letters()) == []
    assert queue.stats().dead == 0
    assert sorted(runs.read_text().split()) == ["bad"] * 12 + ["good"] * 12
