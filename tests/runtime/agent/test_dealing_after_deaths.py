"""What becomes of the messages of a worker that died."""

from __future__ import annotations

from s3queue.core.records import Failed, Failure
from s3queue.runtime.agent.deaths import Death
from s3queue.runtime.local.journal import FAILED, OK, READING, REJECTED, RUNNING
from tests.runtime.agent.crews import KILLED, assign, dealer


def test_of_several_that_a_worker_was_running_none_pays_for_its_death() -> None:
    dealing, host, _ = dealer(slots=4)
    assign(host, "1-0", 0, count=6)
    dealing.claimed(["1-0"])
    dealing.deal(0.0)
    journal = dealing.loads[0].journal
    journal.mark(0, 0, OK)
    journal.mark(0, 1, RUNNING)
    journal.mark(0, 2, RUNNING)
    affected = dealing.died(0, KILLED)
    held = host.tickets["1-0"]
    assert held.ok == (0, 1)
    assert {at: (one.kind, one.failure and one.failure.cause) for at, one in held.failed.items()} == {
        1: ("interrupted", "killed"),
        2: ("interrupted", "killed"),
    }
    assert (dealing.pooled, dealing.unfinished) == (3, 0)
    assert [one.message.rpartition("~")[2] for one in affected] == ["1", "2"]


def test_only_one_that_a_worker_was_running_pays_for_its_death() -> None:
    dealing, host, _ = dealer(slots=4)
    assign(host, "1-0", 0, count=4)
    dealing.claimed(["1-0"])
    dealing.deal(0.0)
    dealing.loads[0].journal.mark(0, 1, RUNNING)
    (casualty,) = dealing.died(0, KILLED)
    assert host.tickets["1-0"].failed == {1: Failed("retry", 0.0, Failure(1, "killed", KILLED.text, 7))}
    assert casualty.message.endswith("~1")
    assert (casualty.attempt, casualty.most, casualty.following) == (1, 3, "it runs again, alone")


def test_only_what_overran_pays_for_a_time_limit() -> None:
    dealing, host, _ = dealer(slots=4)
    assign(host, "1-0", 0, count=4)
    dealing.claimed(["1-0"])
    dealing.deal(0.0)
    for index in range(3):
        dealing.loads[0].journal.mark(0, index, RUNNING)
    dealing.died(0, Death("time_limit", "over", 7, ((0, 1),)))
    failed = host.tickets["1-0"].failed
    assert {at: (one.kind, one.failure and one.failure.cause) for at, one in failed.items()} == {
        0: ("interrupted", "interrupted"),
        1: ("retry", "time_limit"),
        2: ("interrupted", "interrupted"),
    }


def test_failure_that_was_heard_is_not_dealt_again_when_its_worker_dies_before_it_is_in_the_journal() -> None:
    dealing, host, _ = dealer(slots=2)
    assign(host, "1-0", 0, count=2)
    dealing.claimed(["1-0"])
    dealing.deal(0.0)
    snoozed = Failed("snooze", 30.0)
    assert dealing.failed(0, 0, 0, snoozed)  # READY until then: its source could not be read
    assert dealing.died(0, KILLED) == []
    assert host.tickets["1-0"].failed == {0: snoozed}
    assert (dealing.pooled, dealing.unfinished) == (1, 0)


def test_what_ended_and_was_not_heard_of_keeps_its_kind() -> None:
    dealing, host, _ = dealer(slots=2)
    assign(host, "1-0", 0, count=2)
    dealing.claimed(["1-0"])
    dealing.deal(0.0)
    dealing.loads[0].journal.mark(0, 0, REJECTED)
    dealing.loads[0].journal.mark(0, 1, FAILED)
    assert dealing.died(0, KILLED) == []
    failed = host.tickets["1-0"].failed
    assert [(one.kind, one.failure and one.failure.cause) for one in failed.values()] == [
        ("dead", "rejected"),
        ("retry", "error"),
    ]


def test_what_was_being_read_beside_a_task_goes_to_another_worker_and_that_task_does_not_pay() -> None:
    dealing, host, _ = dealer(slots=2)
    assign(host, "1-0", 0)
    assign(host, "1-1", 1)
    dealing.claimed(["1-0", "1-1"])
    dealing.deal(0.0)
    dealing.loads[0].journal.mark(0, 0, RUNNING)
    dealing.loads[0].journal.mark(1, 0, READING)
    dealing.died(0, KILLED)
    assert host.tickets["1-0"].failed[0].kind == "interrupted"
    assert host.tickets["1-1"].failed == {}
    assert dealing.pooled == 1


def test_source_that_was_being_read_and_nothing_else_pays() -> None:
    dealing, host, _ = dealer(slots=2)
    assign(host, "1-0", 0, count=2)
    dealing.claimed(["1-0"])
    dealing.deal(0.0)
    for index in range(2):
        dealing.loads[0].journal.mark(0, index, READING)
    dealing.died(0, KILLED)
    assert [one.kind for one in host.tickets["1-0"].failed.values()] == ["retry", "retry"]
