"""The verdict on limits, results and calls that enqueue once finds what did not hold."""

from __future__ import annotations

import pytest

from s3queue.core.keys import Layout, fencing_token, source_path
from stress.chaos.accounts import Accounts, Run, Told
from stress.chaos.featured import limits, once, results
from stress.chaos.notes import Done, Ending, Start
from stress.chaos.plan import FEW, Order


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


ORDERS = {1: Order(1, "ok", dedup="x"), 2: Order(2, "ok", dedup="x"), 3: Order(3, "ok")}


class TestOnce:
    def test_calls_that_are_told_of_one_message_are_well(self) -> None:
        one = message(1)
        assert (
            once(Accounts(calls=[(one, 1), (one, 2), (message(3), 3)], runs=[ran(one, 1.0, 2.0, number=1)]), ORDERS)
            == []
        )

    def test_calls_that_are_told_of_two_are_found(self) -> None:
        assert once(Accounts(calls=[(message(1), 1), (message(2), 2)]), ORDERS)[0].startswith("x is 2 messages")

    def test_one_that_runs_besides_is_found(self) -> None:
        found = once(Accounts(calls=[(message(1), 1)], runs=[ran(message(2), 1.0, 2.0, number=2)]), ORDERS)
        assert "and this ran" in found[0]
