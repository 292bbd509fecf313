"""Somebody deletes the board while hosts run."""

from __future__ import annotations

import pytest
from msgspec.structs import replace
from s3queue_backends.memory import MemoryStore

from s3queue.core import restore
from s3queue.core.elect import View, look, may_stand
from s3queue.core.keys import moved_path, parse_source
from s3queue.core.records import Board, Leader, Part, RetiredPage, SourceState, Ticket, Totals, decode, encode
from s3queue.errors import ConfigError
from s3queue.store import Found, Stored
from tests.core.hands import run
from tests.core.world import LAYOUT, board, claimed, ledger, one_ticket, path

BOARD = LAYOUT.board


def stored_board(store: MemoryStore) -> Board:
    found = store.get(BOARD)
    assert isinstance(found, Found)
    return decode(Board, BOARD, found.body)


def test_host_that_knew_a_board_sees_that_it_is_gone_and_does_not_stand() -> None:
    store = MemoryStore()
    view = View(one_ticket()[0], "v", looked=True)
    assert run(look(view, LAYOUT, 1.0), store) is False
    assert view.is_gone
    assert not may_stand(view, 2.0, 15.0, me="h2", leader_gone=False)


def test_board_of_an_earlier_term_is_not_taken_for_news() -> None:
    store = MemoryStore()
    view = View(replace(one_ticket()[0], epoch=7), "v", looked=True)
    store.put(BOARD, encode(Board("new", epoch=1, turn=1)), if_version=None)
    assert run(look(view, LAYOUT, 1.0), store) is False
    assert view.is_gone
    assert view.board is not None
    assert view.board.epoch == 7


def test_copy_of_the_session_that_led_is_exact_and_is_put_back_with_its_tickets() -> None:
    store = MemoryStore()
    newest, _ = one_ticket(3, epoch=4, turn=40, leader=Leader("h1"))
    run(restore.keep_copy(LAYOUT, "h2", replace(newest, turn=39)), store)
    run(restore.keep_copy(LAYOUT, "h1", newest), store)
    copies = run(restore.copies(LAYOUT), store)
    assert [(copy.session, copy.is_exact) for copy in copies] == [("h1", True), ("h2", False)]
    outcome = run(restore.put_back(LAYOUT, copies[0], "n"), store)
    assert isinstance(outcome, restore.Restored)
    board = stored_board(store)
    assert (board.epoch, board.turn, board.leader, board.sequence) == (5, 41, None, 0)
    assert (board.tickets, board.sources) == (newest.tickets, newest.sources)
    assert run(restore.copies(LAYOUT), store) == []
    view = View(newest, "v", looked=True, is_gone=True)
    assert run(look(view, LAYOUT, 1.0), store)
    assert not view.is_gone


def test_without_the_copy_of_the_session_that_led_none_is_exact() -> None:
    store = MemoryStore()
    run(restore.keep_copy(LAYOUT, "h2", one_ticket(leader=Leader("h1"))[0]), store)
    assert [copy.is_exact for copy in run(restore.copies(LAYOUT), store)] == [False]


def test_board_that_stands_is_not_replaced() -> None:
    store = MemoryStore()
    board, _ = one_ticket()
    assert isinstance(store.put(BOARD, encode(board), if_version=None), Stored)
    assert run(restore.put_back(LAYOUT, restore.Copy("h1", board, True), "n"), store) == restore.Stands()
    assert stored_board(store) == board


def test_founded_anew_it_begins_above_every_number_and_every_session_is_ended() -> None:
    store = MemoryStore()
    store.put(LAYOUT.host("h1"), encode(claimed("12-3")), if_version=None)
    store.put(LAYOUT.host("h2"), encode(ledger("h2", left=True)), if_version=None)
    store.put(LAYOUT.page(9, 0), encode(RetiredPage(("id",), 0)), if_version=None)
    outcome = run(restore.found_anew(LAYOUT, "n"), store)
    assert isinstance(outcome, restore.Restored)
    assert outcome.fenced == ("h1",)
    assert stored_board(store).epoch > 12
    found = store.get(LAYOUT.host("h1"))
    assert isinstance(found, Found)
    assert b'"fenced":true' in found.body


def test_beside_a_board_that_stands_nothing_is_founded_and_no_session_is_ended() -> None:
    store = MemoryStore()
    store.put(LAYOUT.host("h1"), encode(claimed("12-3")), if_version=None)
    store.put(BOARD, encode(one_ticket()[0]), if_version=None)
    before = {key: store.get(key) for key in (BOARD, LAYOUT.host("h1"))}
    assert run(restore.found_anew(LAYOUT, "n"), store) == restore.Stands()
    assert {key: store.get(key) for key in before} == before


def test_objects_that_are_no_pages_do_not_keep_a_board_from_being_founded() -> None:
    store = MemoryStore()
    for name in ("x-y", "²-1", "0000000007-0000000001"):
        store.put(LAYOUT.retired + name, b"junk", if_version=None)
    assert isinstance(run(restore.found_anew(LAYOUT, "n"), store), restore.Restored)
    assert stored_board(store).epoch > 7


def test_founded_anew_its_clock_goes_on_so_that_old_pages_leave_the_window() -> None:
    store = MemoryStore()
    for number, uptime_ms in enumerate((5_000, 9_000)):
        store.put(LAYOUT.page(9, number), encode(RetiredPage(("id",), uptime_ms)), if_version=None)
    run(restore.found_anew(LAYOUT, "n"), store)
    assert stored_board(store).uptime_ms == 9_000


def test_unreadable_page_does_not_keep_a_board_from_being_founded() -> None:
    store = MemoryStore()
    store.put(LAYOUT.page(9, 0), b"no page", if_version=None)
    run(restore.found_anew(LAYOUT, "n"), store)
    assert stored_board(store).uptime_ms == 0


def test_namespace_that_was_led_is_told_from_a_new_one() -> None:
    store = MemoryStore()
    assert not run(restore.was_led(LAYOUT, "me"), store)
    store.put(LAYOUT.host("me"), encode(claimed("1-0")), if_version=None)
    store.put(LAYOUT.host("other"), encode(ledger("other")), if_version=None)
    assert not run(restore.was_led(LAYOUT, "me"), store), "nobody has claimed anything"
    store.put(LAYOUT.host("third"), encode(claimed("1-0", session="third")), if_version=None)
    assert run(restore.was_led(LAYOUT, "me"), store)


def test_copy_that_is_older_leaves_out_what_was_finished_since() -> None:
    store = MemoryStore()
    first, second = path(1, 2), path(2)
    ticket = Ticket("h1", (Part(first, 0, 2, 1), Part(second, 0, 1, 1)))
    copy = board({"1-0": ticket}, {first: SourceState(), second: SourceState()}, leader=Leader("gone"))
    store.put(LAYOUT.page(1, 0), encode(RetiredPage((parse_source(first).id,), 0)), if_version=None)
    assert isinstance(run(restore.put_back(LAYOUT, restore.Copy("h2", copy, False), "n"), store), restore.Restored)
    back = stored_board(store)
    assert back.sources == {second: SourceState()}
    assert (back.tickets["1-0"].taken, back.tickets["1-0"].left) == ((0, 2), 1)


def test_copy_that_is_older_and_names_moves_is_refused() -> None:
    copy = board(moves={"later/x": ((path(1), 0),)})
    with pytest.raises(ConfigError, match="moved"):
        run(restore.put_back(LAYOUT, restore.Copy("h2", copy, False), "n"), MemoryStore())


@pytest.mark.parametrize("how", ["anew", "older copy"])
def test_messages_that_were_moved_off_the_lost_board_are_counted(how: str) -> None:
    """Otherwise nobody looks for them, and whoever waits for one is told that it has ended."""
    store, scheduled = MemoryStore(), path(3, due_ms=9)
    moved = moved_path(parse_source(path(1)), due_ms=7, batch="ab", count=3, attempt=2, alone=False)
    for one in (moved, scheduled, "junk"):
        store.put(LAYOUT.source(one if one != "junk" else "later/junk"), b"x", if_version=None)
    if how == "anew":
        run(restore.found_anew(LAYOUT, "n"), store)
        assert stored_board(store).totals == {"q": Totals(moved=3)}
    else:
        copy = board(totals={"q": Totals(done=5, moved=1), "r": Totals(moved=1)})
        run(restore.put_back(LAYOUT, restore.Copy("h2", copy, False), "n"), store)
        assert stored_board(store).totals == {"q": Totals(done=5, moved=3), "r": Totals()}
