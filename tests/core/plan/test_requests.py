"""Effect and answer of a request are one commit."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from msgspec.structs import replace

from s3queue.core.keys import parse_source
from s3queue.core.plan import Planned
from s3queue.core.records import (
    CODES,
    Board,
    Ending,
    Failed,
    Failure,
    Ledger,
    Mark,
    Ready,
    Report,
    Request,
    SourceState,
    Totals,
    Waiting,
)
from tests.core.world import LAYOUT, NOW_MS, board, claimed, decide, error, ledger, one_ticket, path, ready

DO = "do/1800000000000-0000000000000001"


def asks(
    of: Board,
    kind: str,
    source: str,
    index: int = 0,
    *hosts: Ledger,
    there: bool = True,
    window: Collection[str] = (),
    **more: Any,
) -> Planned:
    request = Request("n", kind, LAYOUT.message_id(source, index), reason="why")
    return decide(of, hosts, asked={DO: request}, there={source} if there else (), window=window, **more)


def on_board(*, settled: int = 0, count: int = 3, **state: Any) -> tuple[Board, str]:
    source = path(1, count)
    return board(states={source: SourceState(settled=settled, **state)}), source


# ---- cancel -----------------------------------------------------------------------------------------------------------


def test_cancel_of_what_is_ready_settles_it_in_the_same_commit() -> None:
    before, source = on_board(ready=ready((0, 3, 1)))
    planned = asks(before, "cancel", source, 1)
    state = planned.board.sources[source]
    assert (state.settled, state.ready) == (1, (Ready(0, 1, 1), Ready(2, 3, 1)))
    assert (planned.board.answers, planned.board.totals) == ({DO: "cancelled"}, {"q": Totals(cancelled=1)})
    assert [(one.start, one.outcome) for one in planned.settled] == [(1, "cancelled")]


def test_cancelled_message_that_had_begun_waits_for_its_letter_with_the_reason() -> None:
    before, source = on_board(waiting=(Waiting(0, 2, NOW_MS + 9),), failures={0: (error(),)}, settled=2)
    planned = asks(before, "cancel", source)
    state = planned.board.sources[source]
    assert (state.waiting, state.dying, state.endings) == ((), (0,), {0: Ending("cancelled")})
    assert [(one.cause, one.text) for one in state.failures[0]] == [("error", "boom"), ("cancelled", "why")]
    after = decide(planned.board, letters_written={(source, 0)}).board.sources[source]
    assert (after.settled, after.dying, after.endings) == (3, (), {})


def test_message_in_a_ticket_is_marked_and_the_request_waits() -> None:
    before, source = one_ticket(2)
    planned = asks(before, "cancel", source, 1, claimed())
    assert planned.board.answers == {}
    assert planned.board.marks == {source: {1: Mark((DO,), "why")}}
    assert planned.board.tickets == before.tickets


def marked(count: int = 2, **fields: Any) -> tuple[Board, str]:
    before, source = one_ticket(count, **fields)
    return asks(before, "cancel", source, 1, claimed()).board, source


def test_marked_message_that_ended_well_is_done() -> None:
    before, _ = marked()
    planned = decide(before, [claimed(report=Report(ok=(1, 2)))])
    assert (planned.board.answers, planned.board.marks) == ({DO: "done"}, {})


def test_marked_message_that_was_given_back_is_cancelled_and_its_neighbour_is_not() -> None:
    before, source = marked()
    planned = decide(before, [claimed(report=Report(released=(0, 2)), slots=0)])
    assert planned.board.sources[source] == SourceState(settled=1, ready=ready((0, 1, 1)))
    assert (planned.board.answers, planned.board.marks) == ({DO: "cancelled"}, {})


def test_marked_message_that_failed_or_whose_host_was_fenced_is_cancelled_and_not_tried_again() -> None:
    for host in (
        claimed(report=Report(failed={1: Failed("retry", 1.0, error())})),
        claimed(report=Report(failed={1: Failed("interrupted", 0.0, Failure(1, "interrupted"))})),
        claimed(fenced=True),
    ):
        before, source = marked()
        state = decide(before, [host]).board.sources[source]
        assert (1 in state.dying, state.endings) == (True, {1: Ending("cancelled")})
        assert all(one.index != 1 for one in state.waiting)


def test_single_that_no_board_has_named_is_refused_from_then_on() -> None:
    source = path(1)
    for there, answer, totals in ((True, "cancelled", {"q": Totals(cancelled=1)}), (False, "absent", {})):
        planned = asks(board(), "cancel", source, 0, ledger(), there=there, listed=[source])
        assert planned.board.sources == {source: SourceState(settled=1)}
        assert (planned.board.answers, planned.board.totals, planned.assigned) == ({DO: answer}, totals, 0)


def test_message_of_a_batch_that_no_board_has_named_is_cancelled_when_the_batch_has_its_turn() -> None:
    source = path(1, 3)
    planned = asks(board(), "cancel", source, 1)
    assert (planned.board.answers, planned.board.sources) == ({DO: "cancelled"}, {})
    later = decide(planned.board, [ledger()], [source])
    parts = [(part.start, part.stop) for ticket in later.board.tickets.values() for part in ticket.parts]
    assert parts == [(0, 1), (2, 3)]
    assert (later.board.sources[source].settled, later.board.marks) == (1, {})


def test_cancel_of_a_message_whose_batch_is_not_there_holds_nothing_and_says_so() -> None:
    """Only a batch whose enqueue was uncertain can come later. Once it is there, a cancel holds."""
    source = path(1, 3)
    planned = asks(board(), "cancel", source, 1, there=False)
    assert (planned.board.answers, planned.board.sources, planned.board.marks) == ({DO: "absent"}, {}, {})
    late = decide(planned.board, [ledger()], [source])
    assert [(part.start, part.stop) for ticket in late.board.tickets.values() for part in ticket.parts] == [(0, 3)]
    again = asks(board(), "cancel", source, 1, there=True)
    held = decide(again.board, [ledger()], [source])
    assert [(part.start, part.stop) for ticket in held.board.tickets.values() for part in ticket.parts] == [
        (0, 1),
        (2, 3),
    ]


def test_batch_of_which_everything_is_cancelled_ends_with_its_turn() -> None:
    source = path(1, 2)
    before = board(marks={source: {0: Mark(), 1: Mark()}})
    planned = decide(before, [ledger()], [source])
    assert (planned.board.sources[source].settled, planned.board.tickets) == (2, {})


def test_what_is_over_is_not_cancelled() -> None:
    source = path(1)
    assert asks(board(), "cancel", source, window={parse_source(source).id}).board.answers == {DO: "over"}
    before, source = on_board(settled=2, ready=ready((0, 1, 1)))
    assert asks(before, "cancel", source, 2).board.answers == {DO: "over"}
    before, source = on_board(settled=2, dying=(0,))
    assert asks(before, "cancel", source, 0).board.answers == {DO: "dead"}


def test_message_that_is_being_moved_is_looked_for_again_in_the_next_cycle() -> None:
    target = path(9, due_ms=NOW_MS + 9) + ".2"
    source = path(1)
    before = board(states={source: SourceState()}, moves={target: ((source, 0),)})
    planned = asks(before, "cancel", source)
    assert (planned.board.answers, planned.board.marks) == ({}, {})


def test_request_that_was_handled_is_not_handled_again() -> None:
    source = path(1)
    before = board(states={source: SourceState(ready=ready((0, 1, 1)))}, answers={DO: "absent"})
    planned = asks(before, "cancel", source)
    assert (planned.board.answers, planned.board.sources[source].ready) == ({DO: "absent"}, ready((0, 1, 1)))


def test_request_of_an_unknown_kind_or_about_no_message_is_answered() -> None:
    assert asks(board(), "polish", path(1)).board.answers == {DO: "unknown"}
    planned = decide(board(), asked={DO: Request("n", "cancel", "nothing")})
    assert planned.board.answers == {DO: "unknown"}


# ---- run now ----------------------------------------------------------------------------------------------------------


def test_waiting_message_becomes_ready() -> None:
    before, source = on_board(waiting=(Waiting(0, 2, NOW_MS + 9), Waiting(1, 2, NOW_MS + 9)), settled=1)
    planned = asks(before, "run_now", source)
    assert planned.board.answers == {DO: "ready"}
    assert [one.index for one in planned.board.sources[source].waiting] == [1]
    assert asks(before, "run_now", source, 0, ledger()).assigned == 1


def test_scheduled_message_runs_and_the_others_of_its_batch_keep_their_time() -> None:
    source = path(1, 3, due_ms=NOW_MS + 60_000)
    planned = asks(board(), "run_now", source, 1, ledger())
    assert (planned.board.answers, planned.assigned) == ({DO: "ready"}, 1)
    assert [(one.index, one.due_ms) for one in planned.board.sources[source].waiting] == [
        (0, NOW_MS + 60_000),
        (2, NOW_MS + 60_000),
    ]


def test_what_cannot_be_hastened_is_said() -> None:
    assert asks(board(), "run_now", path(1, due_ms=NOW_MS + 9, group="g")).board.answers == {DO: "grouped"}
    assert asks(board(), "run_now", path(1), there=False).board.answers == {DO: "absent"}
    before, source = one_ticket()
    assert asks(before, "run_now", source, 0, claimed()).board.answers == {DO: "running"}


# ---- many at once ------------------------------------------------------------------------------------------------------


def many(of: Board, kind: str, *places: tuple[str, int], there: Collection[str] = (), **more: Any) -> Planned:
    messages = tuple(LAYOUT.message_id(source, index) for source, index in places)
    request = Request("n", kind, "", reason="why", messages=messages)
    return decide(of, more.pop("hosts", ()), asked={DO: request}, there=there, **more)


def told(planned: Planned) -> list[str]:
    names = {code: answer for answer, code in CODES.items()}
    return [names[code] for code in planned.board.answers[DO]]


def test_each_of_several_messages_has_its_own_answer_at_once() -> None:
    before, out = one_ticket(2)
    mine, gone, never = path(2, 3), path(3), path(4)
    before = replace(before, sources={**before.sources, mine: SourceState(ready=ready((0, 2, 1)), settled=1)})
    places = [(mine, 0), (mine, 2), (out, 1), (gone, 0), (never, 0)]
    planned = many(before, "cancel", *places, there={gone}, hosts=[claimed()])
    assert told(planned) == ["cancelled", "over", "running", "cancelled", "absent"]
    assert planned.board.marks == {out: {1: Mark((), "why")}}, "nothing waits for it"


def test_batch_of_which_all_messages_are_cancelled_before_its_turn_leaves_no_mark() -> None:
    source = path(1, 3)
    first = many(board(), "cancel", (source, 0), (source, 2), there={source})
    assert (told(first), first.board.marks) == (["cancelled"] * 2, {source: {0: Mark((), "why"), 2: Mark((), "why")}})
    second = asks(replace(first.board, answers={}), "cancel", source, 1)
    assert second.board.marks == {}
    assert second.board.sources == {source: SourceState(settled=3)}
    assert second.board.totals == {"q": Totals(cancelled=3)}


def test_what_there_is_no_room_for_is_to_be_asked_for_again() -> None:
    source = path(1, 1000)
    full = {path(number, 1000): dict.fromkeys(range(1000), Mark()) for number in range(2, 12)}
    planned = many(board(marks=full), "cancel", (source, 0), there={source})
    assert told(planned) == ["later"]


def test_several_messages_are_made_ready_at_once() -> None:
    waits, due = path(1), path(2, 2, due_ms=NOW_MS + 9000)
    before = board(states={waits: SourceState(waiting=(Waiting(0, 2, NOW_MS + 9000),))})
    planned = many(before, "run_now", (waits, 0), (due, 0), (due, 1), there={due})
    assert told(planned) == ["ready"] * 3
    assert planned.board.sources[due].ready == (Ready(0, 2, 1),)


def test_request_about_a_message_that_ends_in_a_way_of_a_newer_release_waits() -> None:
    before, source = on_board(dying=(0,), endings={0: Ending("transferred")}, settled=2)
    assert asks(before, "cancel", source).board.answers == {}
    several = Request("n", "cancel", "", messages=(LAYOUT.message_id(source, 0),))
    assert decide(before, asked={DO: several}, there={source}).board.answers == {DO: CODES["later"]}
