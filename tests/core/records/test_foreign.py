"""What a newer release has entered on a board is laid aside and put back, whatever is planned meanwhile."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from s3queue.core.keys import is_source, parse_source
from s3queue.core.records import (
    NOTHING_FOREIGN,
    Allowed,
    Ending,
    Mark,
    Memo,
    Part,
    Ready,
    SourceState,
    Ticket,
    Waiting,
    check_board,
    divide,
    join,
    known_of,
)
from s3queue.errors import CorruptRecord
from tests.core.world import board, one_ticket, path

ODD = "wish/q/5/1-1"
OWN = path(1, 4)


def test_board_of_known_paths_is_whole_and_nothing_is_copied() -> None:
    before, _ = one_ticket(3)
    assert divide(before) == (before, NOTHING_FOREIGN)
    assert divide(before)[0] is before
    assert join(before, NOTHING_FOREIGN) is before


def test_every_part_that_names_an_unknown_path_is_laid_aside_and_comes_back() -> None:
    before = board(
        {"1-0": Ticket("h1", (Part(OWN, 0, 1, 1),)), "1-1": Ticket("h2", (Part(ODD, 0, 1, 1),))},
        {OWN: SourceState(ready=(Ready(1, 4, 1),)), ODD: SourceState(waiting=(Waiting(1, 2, 5),))},
        moves={"later/odd": ((ODD, 2),)},
        marks={OWN: {2: Mark()}, ODD: {1: Mark()}},
        memos={OWN: {1: Memo(1.0)}, ODD: {1: Memo(2.0)}},
        answers={"do/1-1": "done", "wish/1-1": "granted"},
        edits={"do/2-1": "redriven", "wish/2-1": "redriven"},
        allowed={"1-0": Allowed("", 1), "1-1": Allowed("", 1)},
    )
    known, foreign = divide(before)
    assert (known.tickets.keys(), known.sources.keys()) == ({"1-0"}, {OWN})
    assert not known.moves
    assert (known.marks.keys(), known.memos.keys()) == ({OWN}, {OWN})
    assert (known.answers, known.edits) == ({"do/1-1": "done"}, {"do/2-1": "redriven"})
    assert foreign.sessions == {"h2"}
    assert foreign.messages == 3
    check_board("board", known)
    assert join(known, foreign) == before
    # A plan keeps what is allowed of tickets that it knows.
    planned = replace(known, turn=2, sources={}, tickets={}, marks={}, memos={}, allowed={})
    after = join(planned, foreign)
    assert (after.sources, after.tickets) == ({ODD: before.sources[ODD]}, {"1-1": before.tickets["1-1"]})
    assert after.allowed == {"1-1": Allowed("", 1)}


def test_ticket_with_a_known_and_an_unknown_part_is_laid_aside_whole_and_its_known_source_stays() -> None:
    mixed = Ticket("h1", (Part(ODD, 0, 2, 1), Part(OWN, 1, 3, 1)), (0, 1))
    before = board(
        {"1-0": mixed},
        {OWN: SourceState(ready=(Ready(0, 1, 1), Ready(3, 4, 1))), ODD: SourceState()},
        memos={OWN: {0: Memo(1.0), 2: Memo(2.0)}},
    )
    known, foreign = divide(before)
    assert known.tickets == {}
    assert known.sources == {OWN: before.sources[OWN]}
    assert foreign.pinned == {OWN}
    check_board("board", known)
    assert join(replace(known, memos={OWN: {0: Memo(3.0)}}), foreign).memos == {OWN: {0: Memo(3.0), 2: Memo(2.0)}}


def test_move_of_a_known_message_to_an_unknown_place_is_laid_aside() -> None:
    before = board(states={OWN: SourceState(settled=3)}, moves={"later/odd": ((OWN, 3),)})
    known, foreign = divide(before)
    assert not known.moves
    assert foreign.pinned == {OWN}
    assert join(known, foreign) == before


@pytest.mark.parametrize(
    "odd",
    [
        ODD,
        "in/q/5/0000000000001-1-1;hue=1",
        "in/q/5/0000000000001-1-1001",
        "later/soon-q/5/0000000000001-1-1",
        "dead/q/2/p00~wish~q~5~1-1~0",
        "dead/q/1/p00~in~q~5~0000000000001-1-1~0",
        "tick/q/5/noon-clean.1",
        "",
    ],
)
def test_a_path_is_a_source_exactly_where_it_can_be_parsed(odd: str) -> None:
    assert not is_source(odd)
    with pytest.raises(CorruptRecord):
        parse_source(odd)


@pytest.mark.parametrize(
    "known",
    [
        OWN,
        path(2, 1000, due_ms=5, key="a"),
        "dead/q/2/p00~in~q~5~0000000000001-1-1~0",
        "tick/q/5/0000000000001-clean.1",
    ],
)
def test_a_path_that_can_be_parsed_is_a_source(known: str) -> None:
    assert is_source(known)
    parse_source(known)


def test_message_that_ends_in_an_unknown_way_stays_with_its_source() -> None:
    before = board(states={OWN: SourceState(dying=(0,), endings={0: Ending("transferred")}, settled=3)})
    assert known_of(before) == before
