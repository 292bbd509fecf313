"""A board that can be decoded, and cannot be true."""

import pytest

from s3queue.core.records import Part, Ready, SourceState, Ticket, Waiting, check_board
from s3queue.errors import CorruptRecord
from tests.core.world import board, path

ONE = path(1, 4)


def test_a_board_that_accounts_for_every_message_is_taken() -> None:
    state = SourceState(1, (Ready(0, 1, 1),), (Waiting(1, 2, 5),))
    check_board("k", board({"1-0": Ticket("h1", (Part(ONE, 2, 4, 1),), (0, 1))}, {ONE: SourceState(3)}))
    check_board("k", board({"1-0": Ticket("h1", (Part(ONE, 2, 3, 1),))}, {ONE: state}))
    check_board("k", board(states={ONE: SourceState(3, dying=(2,))}))
    gone = Ticket("h1", (Part(path(2, 4), 0, 4, 1), Part(ONE, 0, 4, 1)), (0, 4))
    check_board("k", board({"1-0": gone}, {ONE: SourceState()}))


@pytest.mark.parametrize(
    ("ticket", "states"),
    [
        (None, {ONE: SourceState(5)}),
        (None, {"in/nothing": SourceState(1)}),
        (None, {ONE: SourceState(0, (Ready(0, 3, 1), Ready(2, 3, 1)))}),
        (None, {ONE: SourceState(3, (Ready(4, 5, 1),))}),
        (None, {ONE: SourceState(4, (Ready(3, 2, 1),), (Waiting(0, 1, 1),))}),
        (None, {ONE: SourceState(3, dying=(7,))}),
        (Ticket("h1", (Part(ONE, 0, 4, 1),)), {}),
        (Ticket("h1", (Part(ONE, 0, 5, 1),)), {ONE: SourceState()}),
        (Ticket("h1", (Part(ONE, 3, 3, 1),)), {ONE: SourceState(4)}),
        (Ticket("h1", ()), {ONE: SourceState(4)}),
        (Ticket("h1", (Part(ONE, 0, 4, 1),)), {ONE: SourceState(1)}),
    ],
)
def test_a_board_that_cannot_be_true_is_refused(ticket: Ticket | None, states: dict[str, SourceState]) -> None:
    with pytest.raises(CorruptRecord):
        check_board("k", board({} if ticket is None else {"1-0": ticket}, states))
