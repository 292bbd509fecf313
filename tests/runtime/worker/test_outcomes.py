"""What is reported of an attempt can be read by whoever hears it."""

from __future__ import annotations

import pytest

from s3queue import Backoff, Retry, Snooze, task
from s3queue.runtime.local.wire import FailedNote, pack, unpack
from s3queue.runtime.worker.outcomes import LONGEST_S, judge


class Endless(Retry):
    def __init__(self) -> None:
        super().__init__()
        self.after = float("inf")


@task(queue="q", backoff=Backoff(base=1e300, cap=1e300, jitter=False))
def patient() -> None: ...


@pytest.mark.parametrize(
    "raised", [Retry(after=1e12), Snooze(after=2e9), Snooze(after=10**300), Endless(), ValueError()], ids=repr
)
def test_wait_beyond_what_records_hold_is_the_longest_one_that_they_do(raised: Exception) -> None:
    note = FailedNote(0, 0, judge(patient, 1, 0, raised))
    assert note.outcome.delay_s == LONGEST_S
    assert unpack(pack(note)) == note


@task(queue="q", max_attempts=3)
def brief() -> None: ...


def test_failure_says_which_attempt_would_be_the_last_one() -> None:
    for attempt, spared, kind in ((1, 0, "retry"), (3, 1, "retry"), (4, 1, "dead")):
        outcome = judge(brief, attempt, spared, ValueError())
        assert outcome.failure is not None
        assert (outcome.kind, outcome.failure.most) == (kind, 3 + spared)
