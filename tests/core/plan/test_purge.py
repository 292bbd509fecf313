"""A queue is emptied by a walk, whose place and effect are one commit."""

from __future__ import annotations

from typing import Any

from msgspec.structs import replace

from s3queue.core.keys import parse_source
from s3queue.core.plan import Planned, Walked
from s3queue.core.records import (
    Board,
    Ending,
    Failed,
    Failure,
    Mark,
    Offer,
    Purge,
    Report,
    Request,
    SourceState,
    Totals,
    Waiting,
)
from tests.core.world import NOW_MS, SETTINGS, board, claimed, decide, error, ledger, one_ticket, path, ready

DO, OTHER = "do/1800000000000-0000000000000001", "do/1800000000000-0000000000000002"


def asks(of: Board, *hosts: Any, queue: str = "q", request: str = DO, **more: Any) -> Planned:
    asked = Request("n", "purge", "", reason="why", queue=queue)
    return decide(of, hosts, asked={request: asked}, **more)


def page(*paths: str, after: str = "", upto: str | None = None) -> dict[str, Walked]:
    return {"q": Walked(DO, after, paths, upto)}


def test_purge_is_named_and_what_is_on_the_board_ends_in_the_same_commit() -> None:
    source = path(1, 4)
    state = SourceState(ready=ready((0, 3, 1)), waiting=(Waiting(3, 2, NOW_MS + 9000),), failures={3: (error(),)})
    planned = asks(board(states={source: state}))
    after = planned.board.sources[source]
    assert (after.settled, after.ready, after.waiting) == (3, (), ())
    assert (after.dying, after.endings) == ((3,), {3: Ending("purged")}), "what had begun leaves a tombstone"
    assert planned.board.purges["q"] == Purge(DO, count=4, reason="why")
    assert planned.board.totals == {"q": Totals(purged=4)}
    assert planned.board.answers == {}, "what is stored and was not listed is not over"


def test_nothing_of_a_queue_that_is_purged_is_assigned_and_other_queues_go_on() -> None:
    mine, other = path(1), path(2, queue="r")
    before = board(purges={"q": Purge(DO)})
    planned = decide(before, [ledger(offers={"q": Offer(), "r": Offer()})], [mine, other])
    assert [ticket.queue for ticket in planned.board.tickets.values()] == ["r"]


def test_page_of_the_walk_is_settled_and_the_walk_goes_on_in_the_same_commit() -> None:
    paths = [path(number, 10) for number in range(3)]
    planned = decide(board(purges={"q": Purge(DO)}), walked=page(*paths, upto=paths[-1]))
    assert planned.board.sources == {one: SourceState(settled=10) for one in paths}
    assert planned.board.purges["q"] == Purge(DO, after=paths[-1], count=30)
    again = decide(planned.board, walked=page(path(9), upto=None))
    assert again.board.purges == planned.board.purges, "a page that was listed for another place is not taken"


def test_purge_is_answered_with_how_many_have_ended_when_the_walk_is_over() -> None:
    planned = decide(board(purges={"q": Purge(DO, after="later/", count=7)}), walked=page(after="later/"))
    assert (planned.board.purges, planned.board.answers) == ({}, {DO: "purged 7"})


def test_late_batch_in_the_page_is_refused_and_not_purged() -> None:
    late = path(1)
    planned = decide(board(purges={"q": Purge(DO)}), walked=page(late, upto=late), window={parse_source(late).id})
    assert (planned.board.sources, planned.refused) == ({}, [late])
    assert planned.board.totals == {}


def test_walk_waits_while_a_thousand_finished_batches_are_not_forgotten() -> None:
    finished = {path(number): SourceState(settled=1) for number in range(1000)}
    before = board(states=finished, purges={"q": Purge(DO)})
    assert not decide(before, walked=page(path(2000), upto=path(2000))).changed


def test_what_a_host_has_is_marked_and_the_answer_waits_for_it() -> None:
    before, source = one_ticket(2)
    planned = asks(before, claimed())
    assert planned.board.marks == {source: {index: Mark((DO,), "why", None, True) for index in (0, 1)}}
    walked = decide(planned.board, [claimed()], walked=page(after=""))
    assert walked.board.purges["q"].is_open, "the queue goes on"
    assert walked.board.answers == {}
    failed = Failed("retry", 1.0, Failure(1, "cancelled"))
    over = decide(walked.board, [claimed(report=Report(ok=(0, 1), failed={1: failed}))])
    assert (over.board.purges, over.board.marks) == ({}, {})
    assert over.board.answers == {DO: "purged 1"}
    assert over.board.totals == {"q": Totals(done=1, purged=1)}


def test_message_that_was_to_be_cancelled_already_answers_both_requests() -> None:
    before, source = one_ticket(1)
    before = replace(before, marks={source: {0: Mark((OTHER,), "mine", 5.0)}})
    planned = asks(before, claimed())
    assert planned.board.marks == {source: {0: Mark((OTHER, DO), "why", 5.0, True)}}
    walked = decide(planned.board, [claimed(report=Report(released=(0, 1)), slots=0)], walked=page())
    assert walked.board.answers == {OTHER: "cancelled", DO: "purged 1"}


def test_second_purge_waits_for_the_end_of_the_first() -> None:
    before = board(purges={"q": Purge(OTHER, after=path(1))})
    planned = asks(before)
    assert not planned.changed
    assert planned.board.answers == {}


def test_purge_of_what_is_no_queue_is_answered_so() -> None:
    assert asks(board(), queue="../q").board.answers == {DO: "unknown"}


def test_more_tombstones_than_there_is_room_for_are_written_in_later_cycles() -> None:
    source = path(1, 3)
    waiting = tuple(Waiting(index, 2, NOW_MS + 9000) for index in range(3))
    state = SourceState(waiting=waiting, failures={index: (error(),) for index in range(3)})
    few = SETTINGS._replace(max_dying=2)
    planned = asks(board(states={source: state}), settings=few)
    after = planned.board.sources[source]
    assert (len(after.dying), len(after.waiting)) == (2, 1)
    assert planned.board.full == ("dead letters",)
    walked = decide(planned.board, walked=page(), settings=few)
    assert not walked.board.purges["q"].is_open
    written = {(source, index) for index in after.dying}
    settled = decide(walked.board, letters_written=written, settings=few)
    over = decide(settled.board, settings=few)
    assert over.board.answers == {DO: "purged 3"}


def test_long_reason_is_cut_since_each_mark_has_it() -> None:
    before, source = one_ticket(3)
    asked = Request("n", "purge", "", reason="x" * 5000, queue="q")
    planned = decide(before, [claimed()], asked={DO: asked})
    assert {len(mark.reason) for mark in planned.board.marks[source].values()} == {200}
    assert len(planned.board.purges["q"].reason) == 200
