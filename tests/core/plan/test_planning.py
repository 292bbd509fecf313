"""What stands in no ledger: time, dead letters that are stored, sources that are gone."""

from s3queue.core.plan import Planned, Settings
from s3queue.core.records import Offer, Part, Ready, Report, SourceState, Waiting
from tests.core.world import (
    NOW_MS,
    board,
    claimed,
    decide,
    error,
    ledger,
    one_ticket,
    parts,
    path,
    ready,
)


def state_of(planned: Planned, source: str) -> SourceState:
    return planned.board.sources[source]


class TestWaiting:
    def test_what_is_due_becomes_ready_and_the_rest_says_when(self) -> None:
        source = path(1, 3)
        waiting = (Waiting(0, 2, NOW_MS), Waiting(1, 2, NOW_MS + 1), Waiting(2, 3, NOW_MS + 9))
        planned = decide(board(states={source: SourceState(waiting=waiting)}))
        assert state_of(planned, source) == SourceState(ready=ready((0, 1, 2)), waiting=waiting[1:])
        assert planned.next_due_ms == NOW_MS + 1

    def test_nothing_due_changes_nothing(self) -> None:
        source = path(1)
        planned = decide(board(states={source: SourceState(waiting=(Waiting(0, 2, NOW_MS + 5),))}), [ledger()])
        assert not planned.changed
        assert planned.next_due_ms == NOW_MS + 5

    def test_more_than_max_parked_are_moved_off_and_both_new_ones_and_retries_go_on(self) -> None:
        source = path(1, 4)
        for parked, moved in ((2, 0), (3, 2)):
            waiting = tuple(Waiting(index, 2, NOW_MS + 9) for index in range(parked))
            state = SourceState(ready=ready((3, 4, 2)), waiting=waiting, settled=3 - parked)
            planned = decide(board(states={source: state}), [ledger()], [path(2)], settings=Settings(max_parked=2))
            assert sum(map(len, planned.board.moves.values())) == moved
            assert path(2) in planned.board.sources
            assert Part(source, 3, 4, 2) in parts(planned)["h1"][0]

    def test_another_queue_is_not_held_up_by_what_is_parked(self) -> None:
        waiting = (Waiting(0, 2, NOW_MS + 9),)
        before = board(states={path(1): SourceState(waiting=waiting)})
        host = ledger(offers={"q": Offer(), "r": Offer()})
        planned = decide(before, [host], [path(2), path(3, queue="r")], settings=Settings(max_parked=0))
        assert set(planned.board.sources) == {path(1), path(2), path(3, queue="r")}


class TestBuriedAndRetired:
    def test_a_message_whose_letter_is_stored_is_settled(self) -> None:
        source = path(1, 2)
        state = SourceState(settled=1, dying=(1,), failures={1: (error(),)})
        planned = decide(board(states={source: state}), letters_written={(source, 1)})
        assert state_of(planned, source) == SourceState(settled=2)

    def test_a_letter_of_a_message_that_is_not_dying_here_means_nothing(self) -> None:
        before = board(states={path(1): SourceState(ready=ready((0, 1, 1)))})
        assert not decide(before, letters_written={(path(1), 0), (path(2), 0)}).changed

    def test_a_retired_source_leaves_the_board_and_is_not_admitted_by_the_listing_it_is_still_in(self) -> None:
        before = board(states={path(1): SourceState(settled=1)})
        planned = decide(before, [ledger()], [path(1)], retired=[path(1), path(7)])
        assert planned.changed
        assert planned.board.sources == {}
        assert planned.refused == []

    def test_a_batch_in_the_window_is_refused_and_never_admitted(self) -> None:
        planned = decide(board(), [ledger()], [path(1), path(2)], window={"0000000000001-1"})
        assert planned.refused == [path(1)]
        assert set(planned.board.sources) == {path(2)}

    def test_a_late_request_is_refused_though_nobody_serves_its_queue(self) -> None:
        assert decide(board(), [], [path(1)], window={"0000000000001-1"}).refused == [path(1)]

    def test_a_batch_on_the_board_is_never_admitted_again(self) -> None:
        before = board(states={path(1): SourceState(settled=1)})
        planned = decide(before, [ledger()], [path(1)])
        assert not planned.changed


class TestNothing:
    def test_a_plan_that_decides_nothing_is_the_board_itself(self) -> None:
        before = board(states={path(1): SourceState(settled=1), path(2): SourceState(ready=(Ready(0, 1, 1),))})
        planned = decide(before, [ledger(offers={"other": Offer()})])
        assert planned.board is before
        assert not planned.changed

    def test_the_board_that_a_plan_is_made_from_is_not_touched(self) -> None:
        before, _ = one_ticket(3)
        copy = repr(before)
        decide(before, [claimed(report=Report(ok=(0, 1)), fenced=True), ledger("h2")], [path(5)])
        assert repr(before) == copy
