"""Operators change the control by compare-and-swap, and the coordinator plans with it."""

from __future__ import annotations

import pytest
from s3queue_backends.memory import MemoryStore

from s3queue.core import operate
from s3queue.core.cycle import Cycled
from s3queue.core.keys import request_path
from s3queue.core.ops import Get, Put, Unknown
from s3queue.core.records import (
    Board,
    Control,
    DeadLetter,
    Failure,
    Offer,
    Part,
    Request,
    SourceState,
    Ticket,
    Waiting,
    decode,
    encode,
)
from s3queue.errors import CorruptRecord
from s3queue.store import Found
from tests.core.hands import Hand, run
from tests.core.test_cycle import Office
from tests.core.world import LAYOUT, NOW_MS, board, decide, ledger, path, ready

CONTROL = LAYOUT.control


def control_of(store: MemoryStore) -> Control:
    found = store.get(CONTROL)
    assert isinstance(found, Found)
    return decode(Control, CONTROL, found.body)


def paused(*queues: str, turn: int = 1) -> Control:
    return Control("c", turn, dict.fromkeys(queues, 0))


# ---- an operator ------------------------------------------------------------------------------------------------------


def test_two_operators_who_change_it_at_once_both_have_their_way() -> None:
    store = MemoryStore()
    first = Hand(operate.change(LAYOUT, operate.pause("a"), "n1"), store)
    first.until(Put, CONTROL)
    run(operate.change(LAYOUT, operate.pause("b"), "n2"), store)
    changed = first.finish()
    assert isinstance(changed, Control)
    assert changed.paused == {"a": 0, "b": 0}
    assert (changed.turn, control_of(store)) == (2, changed)


def test_change_that_changes_nothing_is_not_written() -> None:
    store = MemoryStore()
    run(operate.change(LAYOUT, operate.pause("a"), "n1"), store)
    again = Hand(operate.change(LAYOUT, operate.pause("a"), "n2"), store)
    changed = again.finish()
    assert isinstance(changed, Control)
    assert changed.turn == 1
    assert again.count(Put) == 0


def test_first_change_costs_two_gets_and_one_put_and_later_ones_one_of_each() -> None:
    store = MemoryStore()
    first = Hand(operate.change(LAYOUT, operate.pause("a"), "n1"), store)
    first.finish()
    assert (first.count(Get), first.count(Put)) == (2, 1)
    later = Hand(operate.change(LAYOUT, operate.resume("a"), "n2"), store)
    later.finish()
    assert (later.count(Get), later.count(Put)) == (1, 1)


def test_control_that_was_deleted_is_made_anew_with_a_later_turn() -> None:
    store = MemoryStore()
    store.put(LAYOUT.board, encode(board(control=7)), if_version=None)
    changed = run(operate.change(LAYOUT, operate.resume("a"), "n1"), store)
    assert isinstance(changed, Control)
    assert changed.turn == 8


def test_change_without_an_answer_is_not_said_to_hold() -> None:
    step = Hand(operate.change(LAYOUT, operate.pause("a"), "n1"))
    step.until(Put, CONTROL)
    while isinstance(step.op, Put):
        step.tell(Unknown())
        step.do()
    assert isinstance(step.result, Unknown)


def test_an_operator_waits_for_at_least_his_turn_and_for_nobody_where_nobody_leads() -> None:
    assert not operate.has_planned(board(control=2), 3)
    assert operate.has_planned(board(control=3), 3)
    assert operate.has_planned(board(control=4), 3)
    assert operate.has_planned(board(control=2, leader=None), 3)
    assert operate.has_planned(None, 3)


# ---- the plan ---------------------------------------------------------------------------------------------------------


def test_paused_queue_gets_no_ticket_and_the_board_names_the_turn() -> None:
    planned = decide(board(), [ledger()], [path(1)], control=paused("q", turn=4))
    assert (planned.board.tickets, planned.board.control, planned.changed) == ({}, 4, True)
    assert "q" not in planned.room


def test_what_is_on_the_board_already_is_held_as_well() -> None:
    before = board(states={path(1): SourceState(ready=ready((0, 1, 1)))})
    assert decide(before, [ledger()], control=paused("q")).assigned == 0
    assert decide(before, [ledger()], control=paused("other")).assigned == 1


def test_pause_ends_by_itself_and_a_cycle_is_due_then() -> None:
    control = Control("c", 1, {"q": NOW_MS + 500})
    planned = decide(board(), [ledger()], [path(1)], control=control)
    assert (planned.assigned, planned.next_due_ms) == (0, NOW_MS + 500)
    assert decide(board(), [ledger()], [path(1)], control=control, now_ms=NOW_MS + 500).assigned == 1


def test_other_queues_of_a_host_go_on() -> None:
    host = ledger(offers={"q": Offer(), "r": Offer()})
    planned = decide(board(), [host], [path(1), path(2, queue="r")], control=paused("q"))
    assert [ticket.queue for ticket in planned.board.tickets.values()] == ["r"]


def test_nothing_is_assigned_where_nobody_knows_what_is_paused() -> None:
    planned = decide(board(control=3), [ledger()], [path(1)], control=None)
    assert (planned.assigned, planned.board.control) == (0, 3)


# ---- the coordinator --------------------------------------------------------------------------------------------------


def test_pause_takes_effect_in_the_cycle_that_sees_it() -> None:
    office = Office()
    office.host(ledger())
    office.write(CONTROL, encode(paused("q", turn=1)))
    office.source(path(1))
    office.cycle()
    assert (office.stored_board().tickets, office.stored_board().control) == ({}, 1)
    office.write(CONTROL, encode(Control("d", 2)))
    office.cycle()
    assert (len(office.stored_board().tickets), office.stored_board().control) == (1, 2)


def test_control_is_read_once_for_each_change() -> None:
    office = Office()
    office.write(CONTROL, encode(paused("x")))

    def reads() -> int:
        hand = Hand(office.lead.cycle(now=office.now, now_ms=NOW_MS, nonce=f"n{office.now}"), office.store)
        assert isinstance(hand.finish(), Cycled)
        office.now += 1.0
        return sum(CONTROL in str(op) for op in hand.asked)

    assert [reads(), reads()] == [1, 0]
    office.write(CONTROL, encode(paused("y", turn=2)))
    assert [reads(), reads()] == [1, 0]


def test_new_leader_without_a_readable_control_assigns_nothing() -> None:
    office = Office()
    office.host(ledger())
    office.source(path(1))
    office.write(CONTROL, b"{}")
    office.cycle()
    assert office.stored_board().tickets == {}
    office.write(CONTROL, encode(Control("c", 1)))
    office.cycle()
    assert len(office.stored_board().tickets) == 1


def test_control_that_cannot_be_read_any_more_holds_as_it_was_read() -> None:
    office = Office()
    office.host(ledger())
    office.write(CONTROL, encode(paused("q")))
    office.cycle()
    office.write(CONTROL, b"damaged")
    office.source(path(1))
    office.cycle()
    assert (office.stored_board().tickets, office.stored_board().control) == ({}, 1)


def test_control_older_than_the_board_says_counts_as_unread() -> None:
    office = Office(board(control=5))
    office.host(ledger())
    office.source(path(1))
    office.write(CONTROL, encode(Control("c", 4)))
    office.cycle()
    assert (office.stored_board().tickets, office.stored_board().control) == ({}, 5)


def test_deleted_control_does_not_make_a_new_leader_forget_it() -> None:
    office = Office(board(control=5))
    office.host(ledger())
    office.source(path(1))
    office.cycle()
    assert office.stored_board().tickets == {}


def test_board_of_an_older_release_names_turn_zero() -> None:
    assert decode(Board, "b", b'{"nonce":"n","epoch":1,"format":1}').control == 0


# ---- requests ---------------------------------------------------------------------------------------------------------

SENT = request_path(NOW_MS, "00000000000000a1")


def asked(office: Office, message: str, kind: str = "cancel") -> None:
    office.write(LAYOUT.source(SENT), encode(Request("n", kind, message)))


def answer_of(office: Office) -> str | None:
    return run(operate.read_answer(LAYOUT, SENT), office.store)


def test_request_is_answered_deleted_and_remembered() -> None:
    office = Office()
    office.source(path(1))
    asked(office, LAYOUT.message_id(path(1), 0))
    office.cycle()
    assert answer_of(office) == "cancelled"
    for _ in range(5):
        office.cycle()
    assert office.stored_board().answers == {}
    assert not office.has(LAYOUT.source(SENT))
    assert SENT in office.lead.window
    asked(office, LAYOUT.message_id(path(2), 0))  # a late put of it
    office.source(path(2))
    office.cycle()
    assert not office.has(LAYOUT.source(SENT))
    assert path(2) not in office.stored_board().sources


def test_new_leader_neither_handles_a_request_again_nor_forgets_to_answer_it() -> None:
    before = board(states={path(1): SourceState(settled=1)}, answers={SENT: "cancelled"})
    office = Office(before)
    asked(office, LAYOUT.message_id(path(1), 0))
    office.cycle()
    assert answer_of(office) == "cancelled"


def test_request_that_was_cut_short_holds_nothing_up_and_is_handled_when_it_is_whole() -> None:
    office = Office()
    office.host(ledger())
    office.source(path(1), path(2, due_ms=NOW_MS + 10**9))
    office.write(LAYOUT.source(SENT), b"{")
    office.cycle()
    assert len(office.stored_board().tickets) == 1
    asked(office, LAYOUT.message_id(path(2, due_ms=NOW_MS + 10**9), 0))
    office.cycle(after_s=20.0)
    assert answer_of(office) == "cancelled"


def test_crowd_of_requests_is_handled_a_hundred_at_a_time_and_hides_no_host() -> None:
    office = Office()
    office.host(ledger())
    office.source(path(1))
    for number in range(1500):
        office.write(LAYOUT.source(request_path(NOW_MS, f"{number:016x}")), encode(Request("n", "cancel", "nothing")))
    office.cycle()
    assert len(office.stored_board().answers) == 100
    assert len(office.stored_board().tickets) == 1


def test_cancelled_message_that_had_begun_leaves_a_tombstone() -> None:
    waits = SourceState(waiting=(Waiting(0, 2, NOW_MS + 10**9),), failures={0: (Failure(1, "error", "boom", 1),)})
    office = Office(board(states={path(1): waits}))
    office.source(path(1))
    asked(office, LAYOUT.message_id(path(1), 0))
    for _ in range(4):
        office.cycle()
    key = LAYOUT.dead("q", LAYOUT.message_id(path(1), 0))
    letter = decode(DeadLetter, key, office.body(key))
    assert (letter.tombstone, letter.ending, letter.attempt) == (True, "cancelled", 2)
    assert office.stored_board().totals["q"].cancelled == 1
    assert not office.has(LAYOUT.source(path(1)))


def test_answers_are_swept_an_hour_later() -> None:
    office = Office()
    asked(office, "nothing")
    office.cycle()
    assert answer_of(office) == "unknown"
    for _ in range(8):
        office.cycle(after_s=700.0)
    assert answer_of(office) is None


def test_change_that_nobody_could_read_is_not_stored() -> None:
    """It would stop every later change, and the coordinator would plan with the one before for ever."""
    store = MemoryStore()
    run(operate.change(LAYOUT, operate.pause("a"), "n1"), store)
    with pytest.raises(CorruptRecord):
        run(operate.change(LAYOUT, operate.pause("b", -1), "n2"), store)
    assert control_of(store).paused == {"a": 0}


# ---- tasks -----------------------------------------------------------------------------------------------------------


def test_pauses_of_tasks_are_set_and_ended_one_by_one() -> None:
    control = Control("n", paused={"a": 0})
    for edit in (operate.pause_task("a", "send"), operate.pause_task("a", "scan", 7), operate.pause_task("b", "send")):
        control = edit(control)
    assert control.paused_tasks == {"a": {"send": 0, "scan": 7}, "b": {"send": 0}}
    assert (control.halted(6), control.halted(7)) == (
        {"a": ("scan", "send"), "b": ("send",)},
        {"a": ("send",), "b": ("send",)},
    )
    assert operate.resume_task("a", "send")(control).paused_tasks == {"a": {"scan": 7}, "b": {"send": 0}}
    assert operate.resume_task("b", "send")(control).paused_tasks == {"a": {"send": 0, "scan": 7}}
    assert operate.resume("a")(control).paused_tasks == control.paused_tasks
    assert operate.forget("a")(control) == Control("n", paused_tasks={"b": {"send": 0}})


def test_pause_of_a_task_holds_when_a_board_names_it_or_nobody_leads() -> None:
    named = {"a": ("send",)}
    assert operate.has_halted(board(control=3, halted=named), 3, "a", "send")
    assert operate.has_halted(board(control=4), 3, "a", "send")
    assert operate.has_halted(None, 3, "a", "send")
    assert operate.has_halted(board(control=2, leader=None), 3, "a", "send")
    assert not operate.has_halted(board(control=2, halted=named), 3, "a", "send")
    assert not operate.has_halted(board(control=3, halted={"a": ("scan",)}), 3, "a", "send")


def test_leader_that_knows_no_paused_tasks_never_makes_a_pause_hold() -> None:
    """It names the turn of the control, whose pauses of tasks it does not see."""
    assert not operate.has_halted(board(control=3), 3, "a", "send")


def test_tickets_of_a_queue_are_those_that_hosts_hold() -> None:
    tickets = {"1-0": Ticket("h", (Part(path(1), 0, 1, 1),)), "1-1": Ticket("h", (Part(path(2, queue="r"), 0, 1, 1),))}
    states = {path(1): SourceState(), path(2, queue="r"): SourceState()}
    assert operate.tickets_of(board(tickets, states), "q") == {"1-0"}
    assert operate.tickets_of(None, "q") == frozenset()
