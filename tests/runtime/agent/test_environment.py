"""What a host tells of itself."""

from __future__ import annotations

import pytest

from s3queue.config import Config
from s3queue.core.records import Place
from s3queue.runtime.agent import environment
from s3queue.runtime.agent.environment import LONG_S, LONGEST, Surroundings
from s3queue.runtime.local.journal import Journal

BASE = 10


@pytest.fixture
def journal() -> Journal:
    slots = LONGEST + 2
    return Journal(bytearray(Journal.size(2, slots)), 2, slots)


@pytest.fixture
def host(journal: Journal) -> Surroundings:
    return Surroundings(Config(), "memory://", "h1", Place(), journal, trusted=lambda: None, empty=lambda: None)


def test_ledger_says_since_when_the_longest_tasks_run_and_nothing_of_short_ones(
    journal: Journal, host: Surroundings, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 1000.0
    monkeypatch.setattr(environment, "clock", lambda: now)
    monkeypatch.setattr(Surroundings, "now_ms", staticmethod(lambda: 5_000_000))
    worker = journal.worker(1)
    worker.open_row(0, "1-7", BASE, LONGEST + 2)
    assert host.about().since == {}
    for slot in range(LONGEST + 1):
        worker.start(slot, 0, slot, now - LONG_S - slot)
    worker.start(LONGEST + 1, 0, LONGEST + 1, now)
    assert host.about().since == {}, "it looks every few seconds"
    now += environment.GLANCE_S
    (told,) = host.about().since.values()
    assert told == {
        BASE + slot: 5_000_000 - round((environment.GLANCE_S + LONG_S + slot) * 1000) for slot in range(1, LONGEST + 1)
    }
    for slot in range(LONGEST + 2):
        worker.finish(slot, None)
    now += environment.GLANCE_S
    assert host.about().since == {}


def test_messages_that_one_task_takes_together_are_left_out(
    journal: Journal, host: Surroundings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(environment, "clock", lambda: 1000.0)
    worker = journal.worker(0)
    worker.open_row(0, "1-7", 0, 3)
    worker.start(0, 0, 0, 10.0)
    worker.share(0)
    assert host.about().since == {}
