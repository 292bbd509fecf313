"""The host's loop: how it joins, and what it takes for news."""

from __future__ import annotations

import math

from msgspec.structs import replace

from s3queue.core import restore
from s3queue.core.agent.hosting import tells_more
from s3queue.core.held import Held
from s3queue.core.ops import Wait
from s3queue.core.records import (
    Allowed,
    Board,
    Ledger,
    Part,
    Ready,
    Report,
    SourceState,
    Ticket,
    Totals,
    Waiting,
    decode,
    encode,
)
from s3queue.store import Found
from tests.core.agent.desk import Desk
from tests.core.hands import run
from tests.core.world import LAYOUT, claimed

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


def test_agent_that_starts_while_the_board_is_deleted_keeps_what_the_one_before_it_knew() -> None:
    desk = Desk(session="new")
    before = replace(claimed("1-0", session="old"), reports={"1-0": Report(ok=(0, 1))})
    desk.store.put(LAYOUT.host("old"), encode(before), if_version=None)
    desk.start(desk.agent.join(["old"], {"1-0": Report(ok=(1, 2))}))
    assert desk.go(1060.0) == []
    assert stored_ledger(desk, "old") == before
    assert 3 < len(desk.told) < 30, "it says so, after pauses that grow"
    assert set(desk.told) == {("warn", LAYOUT.board)}
    ticket = Ticket("old", (Part(_PATH, 0, 2, 1),))
    desk.store.put(LAYOUT.board, encode(replace(_RUNS, tickets={"1-0": ticket})), if_version=None)
    assert desk.go(1120.0) == [True]
    over = stored_ledger(desk, "old")
    assert over.fenced
    assert over.reports["1-0"] == Report(ok=(0, 2))


def test_board_that_is_deleted_again_is_kept_again_as_it_was_then() -> None:
    """The second time there was no copy, or, if the first one had been left behind, an old one that passed for exact."""
    desk = Desk()
    desk.start(desk.agent.join())
    assert desk.go(1010.0) == [True]
    desk.start(desk.agent.serve(), desk.agent.coordinate())
    desk.go(1060.0)
    for leave_copy in (False, True, False):
        found = desk.store.get(LAYOUT.board)
        assert isinstance(found, Found)
        board = decode(Board, LAYOUT.board, found.body)
        desk.store.delete([LAYOUT.board])
        desk.go(desk.time + 60.0)
        (copy,) = run(restore.copies(LAYOUT), desk.store)
        assert (copy.board, copy.is_exact) == (board, True)
        left = desk.store.get(LAYOUT.lost("h1"))
        assert isinstance(left, Found)
        assert isinstance(run(restore.put_back(LAYOUT, copy, f"by hand {board.turn}"), desk.store), restore.Restored)
        if leave_copy:
            desk.store.put(LAYOUT.lost("h1"), left.body, if_version=None)
        desk.go(desk.time + 60.0)


def stored_ledger(desk: Desk, session: str) -> Ledger:
    found = desk.store.get(LAYOUT.host(session))
    assert isinstance(found, Found)
    return decode(Ledger, LAYOUT.host(session), found.body)


class TestGuard:
    """A host that stores nothing for as long as the visibility timeout may be fenced, and its places given to others."""

    def until(self, limited: bool, began: float | None = None) -> float:
        """Seconds after its last write at which it ends the session, having looked after 29 s of them."""
        desk = Desk()
        desk.time = desk.time if began is None else began
        desk.host.see(_RUNS)
        desk.host.trusted_from = desk.time
        ticket = Ticket(desk.host.session, (Part(_PATH, 0, 2, 1),))
        desk.host.tickets = {"1-0": Held(ticket)}
        desk.host.allowed = {"1-0": Allowed("", 1)} if limited else {}
        desk.host.stored = Ledger("n", desk.host.session, claims=("1-0",))
        guard = desk.agent.guard()
        desk.time += 29.0
        waits = next(guard)
        assert isinstance(waits, Wait)
        desk.time = waits.until
        try:
            next(guard)
        except StopIteration:
            return desk.time - desk.host.trusted_from
        return math.inf

    def test_it_ends_what_runs_of_a_limited_queue(self) -> None:
        assert self.until(limited=True) == 30.0

    def test_a_host_that_runs_nothing_limited_goes_on(self) -> None:
        assert self.until(limited=False) == math.inf

    def test_it_does_not_wait_for_a_time_that_has_come(self) -> None:
        """Some sums of seconds lie below their parts."""
        began = next(second / 10 for second in range(1000) if second / 10 + 30.0 - second / 10 < 30.0)
        assert self.until(limited=True, began=began) == began + 30.0 - began
