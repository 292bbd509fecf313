"""The host's loop: what it takes for news."""

from __future__ import annotations

from msgspec.structs import replace

from s3queue.core.agent.hosting import tells_more
from s3queue.core.records import Board, Part, Ready, SourceState, Ticket, Totals, Waiting

_PATH = "in/q/5/1700000000000-0010000000000000-2"
_RUNS = Board(
    "n",
    1,
    turn=5,
    sequence=1,
    tickets={"1-0": Ticket("s", (Part(_PATH, 0, 2, 1),))},
    sources={_PATH: SourceState()},
    totals={"q": Totals(done=7)},
)


def _later(board: Board) -> Board:
    return replace(board, nonce="m", turn=board.turn + 1, uptime_ms=board.uptime_ms + 5000)


def test_heartbeat_over_a_long_task_is_no_news() -> None:
    assert not tells_more(_RUNS, _later(_RUNS))


def test_a_first_board_is_news() -> None:
    assert tells_more(None, _RUNS)
    assert tells_more(_RUNS, None)
    assert not tells_more(None, None)


def test_an_assignment_an_outcome_and_another_leader_are_news() -> None:
    later = _later(_RUNS)
    assert tells_more(_RUNS, replace(later, sequence=2))
    assert tells_more(_RUNS, replace(later, totals={"q": Totals(done=7, failed=1)}))
    assert tells_more(_RUNS, replace(later, tickets={}))
    assert tells_more(_RUNS, replace(later, sources={}))
    assert tells_more(_RUNS, replace(later, epoch=2))


def test_what_waits_on_the_board_may_change_soon() -> None:
    for state in (
        SourceState(ready=(Ready(0, 1, 1),)),
        SourceState(waiting=(Waiting(0, 2, 1_700_000_000_000),)),
        SourceState(dying=(0,)),
    ):
        board = replace(_RUNS, sources={_PATH: state})
        assert tells_more(board, _later(board))
