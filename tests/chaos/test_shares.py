"""The verdict on what boards assign finds what was too much, and who was left out."""

from __future__ import annotations

from s3queue.core.keys import parse_message_id
from stress.chaos.accounts import Accounts
from stress.chaos.notes import Assigned, Ruled
from stress.chaos.plan import PACED, SHARED
from stress.chaos.shares import first_on_board, rates, turns
from tests.chaos.test_featured import message, ran


def boards(assigned: dict[int, list[str]], *, last: int = 12, other_leader_from: int = 99) -> Accounts:
    """Board n is sent at n seconds, and gives these messages to some host, a ticket each."""
    accounts = Accounts()
    for turn in range(1, last + 1):
        epoch = 1 + (turn >= other_leader_from)
        accounts.ruled += [Ruled(float(turn), "a.1", epoch, turn, f"n{turn}", how, 0) for how in ("", "stored")]
        parts = [(parse_message_id(one).path, 0, 1, 1) for one in assigned.get(turn, ())]
        if parts:
            tickets = {f"1-{turn}{number}": [part] for number, part in enumerate(parts)}
            accounts.assigned[turn] = Assigned(float(turn), turn, f"n{turn}", tickets)
    messages = [one for those in assigned.values() for one in those]
    accounts.sent = {one: number for number, one in enumerate(messages)}
    accounts.sent_at = dict.fromkeys(messages, 0.5)
    return accounts


class TestRates:
    """Four a second, and eight that were saved up."""

    def paced(self, *many: int) -> Accounts:
        number = iter(range(1000))
        return boards(
            {turn: [message(next(number), queue=PACED) for _ in range(of)] for turn, of in enumerate(many, 2)}
        )

    def test_what_the_rate_allows_is_well(self) -> None:
        assert list(rates(self.paced(8, 4, 4, 4))) == []

    def test_more_in_one_board_or_over_several_is_found(self) -> None:
        (found,) = rates(self.paced(13))
        assert found.startswith("turns 2 to 2 of the board assigned 13 messages, 12.0 are allowed")
        (found,) = rates(self.paced(*[5] * 10))
        assert found.startswith("turns 2 to 10 of the board assigned 45 messages, 44.0 are allowed")

    def test_other_queues_have_none(self) -> None:
        assert list(rates(boards({2: [message(number, queue=SHARED) for number in range(50)]}))) == []

    def test_a_run_without_a_ticket_of_a_board_is_found(self) -> None:
        accounts = self.paced(1)
        accounts.runs = [ran(next(iter(accounts.sent)), 2.5, 2.6, number=20)]
        assert list(rates(accounts)) == []
        accounts.runs = [ran(next(iter(accounts.sent)), 2.5, 2.6, number=21)]
        (found,) = rates(accounts)
        assert found.startswith("ran without a ticket of a board")


class TestTurns:
    MANY = tuple(message(number, "a", SHARED) for number in range(5))
    ONE = message(9, "b", SHARED)

    def test_a_key_that_is_served_beside_another_is_well(self) -> None:
        assert list(turns(boards({3: [*self.MANY, self.ONE]}))) == []

    def test_one_that_is_left_out_is_found(self) -> None:
        (found,) = turns(boards({3: [*self.MANY], 4: [self.ONE]}))
        assert found == "turn 3 of the board gave 5 of key a, and none of b, which waited"

    def test_one_that_came_after_the_plan_is_not_left_out(self) -> None:
        accounts = boards({3: [*self.MANY], 4: [self.ONE]})
        accounts.sent_at[self.ONE] = 2.1
        assert list(turns(accounts)) == []

    def test_nobody_knows_when_the_first_plan_of_a_leader_was_made(self) -> None:
        assert list(turns(boards({3: [*self.MANY], 4: [self.ONE]}, other_leader_from=3))) == []


def test_a_board_without_an_answer_counts_if_no_other_of_its_turn_was_tried() -> None:
    one = message(1, queue=PACED)
    for others, counts in ((), True), (("n0",), False):
        accounts = boards({3: [one]})
        accounts.ruled = [ruled for ruled in accounts.ruled if ruled.turn != 3]
        accounts.ruled += [Ruled(3.0, "a.1", 1, 3, nonce, "unknown", 0) for nonce in ("n3", *others)]
        assert (accounts.boards().get(3) == "n3") == counts
        if counts:
            assert first_on_board(accounts)[one].turn == 3
