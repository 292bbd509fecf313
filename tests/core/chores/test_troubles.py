"""Objects that fail are backed off one by one."""

from __future__ import annotations

import math

from s3queue.core.chores.troubles import Troubles
from s3queue.core.pacing import Backoff, Backoffs
from s3queue.errors import StoreDenied

FAULT = StoreDenied("get", "k")


def test_pauses_double_up_to_the_longest_and_begin_anew_after_a_success() -> None:
    backoff = Backoff(0.5, 3.0)
    assert [backoff.failed() for _ in range(5)] == [0.5, 1.0, 2.0, 3.0, 3.0]
    backoff.worked()
    assert backoff.failed() == 0.5


def test_an_object_that_fails_for_ever_never_overflows() -> None:
    backoff = Backoff(1.0, 300.0)
    assert [backoff.failed() for _ in range(5000)][-1] == 300.0


def test_one_object_that_fails_holds_up_no_other() -> None:
    backoffs = Backoffs(1.0, 60.0)
    backoffs.failed("bad", 10.0)
    assert not backoffs.is_due("bad", 10.9)
    assert backoffs.is_due("bad", 11.0)
    assert backoffs.is_due("good", 10.0)
    assert backoffs.next_at(10.0) == 11.0
    backoffs.keep(())
    assert (len(backoffs), backoffs.next_at(10.0)) == (0, math.inf)


def test_a_trouble_is_told_once_each_time_and_is_over_when_the_object_works() -> None:
    troubles = Troubles()
    troubles.met("k", FAULT, 0.0)
    assert troubles.take_new() == [("k", FAULT)]
    assert troubles.take_new() == []
    assert (troubles.keys, troubles.has("k"), troubles.allow("k", 0.5)) == (["k"], True, False)
    troubles.over("k")
    assert (troubles.keys, troubles.has("k"), troubles.allow("k", 0.5)) == ([], False, True)


def test_what_nobody_meets_any_more_is_forgotten() -> None:
    troubles = Troubles()
    troubles.met("old", FAULT, 0.0)
    troubles.met("new", FAULT, 900.0)
    troubles.keep_for(1100.0)
    assert troubles.keys == ["new"]
