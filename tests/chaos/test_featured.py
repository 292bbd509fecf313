"""The verdict on limits, results, expiry and batches finds what did not hold."""

from __future__ import annotations

from dataclasses import replace

import pytest
from msgspec import structs

from s3queue.core.keys import Layout, fencing_token, source_path
from stress.chaos.accounts import Accounts, Run, Told
from stress.chaos.featured import batches, expiry, limits, results
from stress.chaos.notes import Done, Ending, Start
from stress.chaos.plan import BATCH, BUNCH, FEW, Order


def message(number: int, key: str = "", queue: str = FEW) -> str:
    return Layout().message_id(
        source_path(queue, sent_ms=1000 + number, batch=f"{number:03x}", count=1, key=key or None), 0
    )


def ran(message: str, at: float, to: float | None, *, number: int = 0, session: str = "s", pid: int = 7) -> Run:
    start = Start(at, "a.1", pid, pid, session, message, number, 1, fencing_token(f"1-{number}"))
    return Run(start, ended_at=to, how="" if to is None else "ok")


def three(*, keys: str = "abc", third_at: float = 1.5) -> list[Run]:
    """Two that run from 1 to 2, and one more."""
    return [ran(message(n, key), 1.0 if n < 2 else third_at, 2.0 if n < 2 else 3.0) for n, key in enumerate(keys)]


class TestLimits:
    def test_as_many_as_may_run_at_once_are_well(self) -> None:
        assert limits(Accounts(runs=three(third_at=2.0))) == []

    def test_one_more_is_found(self) -> None:
        (found,) = limits(Accounts(runs=three()))
        assert found.startswith("3 messages of 2 run at once")

    def test_two_of_one_key_are_found(self) -> None:
        (found,) = limits(Accounts(runs=three(keys="aa")))
        assert found.startswith("2 messages of key a run at once")

    def test_other_queues_have_no_limit(self) -> None:
        runs = [ran(message(number, queue="single"), 1.0, 2.0) for number in range(5)]
        assert limits(Accounts(runs=runs)) == []

    def test_what_a_session_ran_is_over_when_its_end_is_sent(self) -> None:
        runs = three()
        runs[0].start = ran(message(0, "a"), 1.0, 2.0, session="gone").start
        for at, wrong in ((1.4, 0), (1.6, 1)):
            assert len(limits(Accounts(runs=runs, endings=[Ending(at, "b.1", "gone", "fence", "")]))) == wrong

    def test_what_has_no_end_is_over_when_its_process_was_hit(self) -> None:
        runs = [ran(message(0, "a"), 1.0, None, pid=8), *three()[1:]]
        for at, wrong in ((1.4, 0), (1.6, 1)):
            assert len(limits(Accounts(runs=runs, faults=[Done(at, "kill", "worker", "a.1", (8,))]))) == wrong


class TestResults:
    def verdict(self, result: object, *, told: bool = True) -> list[str]:
        one = message(3, queue="single")
        accounts = Accounts(sent={one: 3}, runs=[ran(one, 1.0, 2.0, number=3)])
        if told:
            accounts.told[one] = [Told("1-3", outcome="done")]
        return list(results(accounts, {3: Order(3, "kept")}, lambda _: result))

    @pytest.mark.parametrize("told", [True, False])
    def test_that_of_the_run_by_which_it_is_done_is_well(self, told: bool) -> None:
        assert self.verdict([3, fencing_token("1-3")], told=told) == []

    @pytest.mark.parametrize("told", [True, False])
    @pytest.mark.parametrize("result", [None, [3, fencing_token("1-2")], [4, fencing_token("1-3")]])
    def test_another_one_or_none_is_found(self, result: object, told: bool) -> None:
        assert len(self.verdict(result, told=told)) == 1


class TestExpiry:
    """A message that was accepted at 1.0 and expires after 2 s."""

    def verdict(
        self, *, begun_at: float | None, told: str = "", stopped_at: float | None = None, attempt: int = 1
    ) -> list[str]:
        one = message(1, queue="single")
        accounts = Accounts(sent={one: 1}, sent_at={one: 1.0})
        if begun_at is not None:
            run = ran(one, begun_at, begun_at + 0.1, number=1)
            accounts.runs = [replace(run, start=structs.replace(run.start, attempt=attempt))]
        if told:
            accounts.told[one] = [Told("1-1", outcome=told)]
        if stopped_at is not None:
            accounts.faults.append(Done(stopped_at, "stop", "worker", "a.1", (7,)))
        return list(expiry(accounts, {1: Order(1, "ok", expires_s=2.0)}))

    def test_what_begins_in_time_or_never_is_well(self) -> None:
        assert self.verdict(begun_at=2.9, told="done") == []
        assert self.verdict(begun_at=None, told="expired") == []

    def test_what_begins_later_is_found(self) -> None:
        (found,) = self.verdict(begun_at=4.5, told="done")
        assert found.startswith("begun 1.5 s after its time")

    def test_a_further_attempt_may_begin_later(self) -> None:
        assert self.verdict(begun_at=4.5, told="done", attempt=2) == []

    def test_a_process_may_have_been_stopped_between_its_look_at_the_clock_and_the_task(self) -> None:
        assert self.verdict(begun_at=14.5, told="done", stopped_at=2.9) == []
        assert len(self.verdict(begun_at=14.5, told="done", stopped_at=14.6)) == 1

    def test_what_has_expired_and_ran_is_found(self) -> None:
        (found,) = self.verdict(begun_at=1.5, told="expired")
        assert found.startswith("told to have expired, and ran")


class TestBatches:
    def together(
        self, count: int, *, at: float = 1.0, to: float | None = 2.0, call: str = "x", pid: int = 7
    ) -> list[Run]:
        runs = [ran(message(number, queue=BUNCH), at, to, number=number, pid=pid) for number in range(count)]
        return [replace(run, start=structs.replace(run.start, call=call)) for run in runs]

    def test_as_many_as_it_takes_are_well(self) -> None:
        assert list(batches(Accounts(runs=self.together(BATCH)))) == []

    def test_one_more_is_found(self) -> None:
        (found,) = batches(Accounts(runs=self.together(BATCH + 1)))
        assert found.startswith(f"{BATCH + 1} messages of {BATCH}")

    @pytest.mark.parametrize("beside", [1, 2])
    def test_what_ended_with_its_process_runs_alone_next(self, beside: int) -> None:
        first = self.together(2, to=None)
        again = self.together(beside, at=3.0, to=4.0, call="y", pid=8)
        assert len(list(batches(Accounts(runs=first + again)))) == (0 if beside == 1 else 2)
