"""Which message pays for a death, and the outcomes that only a journal holds."""

from __future__ import annotations

import pytest

from s3queue.core.records import FATAL_CAUSES, Failed, Failure
from s3queue.runtime.agent import deaths
from s3queue.runtime.agent.deaths import Death, Suspect, judge
from s3queue.runtime.local.journal import (
    FAILED,
    MOVED,
    OK,
    READING,
    READY,
    REJECTED,
    RUNNING,
    SNOOZED,
    TOGETHER,
    UNFIT,
    Journal,
    WorkerJournal,
    state_of,
)


def running(*at: int) -> list[Suspect]:
    return [Suspect(0, one, 1) for one in at]


def reading(*at: int, source: str = "in/q/5/1-a-2") -> list[Suspect]:
    return [Suspect(1, one, 1, source) for one in at]


def kinds(suspects: list[Suspect], cause: str, overran: tuple[tuple[int, int], ...] = ()) -> list[str]:
    return [one.kind for one in judge(suspects, Death(cause, "text", 7, overran)).values()]


@pytest.mark.parametrize("cause", ["killed", "exited", "oom"])
def test_only_one_that_was_running_is_charged(cause: str) -> None:
    assert kinds(running(3), cause) == ["retry"]


@pytest.mark.parametrize("cause", ["killed", "exited", "oom"])
def test_of_several_that_were_running_all_are_suspects_and_none_is_charged(cause: str) -> None:
    judged = judge(running(1, 2), Death(cause, "text", 7))
    assert {one.kind for one in judged.values()} == {"interrupted"}
    assert {one.failure.cause for one in judged.values() if one.failure} <= FATAL_CAUSES


def test_those_beside_one_that_overran_are_no_suspects() -> None:
    judged = judge(running(1, 2), Death("time_limit", "text", 7, ((0, 2),)))
    assert [(one.kind, one.failure and one.failure.cause) for one in judged.values()] == [
        ("interrupted", "interrupted"),
        ("retry", "time_limit"),
    ]
    assert "interrupted" not in FATAL_CAUSES


def together(*at: int) -> list[Suspect]:
    return [Suspect(0, one, 1, "", True) for one in at]


def test_of_a_batch_that_overran_all_are_suspects_and_those_beside_it_are_none() -> None:
    judged = judge([*together(1, 2), *running(5)], Death("time_limit", "text", 7, ((0, TOGETHER),)))
    assert [(one.kind, one.failure and one.failure.cause) for one in judged.values()] == [
        ("interrupted", "time_limit"),
        ("interrupted", "time_limit"),
        ("interrupted", "interrupted"),
    ]


def test_last_of_a_batch_that_overran_is_charged() -> None:
    """The others have ended by what the journal says."""
    assert kinds(together(4), "time_limit", ((0, TOGETHER),)) == ["retry"]


def test_batch_beside_one_that_overran_is_innocent() -> None:
    judged = judge([*together(1, 2), *running(5)], Death("time_limit", "text", 7, ((0, 5),)))
    assert [one.failure and one.failure.cause for one in judged.values()] == [
        "interrupted",
        "interrupted",
        "time_limit",
    ]


def test_one_that_overran_and_ended_in_the_last_moment_charges_nobody() -> None:
    assert kinds(running(1), "time_limit", ((0, 2),)) == ["interrupted"]


def test_end_of_a_drain_charges_nobody() -> None:
    assert kinds(running(1), "shutdown") == ["interrupted"]
    assert kinds(reading(1), "shutdown") == []


@pytest.mark.parametrize(("cause", "kind"), [("killed", "interrupted"), ("oom", "interrupted"), ("exited", "retry")])
def test_reading_a_source_may_have_taken_the_memory_but_exits_with_no_status(cause: str, kind: str) -> None:
    assert kinds(running(1) + reading(1, 2), cause) == [kind]


def test_one_source_is_one_suspect_and_several_are_several() -> None:
    assert kinds(reading(1, 2), "oom") == ["retry", "retry"]
    assert kinds(reading(1) + reading(2, source="in/q/5/2-b-1"), "oom") == ["interrupted", "interrupted"]


# ---- journaled outcomes ---------------------------------------------------------------------------------------------


def journal(*states: int, ticket: str = "1-0") -> WorkerJournal:
    it = Journal(bytearray(Journal.size(1, 1)), 1, 1).worker(0)
    it.open_row(0, ticket, 10, len(states))
    for index, state in enumerate(states):
        it.mark(0, index, state)
    return it


def test_a_journal_tells_how_each_message_ended_that_no_agent_heard_of() -> None:
    states = [READY, OK, RUNNING, FAILED, REJECTED, SNOOZED, MOVED, READING, UNFIT]
    report = deaths.journaled_outcomes([journal(*states)], now_ms=5)["1-0"]
    assert report.ok == (11, 12)
    assert {at: failed.kind for at, failed in report.failed.items()} == {
        12: "retry",
        13: "retry",
        14: "dead",  # a message that was rejected does not run again
        15: "snooze",  # and a snoozed one has not lost an attempt
    }
    causes = {at: failed.failure.cause for at, failed in report.failed.items() if failed.failure is not None}
    assert causes == {12: "killed", 13: "error", 14: "rejected"}
    assert report.failed[15].delay_s > 0


def test_of_all_that_ran_on_a_host_whose_agent_died_none_is_charged() -> None:
    left = deaths.journaled_outcomes([journal(RUNNING), journal(RUNNING, OK, ticket="1-1")], now_ms=5)
    assert {name: report.failed[10].kind for name, report in left.items()} == {
        "1-0": "interrupted",
        "1-1": "interrupted",
    }


@pytest.mark.parametrize("cause", ["error", "time_limit"])
def test_message_that_failed_for_the_last_time_is_not_told_as_rejected(cause: str) -> None:
    last = state_of(Failed("dead", 0.0, Failure(3, cause)))
    rejected = state_of(Failed("dead", 0.0, Failure(1, "rejected")))
    told = [deaths.last_word(state, 3, 7) for state in (last, rejected)]
    assert [one and (one.kind, one.failure and one.failure.cause) for one in told] == [
        ("retry", "error"),  # whoever counts its attempts comes to the end that it came to
        ("dead", "rejected"),
    ]
