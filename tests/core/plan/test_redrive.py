"""Requests about dead letters: what is admitted, and what is answered."""

from __future__ import annotations

import pytest

from s3queue.core.keys import life_path
from s3queue.core.plan import Looked, Planned
from s3queue.core.plan.redrive import MOST_ENDING, MOST_LETTERS, MOST_LIVES, taken_by, told
from s3queue.core.records import (
    Board,
    Chosen,
    Ending,
    LetterRequest,
    Part,
    Ready,
    Report,
    Request,
    SourceState,
    Ticket,
    Totals,
)
from tests.core.world import LAYOUT, board, claimed, decide, path

DO = "do/1800000000000-0000000000000001.dead"
FIRST, SECOND = (LAYOUT.message_id(path(order), 0) for order in (1, 2))
LIFE = life_path(FIRST, 2)


def asks(
    of: Board, kind: str, *letters: Chosen, fits: dict[int, str] | None = None, named: tuple[str, ...] = ()
) -> Planned:
    request = LetterRequest("n", kind, "q", letters or (Chosen(FIRST, 1),))
    looked = Looked(request, {0: "v"} if fits is None else fits, set(named))
    return decide(of, letters={DO: looked})


def test_redriven_message_is_admitted_with_the_answer() -> None:
    planned = asks(board(), "redrive")
    assert planned.board.sources == {LIFE: SourceState(ready=(Ready(0, 1, 1),), letter="v")}
    assert planned.board.answers == {DO: "redriven"}
    assert planned.board.totals == {"q": Totals(redriven=1)}


def test_purged_letter_is_named_until_it_says_so() -> None:
    planned = asks(board(), "purge_letters")
    assert planned.board.sources == {LIFE: SourceState(dying=(0,), endings={0: Ending("purged")}, letter="v")}
    assert (planned.board.answers, planned.board.totals) == ({DO: "purged"}, {"q": Totals(letters_purged=1)})
    after = decide(planned.board, letters_written={(LIFE, 0)})
    assert (after.board.sources, after.board.totals) == ({}, {"q": Totals(letters_purged=1)})


def test_letter_that_does_not_say_so_is_left_alone() -> None:
    for planned in (asks(board(), "redrive", fits={}), asks(board(), "redrive", named=(FIRST,))):
        assert (planned.board.sources, planned.board.answers) == ({}, {DO: "no"})


def test_message_that_the_board_names_does_not_live_twice() -> None:
    before = board(states={life_path(FIRST, 3): SourceState(dying=(0,), endings={0: Ending("done", "1-1")})})
    assert asks(before, "redrive").board.answers == {DO: "no"}


def test_two_requests_for_one_death_are_answered_once() -> None:
    request = Looked(LetterRequest("n", "redrive", "q", (Chosen(FIRST, 1),)), {0: "v"})
    planned = decide(board(), letters={DO: request, DO.replace("1.", "2."): request})
    assert sorted(planned.board.answers.values()) == ["no", "redriven"]
    assert list(planned.board.sources) == [LIFE]


def test_answer_names_those_that_were_redriven() -> None:
    planned = asks(
        board(), "redrive", Chosen(FIRST, 1), Chosen(FIRST, 1), Chosen(SECOND, 1), fits={0: "v", 1: "v", 2: "w"}
    )
    assert planned.board.answers == {DO: "redriven 0,2"}
    assert planned.board.totals["q"].redriven == 2


def test_message_with_another_payload_is_ready_when_its_letter_has_it() -> None:
    planned = asks(board(), "redrive", Chosen(FIRST, 1, payload=b"\x01"))
    state = planned.board.sources[LIFE]
    assert (state.ready, state.dying, state.endings) == ((), (0,), {0: Ending("edited", DO)})
    assert (planned.board.answers, planned.board.edits) == ({}, {DO: "redriven"})
    after = decide(planned.board, letters_written={(LIFE, 0)}).board
    assert after.sources[LIFE] == SourceState(ready=(Ready(0, 1, 1),))
    assert (after.answers, after.edits) == ({DO: "redriven"}, {})


def test_further_life_that_is_done_waits_for_its_letter_and_is_then_forgotten() -> None:
    name = "1-0"
    before = board({name: Ticket("h1", (Part(LIFE, 0, 1, 1),))}, {LIFE: SourceState()})
    planned = decide(before, [claimed(name, Report(ok=(0, 1)))])
    assert planned.board.sources[LIFE].endings == {0: Ending("done", name)}
    assert (planned.board.totals["q"].done, planned.board.tickets) == (1, {})
    assert decide(planned.board, letters_written={(LIFE, 0)}).board.sources == {}


def test_cancelled_further_life_leaves_a_tombstone_though_it_had_not_begun() -> None:
    before = board(states={LIFE: SourceState(ready=(Ready(0, 1, 1),))})
    asked = {"do/1800000000000-0000000000000002": Request("n", "cancel", FIRST)}
    planned = decide(before, asked=asked)
    assert list(planned.board.answers.values()) == ["cancelled"]
    assert planned.board.sources[LIFE].endings == {0: Ending("cancelled")}


def test_request_waits_while_the_board_names_many_further_lives() -> None:
    lives = _lives(MOST_LIVES, SourceState(ready=(Ready(0, 1, 1),)))
    planned = asks(board(states=lives), "redrive")
    assert (planned.board.answers, LIFE in planned.board.sources) == ({}, False)


def _lives(many: int, state: SourceState, first: int = 3) -> dict[str, SourceState]:
    return {life_path(LAYOUT.message_id(path(order), 0), 2): state for order in range(first, many + first)}


def test_request_waits_while_the_letters_of_many_lives_are_to_be_written() -> None:
    ended = _lives(MOST_ENDING + 1, SourceState(dying=(0,), endings={0: Ending("done", "1-1")}))
    planned = asks(board(states=ended), "redrive")
    assert (planned.board.answers, LIFE in planned.board.sources) == ({}, False)
    written = {(next(iter(ended)), 0)}
    after = decide(planned.board, letters_written=written).board
    assert len(after.sources) == MOST_ENDING
    assert asks(after, "redrive").board.answers == {DO: "redriven"}


def test_letters_that_wait_to_be_written_hold_up_no_other_queue() -> None:
    other = {one.replace("dead/q/", "dead/p/").replace("~q~", "~p~"): state for one, state in _lives(
        MOST_ENDING + 1, SourceState(dying=(0,), endings={0: Ending("done", "1-1")})
    ).items()}  # fmt: skip
    assert asks(board(states=other), "redrive").board.answers == {DO: "redriven"}


def test_one_plan_begins_the_lives_of_one_request_and_the_next_one_those_of_another() -> None:
    def looked(first: int) -> Looked:
        messages = [LAYOUT.message_id(path(order), 0) for order in range(first, first + MOST_LETTERS)]
        request = LetterRequest("n", "redrive", "q", tuple(Chosen(message, 1) for message in messages))
        return Looked(request, dict.fromkeys(range(MOST_LETTERS), "v"))

    requests = {DO: looked(1), DO.replace("1.", "2."): looked(1 + MOST_LETTERS)}
    first = decide(board(), letters=requests).board
    assert (len(first.sources), first.answers) == (MOST_LETTERS, {DO: "redriven"})
    assert len(decide(first, letters=requests).board.sources) == 2 * MOST_LETTERS


def test_kind_that_this_release_does_not_know_is_answered_so() -> None:
    assert asks(board(), "embalm").board.answers == {DO: "unknown"}


@pytest.mark.parametrize("taken", [[], [0], [0, 1, 2, 3], [0, 1, 3], [2]])
def test_answers_are_read_back(taken: list[int]) -> None:
    assert taken_by(told("redriven", taken, 4), 4) == set(taken)


def test_other_answers_name_no_letters() -> None:
    assert taken_by("no", 4) == taken_by("unknown", 4) == set()
