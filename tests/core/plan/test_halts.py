"""Tasks are paused: boards name them, and what hosts give back for that waits."""

import pytest
from msgspec.structs import replace

from s3queue.core.halts import HELD_SINCE_MS, give_back, is_given_back, is_held, let_go, task_of
from s3queue.core.plan import Planned, Settings
from s3queue.core.ready import joined
from s3queue.core.records import (
    Board,
    Control,
    Failed,
    Ledger,
    Mark,
    Offer,
    Part,
    Report,
    SourceState,
    Unfit,
    Waiting,
    encode,
)
from tests.core.world import NOW_MS, board, claimed, decide, ledger, one_ticket, parts, path, ready

PAUSED = Control("c", 7, paused_tasks={"q": {"send": 0}})
RESUMED = Control("c", 8)
HELD = "send@="


def state_of(planned: Planned, source: str) -> SourceState:
    return planned.board.sources[source]


def given_back(control: Control | None = PAUSED, *, group: str | None = None, **fields: object) -> tuple[Planned, str]:
    before, source = one_ticket(attempt=2, halted={"q": ("send",)}, control=7)
    report = Report(failed={0: give_back("send")})
    return decide(before, [claimed(report=report, slots=0)], control=control, **fields), source


def idle(*more: str, **fields: object) -> Ledger:
    return ledger("h2", offers={"q": Offer(tasks={"send": "aa"})}, **fields)


class TestTheBoard:
    def test_it_names_the_tasks_that_its_control_pauses(self) -> None:
        planned = decide(board(), control=PAUSED)
        assert (planned.changed, planned.board.halted, planned.board.control) == (True, {"q": ("send",)}, 7)
        assert not decide(planned.board, control=PAUSED).changed
        resumed = decide(planned.board, control=RESUMED)
        assert (resumed.changed, resumed.board.halted) == (True, {})

    def test_while_the_control_is_not_read_it_names_what_it_named_before(self) -> None:
        before = board(halted={"q": ("send",)}, control=7)
        assert not decide(before, control=None).changed

    def test_a_pause_ends_by_itself_and_the_coordinator_comes_back_for_that(self) -> None:
        control = Control("c", 7, paused_tasks={"q": {"send": NOW_MS + 5000, "other": 0}})
        planned = decide(board(), control=control)
        assert (planned.board.halted, planned.next_due_ms) == ({"q": ("other", "send")}, NOW_MS + 5000)
        over = decide(planned.board, control=control, now_ms=NOW_MS + 5000)
        assert (over.changed, over.board.halted) == (True, {"q": ("other",)})

    def test_without_a_paused_task_nothing_of_it_is_on_a_board(self) -> None:
        before, _ = one_ticket(control=7)
        planned = decide(before, [claimed(report=Report(ok=(0, 1)))], [path(2)], control=RESUMED)
        assert planned.changed
        assert b"halted" not in encode(planned.board)


class TestHeld:
    def test_it_is_held_with_the_same_attempt_and_is_no_failure(self) -> None:
        planned, source = given_back()
        assert state_of(planned, source) == SourceState(
            ready=ready((0, 1, 2)), unfit=(Unfit(0, 1, HELD, HELD_SINCE_MS),)
        )
        assert (planned.board.totals, planned.board.tickets, planned.unfit) == ({}, {}, [])

    def test_it_is_not_assigned_again_while_its_task_is_paused(self) -> None:
        planned, _ = given_back()
        after = decide(planned.board, [idle()], control=PAUSED)
        assert not after.changed

    def test_it_is_assigned_as_soon_as_its_task_is_resumed(self) -> None:
        planned, source = given_back()
        after = decide(planned.board, [ledger("h2")], control=RESUMED)
        assert parts(after) == {"h2": [(Part(source, 0, 1, 2),)]}
        assert state_of(after, source) == SourceState()

    def test_it_is_ready_at_once_where_the_task_was_resumed_meanwhile(self) -> None:
        planned, source = given_back(RESUMED)
        assert state_of(planned, source) == SourceState(ready=ready((0, 1, 2)))

    def test_pauses_of_other_tasks_and_queues_do_not_hold_it(self) -> None:
        planned, source = given_back()
        others = Control("c", 9, paused_tasks={"q": {"other": 0}, "r": {"send": 0}})
        assert state_of(decide(planned.board, control=others), source) == SourceState(ready=ready((0, 1, 2)))

    def test_others_of_its_batch_and_queue_go_on(self) -> None:
        source = path(1, 4)
        state = SourceState(ready=ready((0, 4, 1)), unfit=(Unfit(1, 3, HELD, HELD_SINCE_MS),))
        before = board(states={source: state}, halted={"q": ("send",)}, control=7)
        planned = decide(before, [ledger(slots=9)], [path(2)], control=PAUSED)
        assert parts(planned) == {"h1": [(Part(source, 0, 1, 1), Part(source, 3, 4, 1), Part(path(2), 0, 1, 1))]}

    def test_its_group_waits_for_it(self) -> None:
        first, second = path(1, group="g"), path(2, group="g")
        state = SourceState(ready=ready((0, 1, 1)), unfit=(Unfit(0, 1, HELD, HELD_SINCE_MS),))
        before = board(states={first: state}, halted={"q": ("send",)}, control=7)
        assert not decide(before, [ledger()], [second], control=PAUSED).board.tickets
        assert parts(decide(before, [ledger()], [second], control=RESUMED)) == {"h1": [(Part(first, 0, 1, 1),)]}

    def test_so_many_are_held_on_the_board_and_more_are_tried_again_later(self) -> None:
        source = path(2, 3)
        held = SourceState(ready=ready((0, 3, 1)), unfit=(Unfit(0, 3, HELD, HELD_SINCE_MS),))
        before, other = one_ticket(halted={"q": ("send",)}, control=7)
        before = replace(before, sources=before.sources | {source: held})
        report = Report(failed={0: give_back("send")})
        planned = decide(before, [claimed(report=report, slots=0)], control=PAUSED, settings=Settings(max_parked=3))
        assert state_of(planned, other) == SourceState(waiting=(Waiting(0, 1, NOW_MS + 300_000),))

    def test_however_long_the_pause_is_it_does_not_die(self) -> None:
        planned, _ = given_back()
        assert not decide(planned.board, control=PAUSED, now_ms=NOW_MS + 10**11).changed

    def test_one_that_an_operator_has_cancelled_is_over(self) -> None:
        before, source = one_ticket(halted={"q": ("send",)}, control=7)
        before = replace(before, marks={source: {0: Mark()}})
        planned = decide(before, [claimed(report=Report(failed={0: give_back("send")}), slots=0)], control=PAUSED)
        assert (state_of(planned, source).ready, state_of(planned, source).unfit) == ((), ())
        assert planned.board.totals["q"].cancelled == 1

    def test_one_that_expires_does_so_while_it_is_held(self) -> None:
        source = path(1, expires_ms=NOW_MS + 1000)
        state = SourceState(ready=ready((0, 1, 1)), unfit=(Unfit(0, 1, HELD, HELD_SINCE_MS),))
        before = board(states={source: state}, halted={"q": ("send",)}, control=7)
        planned = decide(before, [ledger()], control=PAUSED, now_ms=NOW_MS + 1000)
        assert (state_of(planned, source).settled, planned.board.totals["q"].expired) == (1, 1)

    def test_what_a_host_did_not_know_is_still_known_after_the_pause(self) -> None:
        source = path(1)
        state = SourceState(ready=ready((0, 1, 1)), unfit=(Unfit(0, 1, "send@aa,=", HELD_SINCE_MS),))
        before = board(states={source: state}, halted={"q": ("send",)}, control=7)
        planned = decide(before, [idle()], control=RESUMED)
        assert state_of(planned, source).unfit == (Unfit(0, 1, "send@aa", NOW_MS),)
        assert planned.board.tickets == {}


def test_a_coordinator_that_knows_no_paused_tasks_takes_what_is_given_back_for_a_snooze() -> None:
    assert give_back("send") == Failed("snooze", 60.0, None, HELD)


@pytest.mark.parametrize(
    ("known", "token", "rest"),
    [(HELD, "send@=", ""), ("send@aa,=", "send@=,aa", "send@aa"), ("send@,=", "send@,=", "send@")],
)
def test_a_token_keeps_what_hosts_know_of_a_task_beside_its_pause(known: str, token: str, rest: str) -> None:
    both = joined(rest, HELD) if rest else HELD
    assert (both, is_held(known), is_held(rest), let_go(known), task_of(known)) == (token, True, False, rest, "send")


@pytest.mark.parametrize("outcome", [Failed("snooze", 5.0), Failed("unfit", 0.0, None, "send@aa"), Failed("retry")])
def test_other_outcomes_are_not_taken_for_one_of_a_paused_task(outcome: Failed) -> None:
    assert not is_given_back(outcome)


def test_old_boards_name_no_paused_tasks() -> None:
    assert Board("n", 1).halted == Control("n").paused_tasks == {}
