from __future__ import annotations

import os
import signal
from collections.abc import Iterator

import pytest

from s3queue.runtime.supervisor.wishes import ONE_WISH_S, Wishes


@pytest.fixture
def wishes() -> Iterator[Wishes]:
    it = Wishes()
    yield it
    it.close()


def test_signals_within_a_second_are_one_wish(wishes: Wishes) -> None:
    with wishes.of_signals():
        os.kill(os.getpid(), signal.SIGINT)
        os.kill(os.getpid(), signal.SIGINT)
        assert wishes.count(100.0) == 1
        os.kill(os.getpid(), signal.SIGTERM)
        assert wishes.count(100.0 + 0.9 * ONE_WISH_S) == 1
        os.kill(os.getpid(), signal.SIGINT)
        assert wishes.count(100.0 + ONE_WISH_S) == 2
    assert wishes.why == "SIGINT"


def test_wishes_that_keep_coming_are_a_second_one_after_a_second(wishes: Wishes) -> None:
    counts = []
    for tenth in range(12):
        wishes.stop()
        counts.append(wishes.count(tenth / 10))
    assert counts == [1] * 10 + [2] * 2


def test_program_can_wish_and_nothing_is_heard_twice(wishes: Wishes) -> None:
    assert wishes.count(1.0) == 0
    wishes.stop()
    assert wishes.count(1.0) == 1
    assert wishes.count(9.0) == 1
    assert wishes.why == "stop()"
    wishes.begin()
    assert wishes.count(9.0) == 0


def test_signal_that_is_not_about_ending_is_no_wish(wishes: Wishes) -> None:
    before = signal.signal(signal.SIGUSR1, lambda *_: None)
    try:
        with wishes.of_signals():
            os.kill(os.getpid(), signal.SIGUSR1)
            assert wishes.count(1.0) == 0
    finally:
        signal.signal(signal.SIGUSR1, before)


def test_more_wishes_than_fit_are_dropped_and_nobody_waits(wishes: Wishes) -> None:
    for _ in range(100_000):
        wishes.stop()
    assert wishes.count(1.0) == 1
