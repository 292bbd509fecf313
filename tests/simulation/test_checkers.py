"""What checkers say where a history does not show enough."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from s3queue.core.keys import (
    DEDUP,
    UNIQUE,
    Layout,
    life_path,
    moved_batch,
    moved_path,
    parse_source,
    source_path,
    tick_path,
)
from s3queue.core.ops import Put
from s3queue.core.plan import Settings
from s3queue.core.records import (
    CANCEL,
    Board,
    Control,
    Limit,
    Limits,
    Part,
    Ready,
    RetiredPage,
    SourceState,
    Ticket,
    Totals,
    Waiting,
    encode,
)
from s3queue.testing.simulate import CHECKERS, SOMETIMES, Replay, Scene, Seeded, Story, by_chance, judge, run
from s3queue.testing.simulate.history import Accepted, Asked, Calmed, Drained, Wrote
from s3queue.testing.simulate.rest import Rest
from s3queue.testing.simulate.simulation import Simulation


def test_calm_schedule_is_ok_by_every_checker_that_can_tell() -> None:
    verdicts = run(Replay({})).verdicts
    assert {name for name, verdict in verdicts.items() if verdict.state == "unknown"} == {
        "I10",
        "I12",
        "I14",
        "I15",
        "I17",
        "I21",
        "I23",
        "breaker",
        "glance",
        "newer",
    }
    assert {name for name, verdict in verdicts.items() if verdict.state == "bad"} == set()


def test_history_that_stops_early_is_not_called_ok_by_what_concerns_its_end() -> None:
    events = run(Seeded(1)).events
    verdicts = judge(Story(events[: len(events) // 2], Settings()))
    assert {verdicts[name].state for name in ("I8", "P1", "P2")} == {"unknown"}


def test_every_prefix_of_a_history_is_safe() -> None:
    """Checkers of safety need not wait for the end."""
    outcome = run(Seeded(3))
    for end in range(0, len(outcome.events), 7):
        verdicts = judge(Story(outcome.events[:end], outcome.scene.times.settings))
        assert [name for name, verdict in verdicts.items() if verdict.state == "bad"] == []


def test_what_ought_to_happen_happens() -> None:
    happened: set[str] = set()
    for first in range(1000, 2000, 50):
        happened |= set(by_chance(range(first, first + 50)).sometimes)
        if happened >= set(SOMETIMES):
            return
    raise AssertionError(f"never happened: {set(SOMETIMES) - happened}")


def test_checkers_are_named_after_invariants_and_promises() -> None:
    assert [*CHECKERS][:29] == [f"I{n}" for n in range(1, 24)] + [f"P{n}" for n in range(1, 7)]


@pytest.mark.parametrize("is_stored", [True, False])
def test_message_is_cancelled_where_it_was_moved_to_and_not_where_no_move_ended(is_stored: bool) -> None:
    """Somebody cancels a waiting message by its name on the way off the board. If its copy could not be stored, the board
    settles the copy, and the message still waits."""
    layout, path = Layout(), "in/q/5/1700000000000-001-1"
    target = moved_path(
        parse_source(path), due_ms=1700000009000, batch=moved_batch(1, 0), count=1, attempt=1, alone=False
    )
    waits, over = SourceState(waiting=(Waiting(0, 1, 1700000009000),)), SourceState(settled=1)
    boards = (
        Board("0", 1, 1, sources={path: waits}),
        Board("1", 1, 2, sources={path: SourceState()}, moves={target: ((path, 0),)}),
        Board("2", 1, 3, sources={path: over if is_stored else waits, target: over}),
    )
    wrote = [Wrote(1.0 + n, "h", layout.board, encode(board), n == 0) for n, board in enumerate(boards)]
    story = Story([*wrote[:2], Asked(2.5, "o", "do/1", CANCEL, target, 0), wrote[2]], Settings())
    assert story.committed == ({(path, 0): [(3, "cancelled")]} if is_stored else {})


@pytest.mark.parametrize("is_cancelled", [True, False])
def test_batch_that_was_stored_in_part_is_lost_unless_it_was_cancelled(is_cancelled: bool) -> None:
    layout, path = Layout(), "in/q/5/1700000000000-001-1"
    over = Board("0", 1, 1, sources={path: SourceState(settled=1)}, answers={"do/1": "cancelled"})
    cancelled = [Asked(1.5, "o", "do/1", CANCEL, path, 0), Wrote(2.0, "h", layout.board, encode(over), True)]
    story = Story(
        [
            Wrote(1.0, "p", layout.source(path), b"the", True),
            *(cancelled if is_cancelled else []),
            Accepted(3.0, "p", path, b"the body"),
        ],
        Settings(),
    )
    verdict = judge(story)["P1"]
    expected = ("unknown", "not drained")
    if not is_cancelled:
        expected = ("bad", f"event 1: {path} was accepted, and not stored as it was sent")
    assert (verdict.state, verdict.why) == expected


@pytest.mark.parametrize("how", ["expired", "cancelled"])
def test_message_that_may_have_expired_ended_as_the_board_counts(how: str) -> None:
    """Somebody asks to cancel it when its time is over. His answer has to be of the same ending."""
    layout, path = Layout(), "in/q/5/1700000000000-001-1x1700000001000"
    over = Board(
        "1",
        1,
        2,
        sources={path: SourceState(settled=1)},
        totals={"q": Totals(**{how: 1})},
        answers={"do/1": "over"},
    )
    story = Story(
        [
            Wrote(1.0, "h", layout.board, encode(Board("0", 1, 1)), True),
            Wrote(1.1, "p", layout.source(path), b"{}", True),
            Asked(1.5, "o", "do/1", CANCEL, path, 0),
            Wrote(4.0, "h", layout.board, encode(over), False),
            Wrote(5.0, "h", layout.board, encode(replace(over, nonce="2", turn=3)), False),
        ],
        Settings(),
    )
    assert story.committed == {(path, 0): [(3, how)]}


def test_message_that_is_due_after_it_expired_ends_where_it_waits() -> None:
    layout, path = Layout(), "later/1700000013000-q/5/1700000000000-001-1x1700000012000"
    waits = Board("0", 1, 1, sources={path: SourceState(waiting=(Waiting(0, 1, 1700000013000),))})
    over = Board("1", 1, 2, sources={path: SourceState(settled=1)}, totals={"q": Totals(expired=1)})

    def verdict(at: float) -> str:
        first, then = (
            Wrote(0.1, "h", layout.board, encode(waits), True),
            Wrote(at, "h", layout.board, encode(over), False),
        )
        return judge(Story([first, then], Settings()))["P1"].state

    assert (verdict(15.0), verdict(5.0)) == ("unknown", "bad")  # unknown: nothing is wrong so far


@pytest.mark.parametrize("uptime_ms", [28_000, 29_100])
def test_retired_page_may_stay_as_long_as_an_idle_leader_does_not_look(uptime_ms: int) -> None:
    layout = Layout()
    page = layout.page(1, 0)
    story = Story(
        [
            Wrote(1.0, "h", page, encode(RetiredPage(("1700000000000-001",), 10_000)), True),
            Wrote(2.0, "h", layout.board, encode(Board("0", 1, 1, uptime_ms=uptime_ms)), True),
            Calmed(3.0, 3.0),
            Drained(40.0, "", (page, layout.board), ()),
        ],
        Settings(window_s=10.0, leader_lease=4.5),
    )
    assert (judge(story)["I8"].state == "bad") is (uptime_ms > 29_000)


@pytest.mark.parametrize("limit", [Limit(max_running=1), Limit(rate=1.0)])
def test_tick_is_stuck_behind_a_place_that_nobody_can_take_back(limit: Limit) -> None:
    """The store refuses the ledger of the host that holds the only place."""
    world = Simulation(Replay({}), Scene(hosts=1))
    layout, refused = world.world.layout, "h9.1"
    tick, runs = tick_path("q", 5, 1_700_000_001_000, "a", 1), "in/q/5/1700000000000-001-1"
    board = Board(
        "0",
        1,
        1,
        sources={path: SourceState(ready=(Ready(0, 1, 1),) if path == tick else ()) for path in (tick, runs)},
        tickets={"1-0": Ticket(refused, (Part(runs, 0, 1, 1),))},
    )
    control = Control("0", 1, limits={"q": Limits(limit)})
    world.world.store.perform(Put(layout.control, encode(control), None), 0.0, "o")
    world.world.refused.add(layout.host(refused))
    assert Rest(world).stuck(board) == ({tick, runs} if limit.max_running else {runs})


@pytest.mark.parametrize("kind", [UNIQUE, DEDUP])
def test_what_is_redriven_is_stuck_behind_another_message_of_its_gate(kind: str) -> None:
    """For as long as the store refuses the ledger of the host that holds that one."""
    world = Simulation(Replay({}), Scene(hosts=1))
    layout, refused = world.world.layout, "h9.1"
    runs, died = (
        source_path("q", sent_ms=1_700_000_000_000, batch=f"00{n}", count=1, gate=kind + "0" * 24) for n in range(2)
    )
    life = life_path(layout.message_id(died, 0), 2)
    board = Board(
        "0",
        1,
        1,
        sources={runs: SourceState(), life: SourceState(ready=(Ready(0, 1, 1),))},
        tickets={"1-0": Ticket(refused, (Part(runs, 0, 1, 1),))},
    )
    world.world.refused.add(layout.host(refused))
    assert Rest(world).stuck(board) == ({runs, life} if kind == UNIQUE else {runs})
