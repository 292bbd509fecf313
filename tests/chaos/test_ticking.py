"""The verdict on schedules finds what did not happen."""

from __future__ import annotations

from pathlib import Path

import pytest

from s3queue.core.keys import Layout, tick_path
from s3queue.core.records import Board, Ticked, Totals
from stress.chaos.accounts import Accounts, Told
from stress.chaos.notes import Beat, Notebook
from stress.chaos.plan import BEATS
from stress.chaos.ticking import judge

T0 = 1_800_000_000_000


def message(second: int) -> str:
    return Layout().message_id(tick_path(BEATS, 5, T0 + second * 1000, "beat-0", 7), 0)


def verdict(folder: Path, ran: list[int], *, last: int, done: int, told: tuple[int, ...] = ()) -> list[str]:
    (folder / "runs").mkdir(exist_ok=True)
    notebook = Notebook(folder / "runs", "a.1")
    for second in ran:
        notebook.write(Beat(1.0, message(second), T0 + second * 1000))
    accounts = Accounts()
    accounts.board = Board("", 1, totals={BEATS: Totals(done=done)}, schedules={"beat-0": Ticked(7, T0 + last * 1000)})
    for second in told:
        accounts.told.setdefault(message(second), []).append(Told("settled"))
    found = list(judge(accounts, folder, 1))
    assert accounts.told == {}
    return found


def test_every_second_that_ran_and_is_counted_is_well(tmp_path: Path) -> None:
    assert verdict(tmp_path, [1, 2, 3], last=3, done=3, told=(1, 2, 3)) == []


@pytest.mark.parametrize(
    ("ran", "last", "done", "told", "why"),
    [
        ([1, 3], 3, 2, (), "never ran"),
        ([1, 2], 3, 2, (), "never ran"),
        ([1, 2, 3], 2, 3, (), "the board is not there yet"),
        ([1, 2], 2, 3, (), "the board has 3 ticks done; 2 ran"),
        ([1, 2], 2, 2, (1, 1), "committed twice"),
        ([], 2, 0, (), "never ticked"),
    ],
)
def test_what_is_wrong_is_told(
    tmp_path: Path, ran: list[int], last: int, done: int, told: tuple[int, ...], why: str
) -> None:
    assert any(why in one for one in verdict(tmp_path, ran, last=last, done=done, told=told))
