"""Whether a result counts, driven by hand."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec import Raw

from s3queue.core.keys import Layout, life_path, moved_path, parse_source
from s3queue.core.ops import Gather, Get, List
from s3queue.core.records import (
    Board,
    DeadLetter,
    Moved,
    Origin,
    Part,
    Ready,
    Result,
    SourceState,
    Ticket,
    Totals,
    encode,
    encode_batch,
    encode_message,
    encode_result,
)
from s3queue.core.results import Look, Looked, Pause, Verdict, look, wait_for
from s3queue.store import Found, Listed, Missing, Unchanged

LAYOUT = Layout()
PATH = "in/q/5/1700000000000-0000000000000000-1"
MESSAGE = LAYOUT.message_id(PATH, 0)
SOURCE = LAYOUT.source(PATH)
NIL = Raw(b"\xc0")


def result(ticket: str, life: int = 1) -> Found:
    return Found(encode_result(Result("n", MESSAGE, ticket, NIL, 10**13, 0, life)), f"v{ticket}")


def letter(**more: Any) -> Found:
    return Found(encode(DeadLetter("n", MESSAGE, "q", **more)), "l")


def running(ticket: str = "1-0") -> Board:
    tickets = {ticket: Ticket("s", (Part(PATH, 0, 1, 1),))}
    return Board("b", epoch=1, sequence=1, tickets=tickets, sources={PATH: SourceState()})


def over(**more: Any) -> Board:
    return Board("b", **{"epoch": 1, "sequence": 5, **more})


def end(step: Any, given: Any) -> Looked:
    with pytest.raises(StopIteration) as stop:
        step.send(given)
    looked: Looked = stop.value.value
    return looked


def both(board: Board, *found: Any) -> Looked:
    step = look(LAYOUT, MESSAGE, board)
    assert next(step) == Gather((Get(LAYOUT.result(MESSAGE)), Get(LAYOUT.dead("q", MESSAGE))))
    return end(step, found)


def test_result_counts_where_a_newer_board_does_not_list_the_message() -> None:
    assert both(over(), result("1-4"), Missing()).verdict is Verdict.DONE


def test_result_of_a_ticket_that_is_newer_than_the_board_does_not_count_yet() -> None:
    """The board was read before the message was admitted."""
    assert both(over(), result("1-5"), Missing()).verdict is Verdict.OPEN
    assert both(over(), result("2-0"), Missing()).verdict is Verdict.OPEN


def test_result_of_a_message_that_died_later_does_not_count() -> None:
    assert both(over(), result("1-1"), letter()).verdict is Verdict.DEAD


@pytest.mark.parametrize("how", ["cancelled", "expired", "purged"])
def test_result_of_a_message_that_was_ended_later_does_not_count(how: str) -> None:
    looked = both(over(), result("1-1"), letter(tombstone=True, ending=how))
    assert looked.verdict is Verdict.CANCELLED
    assert looked.letter is not None
    assert looked.letter.ending == how


@pytest.mark.parametrize(
    ("there", "verdict"),
    [(result("1-4", 2), Verdict.DONE), (result("1-3", 2), Verdict.NOTHING), (Missing(), Verdict.NOTHING)],
)
def test_of_a_message_that_was_redriven_the_result_of_the_ticket_in_its_letter_counts(
    there: Any, verdict: Verdict
) -> None:
    step = look(LAYOUT, MESSAGE, over())
    next(step)
    told = letter(tombstone=True, ending="done", life=2, ticket="1-4")
    assert step.send((result("1-1"), told)) == Get(LAYOUT.result(MESSAGE, 2))
    assert end(step, there).verdict is verdict


def test_dead_message_that_was_redriven_is_waited_for() -> None:
    path = life_path(MESSAGE, 2)
    board = over(sources={path: SourceState(ready=(Ready(0, 1, 1),))})
    looked = both(board, Missing(), letter(life=1))
    assert looked.verdict is Verdict.OPEN
    assert looked.moved is not None
    assert looked.moved.path == path


def test_message_that_was_moved_off_the_board_is_looked_for_before_its_result() -> None:
    """A result that a fenced host left would count otherwise, though the message waits for its next attempt."""
    target = moved_path(parse_source(PATH), due_ms=1, batch="ab", count=1, attempt=2, alone=False)
    board = over(totals={"q": Totals(moved=1)})
    step = look(LAYOUT, MESSAGE, board)
    assert next(step) == List(LAYOUT.later)
    assert step.send([Listed(LAYOUT.source(target), "v", 1)]) == Gather((Get(LAYOUT.source(target)),))
    moved = encode_message(Moved("", NIL, {}, Origin(MESSAGE, 0)))
    looked = end(step, [Found(encode_batch([moved], 0), "v")])
    assert looked.verdict is Verdict.OPEN
    assert looked.moved is not None
    assert looked.moved.path == target


def test_message_that_is_settled_where_it_was_moved_to_has_ended() -> None:
    target = moved_path(parse_source(PATH), due_ms=1, batch="ab", count=1, attempt=2, alone=False)
    board = over(totals={"q": Totals(moved=1)}, sources={target: SourceState(settled=1)})
    step = look(LAYOUT, MESSAGE, board)
    next(step)
    step.send([Listed(LAYOUT.source(target), "v", 1)])
    moved = encode_message(Moved("", NIL, {}, Origin(MESSAGE, 0)))
    assert isinstance(step.send([Found(encode_batch([moved], 0), "v")]), Gather)
    assert end(step, (result("1-1"), Missing())).verdict is Verdict.DONE


# ---- waiting ---------------------------------------------------------------------------------------------------------


def test_finished_message_costs_two_gets_where_a_board_is_known() -> None:
    step = wait_for(LAYOUT, MESSAGE)
    assert next(step) == Look("ever")
    assert isinstance(step.send(over()), Gather)
    assert end(step, (result("1-1"), Missing())).verdict is Verdict.DONE


def test_dead_message_is_looked_for_on_a_new_board_as_it_may_have_been_redriven_since() -> None:
    step = wait_for(LAYOUT, MESSAGE)
    next(step)
    assert isinstance(step.send(over()), Gather)
    asked = step.send((Missing(), letter(life=1)))
    assert asked == Get(LAYOUT.source(PATH)), "it does not end with what an old board and the letter say"
    assert step.send(Missing()) == Look("now")
    assert isinstance(step.send(over()), Gather)
    assert end(step, (Missing(), letter(life=1))).verdict is Verdict.DEAD


def test_message_on_the_board_costs_a_look_at_the_board_and_its_end_two_gets() -> None:
    step = wait_for(LAYOUT, MESSAGE)
    next(step)
    assert step.send(running()) == Get(SOURCE)
    assert step.send(Found(b"batch", "s")) == Look("now")
    assert step.send(running()) == Pause()
    assert step.send(None) == Look("lately")
    assert step.send(running()) == Pause()
    assert step.send(None) == Look("lately")
    assert isinstance(step.send(over()), Gather)
    assert end(step, (result("1-0"), Missing())).verdict is Verdict.DONE


def test_message_that_no_board_has_seen_is_waited_for_at_its_batch() -> None:
    step = wait_for(LAYOUT, MESSAGE)
    next(step)
    assert isinstance(step.send(over()), Gather)
    assert step.send((Missing(), Missing())) == Get(SOURCE)
    assert step.send(Found(b"batch", "s")) == Look("now")
    assert step.send(over()) == Pause()
    assert step.send(None) == Get(SOURCE, "s")
    assert step.send(Unchanged()) == Look("lately")
    assert step.send(over()) == Pause()
    assert step.send(None) == Get(SOURCE, "s")
    assert step.send(Missing()) == Look("now"), "a board that was read before says nothing of where it has gone"
    assert isinstance(step.send(over(sequence=7)), Gather)
    assert end(step, (result("1-6"), Missing())).verdict is Verdict.DONE


def test_message_that_is_nowhere_is_not_waited_for() -> None:
    step = wait_for(LAYOUT, MESSAGE)
    next(step)
    step.send(over())
    assert step.send((Missing(), Missing())) == Get(SOURCE)
    assert step.send(Missing()) == Look("now")
    assert isinstance(step.send(over()), Gather)
    assert end(step, (Missing(), Missing())).verdict is Verdict.NOTHING


def test_message_of_a_namespace_without_a_board_is_waited_for_while_its_batch_is_there() -> None:
    step = wait_for(LAYOUT, MESSAGE)
    next(step)
    assert step.send(None) == Get(SOURCE)
    assert step.send(Found(b"batch", "s")) == Look("now")
    assert step.send(None) == Pause()
    assert step.send(None) == Get(SOURCE, "s")
    assert step.send(Missing()) == Look("now")
    assert end(step, None).verdict is Verdict.NOTHING


# ---- messages that were moved ----------------------------------------------------------------------------------------


def moved_to(number: str, due_ms: int, attempt: int = 2) -> str:
    return moved_path(parse_source(PATH), due_ms=due_ms, batch=number, count=1, attempt=attempt, alone=False)


def holds_it() -> Found:
    return Found(encode_batch([encode_message(Moved("", NIL, {}, Origin(MESSAGE, 0)))], 0), "v")


def test_message_that_was_moved_twice_is_where_it_was_moved_last() -> None:
    """The first batch is settled and not deleted yet, since others of it still wait: that does not mean that the message is
    over. The second one may be due before it, where somebody has hastened the message."""
    first, second = moved_to("0a", 2), moved_to("0b", 1, attempt=3)
    board = over(totals={"q": Totals(moved=2)}, sources={first: SourceState(settled=1)})
    step = look(LAYOUT, MESSAGE, board)
    next(step)
    listed = [Listed(LAYOUT.source(one), "v", 1) for one in (second, first)]
    assert step.send(listed) == Gather((Get(LAYOUT.source(second)), Get(LAYOUT.source(first))))
    looked = end(step, [holds_it(), holds_it()])
    assert (looked.verdict, looked.moved and looked.moved.path) == (Verdict.OPEN, second)


def test_message_that_is_moved_on_during_the_look_is_found_where_it_went() -> None:
    first, second = moved_to("0a", 1), moved_to("0b", 2, attempt=3)
    step = look(LAYOUT, MESSAGE, over(totals={"q": Totals(moved=1)}))
    next(step)
    assert step.send([Listed(LAYOUT.source(first), "v", 1)]) == Gather((Get(LAYOUT.source(first)),))
    assert step.send([Missing()]) == List(LAYOUT.later)
    assert step.send([Listed(LAYOUT.source(second), "v", 1)]) == Gather((Get(LAYOUT.source(second)),))
    looked = end(step, [holds_it()])
    assert (looked.verdict, looked.moved and looked.moved.path) == (Verdict.OPEN, second)
