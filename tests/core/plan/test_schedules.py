"""The commit that moves a schedule's last tick admits the tick."""

from __future__ import annotations

from typing import Any

import pytest

from s3queue.core.keys import parse_source, tick_path
from s3queue.core.plan import Planned, schedules
from s3queue.core.records import Board, Control, Ledger, Purge, Report, Request, Schedule, Ticked, decode, encode
from tests.core.world import NOW_MS, SETTINGS, board, claimed, decide, ledger

#: A full minute, and hour.
MINUTE_MS = NOW_MS // 60_000 * 60_000
REV = 7


def every(seconds: int = 60, *, revision: int = REV, queue: str = "q", **more: Any) -> Schedule:
    return Schedule(revision, queue, "t", every_s=seconds, **more)


def at(ms: int, before: Board, control: Control | None, *hosts: Ledger, **more: Any) -> Planned:
    return decide(before, hosts, control=control, wall_ms=ms, **more)


def control(**named: Schedule) -> Control:
    return Control("c", 3, schedules=named)


def ticks(planned: Planned) -> list[int]:
    """When, in seconds after the full minute."""
    found = [parse_source(path) for path in planned.board.sources]
    return sorted((source.order - MINUTE_MS) // 1000 for source in found if source.kind == "tick")


def after(last_ms: int, **more: Any) -> Board:
    return board(schedules={"s": Ticked(REV, last_ms, **more)})


# ---- when ------------------------------------------------------------------------------------------------------------


def test_new_schedule_starts_after_the_tick_that_is_now() -> None:
    planned = at(MINUTE_MS, board(), control(s=every()))
    assert ticks(planned) == []
    assert planned.board.schedules == {"s": Ticked(REV, MINUTE_MS)}
    assert planned.next_due_ms == MINUTE_MS + 60_000


def test_tick_is_admitted_by_the_commit_that_moves_the_last_tick() -> None:
    planned = at(MINUTE_MS + 60_000, after(MINUTE_MS), control(s=every()))
    assert ticks(planned) == [60]
    assert planned.board.schedules == {"s": Ticked(REV, MINUTE_MS + 60_000, ran_ms=MINUTE_MS + 60_000)}
    again = at(MINUTE_MS + 60_000, planned.board, control(s=every()))
    assert again.board.schedules == planned.board.schedules
    assert ticks(again) == [60]


def test_leader_whose_clock_is_behind_repeats_no_tick() -> None:
    planned = at(MINUTE_MS - 3_600_000, after(MINUTE_MS), control(s=every()))
    assert (ticks(planned), planned.changed) == ([], planned.board.control != 0)


def test_tick_goes_to_a_host_in_the_same_commit() -> None:
    planned = at(MINUTE_MS + 60_000, after(MINUTE_MS), control(s=every()), ledger("h1"))
    (ticket,) = planned.board.tickets.values()
    assert ticket.parts[0].source == tick_path("q", 5, MINUTE_MS + 60_000, "s", REV)


def test_settled_tick_leaves_the_board_with_its_outcome() -> None:
    """There is nothing to delete, and nothing to remember: its schedule's last tick says that it was."""
    out = at(MINUTE_MS + 60_000, after(MINUTE_MS), control(s=every()), ledger("h1")).board
    (name,) = out.tickets
    planned = at(MINUTE_MS + 60_001, out, control(s=every()), claimed(name, Report(ok=(0, 1))))
    assert (planned.board.sources, planned.board.tickets) == ({}, {})
    assert planned.board.schedules == {"s": Ticked(REV, MINUTE_MS + 60_000, ran_ms=MINUTE_MS + 60_000)}
    assert planned.board.totals["q"].done == 1


# ---- what nobody led -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("catch_up", "late_s", "found"),
    [
        ("last", 0, [300]),
        ("last", 59, [300]),
        ("all", 0, [60, 120, 180, 240, 300]),
        ("none", 30, [300]),
    ],
)
def test_missed_ticks_are_caught_up_as_the_schedule_says(catch_up: str, late_s: int, found: list[int]) -> None:
    now_ms = MINUTE_MS + 300_000 + late_s * 1000
    planned = at(now_ms, after(MINUTE_MS), control(s=every(catch_up=catch_up)))
    assert ticks(planned) == found
    assert planned.board.schedules["s"].last_ms == MINUTE_MS + 300_000


def test_none_passes_over_a_tick_that_is_a_minute_late() -> None:
    hour = control(s=every(3600, catch_up="none"))
    for late_s, found in ((60, [3600]), (61, [])):
        planned = at(MINUTE_MS + (3600 + late_s) * 1000, after(MINUTE_MS), hour)
        assert (ticks(planned), planned.board.schedules["s"].last_ms) == (found, MINUTE_MS + 3_600_000)


def test_all_admits_at_most_a_hundred_unsettled_ticks() -> None:
    planned = at(MINUTE_MS + 1000 * 60_000, after(MINUTE_MS), control(s=every(catch_up="all")))
    assert len(ticks(planned)) == schedules.MOST_UNSETTLED
    assert planned.board.schedules["s"].last_ms == MINUTE_MS + 100 * 60_000
    full = at(MINUTE_MS + 2000 * 60_000, planned.board, control(s=every(catch_up="all")))
    assert full.board.schedules == planned.board.schedules


def test_cron_catches_up_with_the_last_tick_of_a_long_outage() -> None:
    """However rare it is: the last one is looked for in ever longer times before now."""
    for step_ms in (60_000, 86_400_000, 40 * 86_400_000, 400 * 86_400_000):
        schedule = Schedule(REV, "q", cron="*", tz="UTC")

        def table(cron: str, tz: str, after_ms: int, step_ms: int = step_ms) -> int:
            return (after_ms // step_ms + 1) * step_ms

        now_ms = NOW_MS
        found = schedules.last_tick(schedule, now_ms - 3 * step_ms - 1, now_ms, table)
        assert found == now_ms // step_ms * step_ms


def test_schedule_that_this_release_cannot_tell_stands_still() -> None:
    schedule = Schedule(REV, "q", cron="R/PT1M", tz="Mars/Olympus")
    planned = at(NOW_MS, after(MINUTE_MS - 600_000), control(s=schedule))
    assert planned.board.schedules == {"s": Ticked(REV, MINUTE_MS - 600_000)}


# ---- changes ---------------------------------------------------------------------------------------------------------


def test_edit_goes_on_from_the_last_tick_and_keeps_the_old_object_in_mind() -> None:
    planned = at(MINUTE_MS + 60_000, after(MINUTE_MS), control(s=every(revision=8)))
    assert planned.board.schedules == {"s": Ticked(8, MINUTE_MS + 60_000, 0, (REV,), MINUTE_MS + 60_000)}
    gone = at(MINUTE_MS + 60_001, planned.board, control(s=every(revision=8)), deleted={("s", REV)})
    assert gone.board.schedules == {"s": Ticked(8, MINUTE_MS + 60_000, ran_ms=MINUTE_MS + 60_000)}


def test_edit_may_set_the_last_tick_back() -> None:
    """After a leader whose clock was ahead: under a new revision no tick has the id of an earlier one."""
    ahead = after(MINUTE_MS + 86_400_000)
    planned = at(MINUTE_MS + 60_000, ahead, control(s=every(revision=8, since_ms=MINUTE_MS)))
    assert ticks(planned) == [60]
    assert planned.board.schedules["s"].revision == 8


def test_tick_that_was_passed_over_is_not_told_to_have_run() -> None:
    slow = control(s=every(300, catch_up="none"))
    ran = at(MINUTE_MS + 300_000, after(MINUTE_MS), slow).board
    passed = at(MINUTE_MS + 600_000 + schedules.LATE_MS + 1, ran, slow).board
    assert [one["s"].last_ms - MINUTE_MS for one in (ran.schedules, passed.schedules)] == [300_000, 600_000]
    assert [one["s"].ran_ms - MINUTE_MS for one in (ran.schedules, passed.schedules)] == [300_000, 300_000]


def test_removed_schedule_keeps_its_last_tick_for_a_day() -> None:
    gone = at(MINUTE_MS + 1, after(MINUTE_MS), Control("c", 4)).board
    assert gone.schedules == {"s": Ticked(REV, MINUTE_MS, MINUTE_MS + 1)}
    back = at(MINUTE_MS - 3_600_000, gone, control(s=every(revision=9))).board
    assert back.schedules == {"s": Ticked(9, MINUTE_MS, 0, (REV,))}
    day = MINUTE_MS + 1 + schedules.KEEP_MS
    over = at(day, gone, Control("c", 4)).board
    assert over.schedules == {"s": Ticked(REV, 0, MINUTE_MS + 1, (REV,))}
    assert at(day, over, Control("c", 4), deleted={("s", REV)}).board.schedules == {}


def test_paused_schedule_stands_still_and_does_not_catch_up() -> None:
    paused = control(s=every(paused_ms=0, catch_up="all"))
    still = at(MINUTE_MS + 300_000, after(MINUTE_MS), paused)
    assert (ticks(still), still.board.schedules["s"].last_ms) == ([], MINUTE_MS)
    resumed = control(s=every(catch_up="all", from_ms=MINUTE_MS + 301_000))
    assert ticks(at(MINUTE_MS + 360_000, still.board, resumed)) == [360]


def test_pause_ends_by_itself() -> None:
    paused = control(s=every(paused_ms=MINUTE_MS + 130_000, catch_up="all"))
    assert at(MINUTE_MS + 120_000, after(MINUTE_MS), paused).next_due_ms == MINUTE_MS + 130_000
    assert ticks(at(MINUTE_MS + 180_000, after(MINUTE_MS), paused)) == [180]


def test_nothing_ticks_while_the_clock_is_off_or_the_control_unread() -> None:
    before = after(MINUTE_MS)
    assert at(MINUTE_MS + 300_000, before, control(s=every()), is_clock_off=True).board.schedules == before.schedules
    assert at(MINUTE_MS + 300_000, before, None).board.schedules == before.schedules


def test_purge_of_its_queue_holds_a_schedule_until_it_is_over() -> None:
    before = board(schedules={"s": Ticked(REV, MINUTE_MS)}, purges={"q": Purge("do/1800000000000-1")})
    held = at(MINUTE_MS + 60_000, before, control(s=every()))
    assert held.board.schedules == before.schedules
    assert ticks(at(MINUTE_MS + 60_000, after(MINUTE_MS), control(s=every()))) == [60]


def test_control_that_names_no_queue_does_not_stop_the_coordinator() -> None:
    """One that was written by hand: its other schedules go on."""
    planned = at(MINUTE_MS + 60_000, after(MINUTE_MS), Control("c", 3, schedules={"x/y": every(), "s": every()}))
    assert ticks(at(MINUTE_MS + 120_000, planned.board, Control("c", 3, schedules={"x/y": every(), "s": every()}))) == [
        60,
        120,
    ]


# ---- run now ---------------------------------------------------------------------------------------------------------

DO = "do/1800000000000-0123456789abcdef"


def test_run_now_admits_one_message_beside_the_ticks_in_the_commit_of_the_answer() -> None:
    asked = {DO: Request("n", "tick", "s")}
    planned = at(MINUTE_MS + 1, after(MINUTE_MS), control(s=every(paused_ms=0)), asked=asked)
    assert planned.board.answers == {DO: "ready"}
    (path,) = planned.board.sources
    assert path == tick_path("q", 5, 1_800_000_000_000, "s", REV, "0123456789abcdef")
    assert planned.board.schedules["s"].last_ms == MINUTE_MS
    again = at(MINUTE_MS + 2, board(answers={DO: "ready"}), control(s=every()), asked=asked)
    assert again.board.sources == {}


def test_run_now_of_no_schedule_is_absent() -> None:
    assert at(MINUTE_MS, board(), control(), asked={DO: Request("n", "tick", "x")}).board.answers == {DO: "absent"}


def test_message_beside_the_ticks_waits_where_the_board_has_no_room_for_it() -> None:
    asked = {"do/1800000000000-0000000000000001": Request("n", "tick", "s")}
    settings = SETTINGS._replace(max_board_bytes=100)
    planned = at(MINUTE_MS, after(MINUTE_MS), control(s=every()), asked=asked, settings=settings)
    assert (planned.board.sources, planned.board.answers, planned.board.full) == ({}, {}, ("board",))


def test_schedule_that_ticks_as_only_a_newer_release_knows_holds_up_no_other() -> None:
    odd = {
        "neither": Schedule(REV, "q", "t"),
        "both": Schedule(REV, "q", "t", cron="* * * * *", every_s=60),
        "later": every(catch_up="newest"),
    }
    stands = decode(Control, "control", encode(control(s=every(), **odd)))
    before = board(schedules={name: Ticked(REV, MINUTE_MS) for name in ("s", *odd)})
    planned = at(MINUTE_MS + 60_000, before, stands)
    assert [parse_source(path).object for path in planned.board.sources] == [f"s.{REV}"]
    assert {name: planned.board.schedules[name] for name in odd} == {name: before.schedules[name] for name in odd}
