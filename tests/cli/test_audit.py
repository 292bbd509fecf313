from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from s3queue.cli.audit import Committed, Run, Verdict, audit, read_history, read_lines, read_runs
from s3queue.core.keys import Layout

LAYOUT = Layout("demo")


def ran(message: str, attempt: int = 1, *, to_the_end: bool = True) -> list[Run]:
    start = Run("start", message, attempt, 7, held=not to_the_end)
    return [start, Run("end", message, attempt, 7)] if to_the_end else [start]


def test_all_is_well() -> None:
    verdict = audit(["a", "b"], ran("a") + ran("b"), [Committed("a", "done"), Committed("b", "done")])
    assert verdict == Verdict(done=2, dead=0, lost=0, committed_twice=0, ran_twice=0)
    assert verdict.passes(killed=0, concurrency=1)


def test_a_kill_costs_one_more_start() -> None:
    verdict = audit(["a"], ran("a", to_the_end=False) + ran("a", 2), [Committed("a", "done")])
    assert verdict == Verdict(1, 0, 0, 0, 1)
    assert verdict.passes(killed=1, concurrency=1)
    assert not verdict.passes(killed=0, concurrency=1)


def test_a_message_that_ran_and_was_never_committed_is_lost() -> None:
    assert audit(["a"], ran("a"), []).lost == 1


def test_a_message_that_was_committed_and_never_ran_is_lost() -> None:
    assert audit(["a"], [], [Committed("a", "done")]).lost == 1


def test_a_message_that_was_committed_and_never_ended_is_lost() -> None:
    assert audit(["a"], ran("a", to_the_end=False), [Committed("a", "done")]).lost == 1


def test_a_message_that_is_gone_without_a_trace_is_lost() -> None:
    assert audit(["a", "b"], ran("a"), [Committed("a", "done")]).lost == 1


def test_a_dead_message_is_not_lost() -> None:
    verdict = audit(["a"], ran("a", to_the_end=False), [Committed("a", "dead")])
    assert (verdict.dead, verdict.lost, verdict.done) == (1, 0, 0)


def test_two_outcomes_are_one_too_many_whatever_they_are() -> None:
    for second in ("done", "dead"):
        verdict = audit(["a"], ran("a"), [Committed("a", "done"), Committed("a", second)])
        assert verdict.committed_twice == 1
        assert not verdict.passes(killed=9, concurrency=9)


def test_ran_twice_is_allowed_as_often_as_slots_were_killed() -> None:
    runs = [run for message in "abcd" for run in ran(message, to_the_end=False) + ran(message, 2)]
    verdict = audit("abcd", runs, [Committed(message, "done") for message in "abcd"])
    assert verdict.ran_twice == 4
    assert verdict.passes(killed=2, concurrency=2)
    assert not verdict.passes(killed=1, concurrency=2)


@given(
    st.lists(
        st.tuples(st.integers(1, 4), st.booleans(), st.lists(st.sampled_from(["done", "dead"]), max_size=3)), max_size=8
    )
)
def test_the_figures_are_those_of_a_message_by_message_count(messages: list[tuple[int, bool, list[str]]]) -> None:
    runs: list[Run] = []
    history: list[Committed] = []
    for number, (starts, ended, outcomes) in enumerate(messages):
        name = str(number)
        runs += [Run("start", name, attempt + 1, 1) for attempt in range(starts)]
        runs += [Run("end", name, starts, 1)] * ended
        history += [Committed(name, outcome) for outcome in outcomes]
    verdict = audit([str(number) for number in range(len(messages))], runs, history)
    good = [ended and "done" in outcomes for _, ended, outcomes in messages]
    assert verdict.done == sum(good)
    assert verdict.ran_twice == sum(starts - 1 for starts, _, _ in messages)
    assert verdict.committed_twice == sum(max(0, len(outcomes) - 1) for _, _, outcomes in messages)
    expected = sum(not fine and "dead" not in outcomes for fine, (_, _, outcomes) in zip(good, messages, strict=True))
    assert verdict.lost == expected


def test_a_line_that_is_still_being_written_is_left_for_later(tmp_path: Path) -> None:
    file = tmp_path / "runs.jsonl"
    whole = msgspec.json.encode(Run("start", "a", 1, 5)) + b"\n"
    file.write_bytes(whole + b'{"at":"e')
    lines, offset = read_lines(file)
    assert read_runs(lines) == [Run("start", "a", 1, 5)]
    assert offset == len(whole)
    with file.open("ab") as more:
        more.write(b'nd","message":"a","attempt":1,"pid":5}\n')
    lines, _ = read_lines(file, offset)
    assert read_runs(lines) == [Run("end", "a", 1, 5)]


def test_a_history_is_every_message_of_every_settled_range(tmp_path: Path) -> None:
    source = "in/q/5/1700000000000-abc-10"
    events: list[dict[str, Any]] = [
        {"kind": "enqueued", "ids": ["x"]},
        {"kind": "settled", "ticket": "1-1", "source": source, "start": 0, "stop": 2, "outcome": "done", "attempt": 1},
        {"kind": "settled", "ticket": "1-1", "source": source, "start": 7, "stop": 8, "outcome": "dead"},
    ]
    for number, event in enumerate(events):
        with (tmp_path / f"agent-{number % 2}.jsonl").open("ab") as file:
            file.write(msgspec.json.encode(event) + b"\n")
    found = set(read_history(tmp_path, LAYOUT))
    assert found == {
        Committed(LAYOUT.message_id(source, 0), "done"),
        Committed(LAYOUT.message_id(source, 1), "done"),
        Committed(LAYOUT.message_id(source, 7), "dead"),
    }


def test_a_message_that_was_moved_off_the_board_is_settled_under_its_own_id(tmp_path: Path) -> None:
    target = "later/1800000000000-q/5/1700000000000-00000000010000000002-2.3"
    events: list[dict[str, Any]] = [
        {"kind": "settled", "source": target, "start": 0, "stop": 2, "outcome": "done"},
        {"kind": "moved", "source": target, "ids": ["first", "second"]},
    ]
    for number, event in enumerate(events):
        (tmp_path / f"agent-{number}.jsonl").write_bytes(msgspec.json.encode(event) + b"\n")
    assert read_history(tmp_path, LAYOUT) == [Committed("first", "done"), Committed("second", "done")]
