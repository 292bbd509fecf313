"""Answers are swept an hour after they were first seen, however many there are."""

from __future__ import annotations

from s3queue_backends.memory import MemoryStore

from s3queue.core.chores.answers import KEEP_S, Answers
from s3queue.core.chores.troubles import Troubles
from s3queue.io.drive import Driver
from s3queue.io.meter import Meter
from tests.core.world import LAYOUT


def sweep(answers: Answers, store: MemoryStore, now: float) -> int:
    """Returns how many answers are left."""
    step = answers.take(now)
    assert step is not None
    Driver(store, Meter()).run(step)
    return len(store.list(LAYOUT.answers)) + len(
        store.list(LAYOUT.answers, after=f"{LAYOUT.answers}0000000000999-\x7f")
    )


def test_more_answers_than_a_page_are_swept_together() -> None:
    store, answers = MemoryStore(), Answers(LAYOUT, 0.0, Troubles())
    for number in range(1500):
        store.put(LAYOUT.answer(f"do/{number:013}-a"), b"", if_version=None)
    assert answers.take(599.0) is None
    assert sweep(answers, store, 600.0) == 1500
    assert sweep(answers, store, 600.0 + KEEP_S - 1) == 1500
    assert sweep(answers, store, 600.0 + 2 * KEEP_S) == 0
