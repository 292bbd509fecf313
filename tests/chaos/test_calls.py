"""The verdict on calls that enqueue something only once finds what did not hold."""

from __future__ import annotations

from s3queue.core.keys import parse_message_id
from stress.chaos.accounts import Accounts, Calling, Run, Told
from stress.chaos.calls import debounce, once, unique
from stress.chaos.notes import Asked, Assigned, Ending, Ruled
from stress.chaos.plan import LATEST, Order
from tests.chaos.test_featured import message, ran

ORDERS = {1: Order(1, "ok", dedup="x"), 2: Order(2, "ok", dedup="x"), 3: Order(3, "ok")}


def calls(*told: tuple[str, int]) -> list[Calling]:
    """At 1 and 1.5, 2 and 2.5, and so on."""
    return [Calling(at, at + 0.5, one, number) for at, (one, number) in enumerate(told, start=1)]


class TestOnce:
    def test_calls_that_are_told_of_one_message_are_well(self) -> None:
        one = message(1)
        told = calls((one, 1), (one, 2), (message(3), 3))
        assert once(Accounts(calls=told, runs=[ran(one, 1.0, 2.0, number=1)]), ORDERS) == []

    def test_calls_that_are_told_of_two_are_found(self) -> None:
        found = once(Accounts(calls=calls((message(1), 1), (message(2), 2))), ORDERS)
        assert found[0].startswith("x is 2 messages")

    def test_one_that_runs_besides_is_found(self) -> None:
        found = once(Accounts(calls=calls((message(1), 1)), runs=[ran(message(2), 1.0, 2.0, number=2)]), ORDERS)
        assert "and this ran" in found[0]


FIRST, SECOND = message(1, queue="single"), message(2, queue="single")


class TestUnique:
    def verdict(self, does: str, told: list[str], *runs: Run, fenced: str = "") -> list[str]:
        orders = {number: Order(number, does, dedup=f"{does}-0") for number in range(1, 10)}
        accounts = Accounts(calls=calls(*zip(told, orders, strict=False)), runs=list(runs))
        if fenced:
            accounts.endings.append(Ending(50.0, "b.1", fenced, "fence", "stored"))
        return list(unique(accounts, orders))

    def test_one_after_the_other_is_well(self) -> None:
        assert self.verdict("alone", [FIRST, FIRST, SECOND], ran(FIRST, 2.0, 2.9), ran(SECOND, 4.0, 5.0)) == []
        assert self.verdict("brief", [FIRST, FIRST, SECOND], ran(FIRST, 2.6, 5.0), ran(SECOND, 4.0, 5.0)) == []

    def test_two_that_run_at_once_are_found(self) -> None:
        (found,) = self.verdict("alone", [FIRST, SECOND], ran(FIRST, 2.0, 4.0), ran(SECOND, 3.0, 5.0))
        assert "two run at once" in found

    def test_a_new_one_while_the_earlier_was_not_over_is_found(self) -> None:
        (found,) = self.verdict("alone", [FIRST, SECOND], ran(FIRST, 4.0, 4.5), ran(SECOND, 5.0, 6.0))
        assert "while" in found
        assert self.verdict("alone", [FIRST, SECOND], ran(FIRST, 4.0, 4.5), ran(SECOND, 5.0, 6.0), fenced="s") == []

    def test_a_call_that_is_told_of_one_that_was_over_is_found(self) -> None:
        (found,) = self.verdict("alone", [FIRST, SECOND, FIRST])
        assert "which was over" in found

    def test_a_call_that_is_told_of_one_that_had_begun_is_found_where_only_waiting_ones_count(self) -> None:
        for does, wrong in (("alone", 0), ("brief", 1)):
            assert len(self.verdict(does, [FIRST, FIRST], ran(FIRST, 1.6, 3.0))) == wrong


class TestDebounce:
    """Two calls with one id: at 1.5 the first has returned, at 2.5 the second."""

    def verdict(
        self,
        *done: int,
        first_in: int | None = None,
        certain: bool = True,
        asked: tuple[Asked, ...] = (),
        unread_s: float = 0.0,
    ) -> list[str]:
        orders = {number: Order(number, "latest", dedup="0.1") for number in (1, 2)}
        ids = {number: message(number, queue=LATEST) for number in (1, 2)}
        told = calls((ids[1], 1), (ids[2], 2))
        told[1] = told[1]._replace(certain=certain)
        accounts = Accounts(calls=told, sent={ids[1]: 1, ids[2]: 2}, asked=list(asked))
        accounts.told = {ids[number]: [Told("1-1", outcome="done")] for number in done}
        #: Turn 3 of the board is sent at 3, and so on.
        accounts.ruled = [Ruled(float(turn), "a.1", 1, turn, f"n{turn}", "stored", 0) for turn in (1, 2, 3, 4)]
        if first_in is not None:
            part = (parse_message_id(ids[1]).path, 0, 1, 1)
            accounts.assigned = {first_in: Assigned(float(first_in), first_in, f"n{first_in}", {"1-1": [part]})}
        return list(debounce(accounts, orders, unread_s))

    def test_the_last_one_alone_or_with_one_that_had_begun_is_well(self) -> None:
        assert self.verdict(2) == []
        assert self.verdict(1, 2, first_in=3) == []

    def test_that_the_last_one_is_not_done_is_found(self) -> None:
        (found,) = self.verdict(1, first_in=2)
        assert "is not done" in found

    def test_a_last_call_that_was_called_off_or_not_answered_may_be_missing(self) -> None:
        last = message(2, queue=LATEST)
        assert self.verdict(1, first_in=2, asked=(Asked(3.0, "cancel", LATEST, (last,)),)) == []
        assert self.verdict(1, first_in=2, certain=False) == []

    def test_a_replaced_one_that_is_assigned_by_a_later_plan_is_found(self) -> None:
        (found,) = self.verdict(1, 2, first_in=4)
        assert "was replaced at 2.5" in found
        assert self.verdict(1, 2, first_in=4, unread_s=1.0) == []
